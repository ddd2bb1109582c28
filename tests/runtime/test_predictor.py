from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.text import normalise
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.predictor import BULK, Predictor
from tests.fakes import FakeEngine, probabilities, routed

TEXTS = ["公司公告：净利润上升", "又跌了，心态崩了", "今天没什么消息", "涨涨涨", "公告称订单下跌"]
texts = st.lists(st.text(alphabet="涨跌公告平，。abc1", min_size=1, max_size=50).filter(normalise), max_size=30)


@given(texts, st.integers(1, 500), st.randoms())
@settings(max_examples=60, deadline=None)
def test_equals_one_text_at_a_time_whatever_the_batch_and_order(
    some: list[str], budget: int, shuffler: random.Random
) -> None:
    some = some.copy()
    shuffler.shuffle(some)
    answers = Predictor(FakeEngine(), batch_tokens=budget).predict(some)
    assert [a.text for a in answers] == some
    for text, answer in zip(some, answers, strict=True):
        clean = normalise(text)
        expected = probabilities(clean, routed(clean))
        np.testing.assert_allclose(list(answer.scores.values()), expected, atol=1e-6)
        assert answer.expert == ("news", "forum")[routed(clean)]


def test_fields_of_one_answer() -> None:
    answer = Predictor(FakeEngine(), abstain_below=0.9).predict(["涨升"])[0]
    assert (answer.sentiment, answer.expert) == ("利好", "forum")
    bullish = np.exp(2.0) / (np.exp(2.0) + np.exp(0.5) + 1)  # logits 0, 0.5, 2 of the forum expert
    assert answer.confidence == pytest.approx(bullish, abs=1e-6) == answer.scores["bullish"]
    assert list(answer.scores) == ["bearish", "neutral", "bullish"]
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-6)
    assert answer.expert_weights == pytest.approx({"news": 0.3, "forum": 0.7}, abs=1e-6)
    assert answer.uncertain
    assert not answer.truncated
    assert answer.novelty is None
    assert 0 < answer.seconds < 60


def test_given_domain_wins_while_the_router_still_reports() -> None:
    predictor = Predictor(FakeEngine())
    routed_answer, forced = predictor.predict(["涨"])[0], predictor.predict(["涨"], "news")[0]
    assert (routed_answer.expert, forced.expert) == ("forum", "news")
    np.testing.assert_allclose(list(forced.scores.values()), probabilities("涨", 0), atol=1e-6)
    assert forced.expert_weights == routed_answer.expert_weights
    mixed = predictor.predict(["涨", "涨", "涨"], ["news", None, "forum"])
    assert [a.expert for a in mixed] == ["news", "forum", "forum"]


def test_predict_proba_agrees_with_predict() -> None:
    predictor = Predictor(FakeEngine())
    probs = predictor.predict_proba(TEXTS)
    assert probs.shape == (5, 3)
    assert probs.dtype == np.float32
    np.testing.assert_array_equal(probs, np.float32([list(a.scores.values()) for a in predictor.predict(TEXTS)]))


def test_nothing_in_nothing_out() -> None:
    predictor = Predictor(FakeEngine())
    assert predictor.predict([]) == []
    assert predictor.predict_proba([]).shape == (0, 3)
    assert list(predictor.stream([])) == []


@pytest.mark.parametrize("bad", ["", "  \n\t", "\u3000", "\x00\x00", "\ud800", None, 3.5])
def test_a_text_that_says_nothing_is_refused_by_position(bad: object) -> None:
    predictor = Predictor(FakeEngine())
    with pytest.raises(DataError, match="text 2"):
        predictor.predict(["涨", "跌", bad, "平"])  # type: ignore[list-item]
    with pytest.raises(DataError, match="text 2"):
        predictor.predict_proba(["涨", "跌", bad])  # type: ignore[list-item]
    answers = predictor.attempt(["涨", bad, "跌"])  # type: ignore[list-item]
    assert isinstance(answers[1], DataError)
    assert [a.sentiment for a in answers if not isinstance(a, DataError)] == ["利好", "利空"]


def test_unusual_texts_are_answered() -> None:
    odd = ["🚀🚀", "跌\x00停", "涨\ud83d停", "涨跌" * 50_000]
    answers = Predictor(FakeEngine()).predict(odd)
    assert [a.truncated for a in answers] == [False, False, False, True]
    assert answers[1].sentiment == "利空"
    assert [a.text for a in answers] == odd


def test_unknown_domain_names_the_nearest() -> None:
    predictor = Predictor(FakeEngine())
    for call in (predictor.predict, predictor.predict_proba, predictor.stream, predictor.attempt):
        with pytest.raises(
            DataError, match=r"'forums' is not in this mixture; it knows news, forum; did you mean 'forum'"
        ):
            call(["涨"], "forums")
    with pytest.raises(DataError, match="2 domains for 1 texts"):
        predictor.predict(["涨"], ["news", "forum"])


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match="batch_tokens"):
        Predictor(FakeEngine(), batch_tokens=0)
    with pytest.raises(ConfigError, match="abstain_below"):
        Predictor(FakeEngine(), abstain_below=1.5)


def test_budget_holds_for_the_engine() -> None:
    engine = FakeEngine()
    Predictor(engine, batch_tokens=40).predict([("涨跌涨" * 20)[:n] for n in (1, 30, 3, 8, 8, 50, 2)] * 5)
    assert all(b * t <= 40 or b == 1 for b, t in engine.shapes)
    assert len(engine.shapes) < 35


def test_stream_is_lazy_ordered_and_bounded() -> None:
    taken = itertools.count()
    endless = (f"{'涨跌'[n % 2]}{n}" for n in taken)
    stream = Predictor(FakeEngine()).stream(endless, window=16)
    first = [next(stream) for _ in range(20)]
    assert [a.text for a in first] == [f"{'涨跌'[n % 2]}{n}" for n in range(20)]
    assert next(taken) == 32  # two windows of 16 were drawn, no more


def test_stream_counts_positions_from_its_start() -> None:
    stream = Predictor(FakeEngine()).stream(["涨", "跌", "平", " "], window=2)
    assert next(stream).sentiment == "利好"
    with pytest.raises(DataError, match="text 3"):
        list(stream)


def test_many_windows_keep_order() -> None:
    many = [f"涨{n}" for n in range(9000)]
    assert [a.text for a in Predictor(FakeEngine()).predict(many)] == many


@pytest.mark.parametrize("concurrent", [False, True])
def test_threads_get_the_same_answers_and_enter_one_at_a_time(concurrent: bool) -> None:
    engine = FakeEngine()
    gate = threading.Barrier(16)
    if concurrent:
        engine.concurrent = True
    predictor = Predictor(engine)
    expected = predictor.predict_proba(TEXTS)

    def work(_: int) -> np.ndarray:
        gate.wait(timeout=120)
        return np.stack([predictor.predict_proba(TEXTS) for _ in range(20)])

    with ThreadPoolExecutor(16) as pool:
        for result in pool.map(work, range(16)):
            assert (result == expected).all()
    if not concurrent:
        assert engine.most_inside == 1


class EarlyEngine(FakeEngine):
    """Tells the experts beforehand, and sees which experts each batch was run with."""

    routes_early = True

    def __init__(self) -> None:
        super().__init__()
        self.given: list[set[int]] = []

    def route(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        texts = [
            "".join(chr(c) for c, real in zip(row, on, strict=True) if real) for row, on in zip(ids, mask, strict=True)
        ]
        return np.array([routed(text) for text in texts])

    def run(self, ids, mask, experts):  # type: ignore[no-untyped-def]
        self.given.append(set() if experts is None else set(experts.tolist()))
        return super().run(ids, mask, experts)


def test_texts_are_grouped_by_expert_before_they_run_where_the_engine_can_tell() -> None:
    many = [TEXTS[at % len(TEXTS)] + "涨" * (at % 7) + str(at) for at in range(2 * BULK)]
    engine = EarlyEngine()
    domains: list[str | None] = [None if at % 3 else "forum" for at in range(len(many))]
    for wanted in (None, domains):
        engine.given.clear()
        answers = Predictor(engine, batch_tokens=300).predict(many, wanted)
        assert all(len(experts) == 1 for experts in engine.given)
        plain = Predictor(FakeEngine(), batch_tokens=300).predict(many, wanted)
        assert [(a.expert, a.scores, a.expert_weights) for a in answers] == [
            (a.expert, a.scores, a.expert_weights) for a in plain
        ]


def test_the_bulk_engine_answers_long_calls_and_long_streams_alone() -> None:
    opened: list[FakeEngine] = []

    def bulk() -> FakeEngine:
        opened.append(FakeEngine())
        return opened[-1]

    few = FakeEngine()
    predictor = Predictor(few, bulk=bulk)
    few.shapes.clear()
    some = [f"涨{n}" for n in range(BULK)]
    predictor.predict(some[1:])
    list(predictor.stream(["涨", "跌"]))
    assert few.shapes
    assert not opened
    few.shapes.clear()
    predictor.predict(some)
    list(predictor.stream(["涨", "跌"], window=1))
    list(predictor.stream(some))
    predictor.attempt(["涨"], bulk=True)
    assert not few.shapes
    assert len(opened) == 1
    assert sum(rows for rows, _ in opened[0].shapes) == 2 * BULK + 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_answers_too() -> None:
    """Its parent's threads are not there: waiting for them would never end."""
    engine = FakeEngine()
    engine.concurrent, engine.workers = True, 2
    predictor = Predictor(engine, batch_tokens=40)
    some = TEXTS * 20
    before = predictor.predict_proba(some)
    with warnings.catch_warnings():  # from Python 3.12 on a fork beside threads is warned of
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork")
        theirs, ours = context.Pipe(duplex=False)
        child = context.Process(target=lambda: ours.send(predictor.predict_proba(some)))
        child.start()
    try:
        assert theirs.poll(60), "the child did not answer"
        np.testing.assert_array_equal(theirs.recv(), before)
    finally:
        child.kill()
        child.join()
    np.testing.assert_array_equal(predictor.predict_proba(some), before)
