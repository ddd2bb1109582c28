"""Copies share the numbers of their text; what is kept is bounded, and another expert is another question."""

from __future__ import annotations

import random

import numpy as np
import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime.predictor import WINDOW, Predictor
from finsa_moe.runtime.repeats import LONGEST, OVERHEAD, Repeats
from tests.fakes import FakeEngine, StateEngine

KIND = np.dtype([("size", np.int64), ("expert", np.int64)])


def ask(repeats: Repeats, texts: list[str], experts: list[int] | None = None) -> list[str]:
    """The texts that were worked out for this; what each got is checked."""
    asked = experts or [0] * len(texts)
    worked: list[str] = []

    def work(fresh: np.ndarray) -> np.ndarray:
        worked.extend(texts[at] for at in fresh)
        return np.array([(len(texts[at]), asked[at]) for at in fresh], dtype=KIND)

    found = repeats.rows(texts, np.array(asked, dtype=np.int64), KIND, work)
    assert found.tolist() == [(len(text), expert) for text, expert in zip(texts, asked, strict=True)]
    return worked


def test_each_distinct_text_is_worked_out_once() -> None:
    repeats = Repeats()
    assert ask(repeats, ["a", "bb", "a", "ccc", "bb"]) == ["a", "bb", "ccc"]
    assert ask(repeats, ["ccc", "dddd", "a"]) == ["dddd"]
    assert ask(repeats, ["a", "a", "a"], [0, 1, -1]) == ["a", "a"]
    assert ask(repeats, []) == []


def test_the_texts_met_last_are_kept_and_no_more() -> None:
    repeats = Repeats(room=8 * (OVERHEAD + 4))
    for n in range(100):
        assert ask(repeats, [f"{n:04}", "once"]) == ([f"{n:04}", "once"] if n == 0 else [f"{n:04}"])
    assert len(repeats._young) + len(repeats._old) <= 12
    assert ask(repeats, ["0001"]) == ["0001"]


def test_a_long_text_is_not_kept() -> None:
    repeats, long = Repeats(), "x" * (LONGEST + 1)
    assert ask(repeats, [long, long]) == [long]
    assert ask(repeats, [long]) == [long]


@pytest.mark.parametrize("engine", [FakeEngine, StateEngine])
def test_a_list_with_copies_is_answered_as_without(engine: type[FakeEngine]) -> None:
    chooser = random.Random(7)
    kinds = ["涨", "又跌了", "公告称上升", "ＡＢ涨", "AB涨", "涨跌" * 99, *(f"平{n}" for n in range(50))]
    many = chooser.choices(kinds, k=WINDOW + 500)
    domains = [chooser.choice(["news", "forum", None]) for _ in many]
    ours = engine()
    predictor = Predictor(ours)
    alone = {key: Predictor(engine()).predict([key[0]], key[1])[0] for key in set(zip(many, domains, strict=True))}
    ours.shapes.clear()
    answers = predictor.predict(many, domains)
    assert sum(rows for rows, _ in ours.shapes) == len(alone)
    for text, domain, answer in zip(many, domains, answers, strict=True):
        expected = alone[text, domain]
        assert answer.text == text
        assert answer.scores == pytest.approx(expected.scores, abs=1e-6)
        assert answer.expert_weights == pytest.approx(expected.expert_weights, abs=1e-6)
        assert (answer.expert, answer.truncated) == (expected.expert, expected.truncated)
        assert answer.novelty == pytest.approx(expected.novelty, abs=1e-6)
    probs = predictor.predict_proba(many, domains)
    np.testing.assert_array_equal(probs, np.float32([list(answer.scores.values()) for answer in answers]))
    ours.shapes.clear()
    assert [answer.text for answer in predictor.stream(many, window=20)] == many
    assert sum(rows for rows, _ in ours.shapes) == len(kinds)


def test_every_copy_that_says_nothing_is_refused_by_its_own_position() -> None:
    answers = Predictor(FakeEngine()).attempt(["涨", "", "涨", "", None, ["x"]])  # type: ignore[list-item]
    errors = [str(answer) for answer in answers if isinstance(answer, DataError)]
    assert [error.split(",")[0] for error in errors] == [
        "text 1 (counted from 0) is empty; drop it or fill it", "text 3 (counted from 0) is empty; drop it or fill it",
        "text 4 is None (NoneType)", "text 5 is ['x'] (list)",
    ]  # fmt: skip
