"""The surest wrong answers, and how they are shown with and without reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finsa_moe.evaluation.comparison.cells import Answers
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.evaluation.comparison.examples import Example, wrong
from finsa_moe.evaluation.explained import examples_section
from finsa_moe.explain.explain import ExplainSettings, explain
from finsa_moe.polarity import Polarity
from tests.fakes import fake_finsa

TEXTS = ["甲", "乙", "丙", "丁", "戊", "乙"]
TRUTH = np.array([0, 1, 2, 0, 1, 1])
PROBS = np.array(
    [[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.02, 0.03, 0.95], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]],
    dtype=np.float32,
)
SET = TestSet("late", "forum", TEXTS, TRUTH, np.arange(6), np.zeros(6, dtype=np.bool_))


def test_the_surest_errors_first_and_no_text_twice() -> None:
    found = wrong([SET], Answers({"late": PROBS}), 10)
    assert [example.text for example in found] == ["丁", "乙", "丙"]
    assert [(e.truth, e.said) for e in found] == [
        (Polarity.BEARISH, Polarity.BULLISH), (Polarity.NEUTRAL, Polarity.BEARISH), (Polarity.BULLISH, Polarity.NEUTRAL)
    ]  # fmt: skip
    assert [round(e.confidence, 2) for e in found] == [0.95, 0.8, 0.6]
    assert {e.expert for e in found} == {None}
    assert [e.text for e in wrong([SET], Answers({"late": PROBS}), 1)] == ["丁"]


def test_every_set_has_its_own_and_who_answered() -> None:
    other = replace(SET, name="early")
    experts = {"late": ["news", "forum", "forum", "news", "forum", "forum"]}
    found = wrong([SET, other], Answers({"late": PROBS, "early": PROBS}, experts), 2)
    assert [(e.name, e.text, e.expert) for e in found] == [
        ("late", "丁", "news"), ("late", "乙", "forum"), ("early", "丁", None), ("early", "乙", None)
    ]  # fmt: skip


def test_without_reasons_the_text_stands_plain_and_escaped() -> None:
    shown = examples_section([Example("late", "涨<b>停", Polarity.BEARISH, Polarity.BULLISH, 0.95)], "Of x.")
    assert "涨&lt;b&gt;停" in shown.body
    assert "<mark" not in shown.body
    assert 'should be <b class="bearish">利空</b>, answered <b class="bullish">利好</b> 0.950' in shown.body
    assert shown.note == "The surest errors of each test set. Of x."


def test_with_reasons_the_words_are_marked_for_the_answer_given() -> None:
    finsa = fake_finsa()
    text = "公告 涨 升"
    (why,) = explain(finsa, [text], settings=ExplainSettings(evaluations=50))
    example = Example("late", text, Polarity.BEARISH, Polarity.BULLISH, why.confidence, why.expert, why)
    shown = examples_section([example])
    assert '<p class="said bullish"' in shown.body
    assert "<mark" in shown.body
    assert "Solid underline" in shown.note
    kept = example.as_dict()
    assert (kept["truth"], kept["answer"], kept["expert"]) == ("利空", "利好", "news")
    assert kept["explanation"]["words"]
