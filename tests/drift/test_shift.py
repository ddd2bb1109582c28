"""Drift between two pools of known make: shares, intervals that hold, words that were put in."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.drift.figure import drift_picture
from finsa_moe.drift.intervals import draws_of, places_of, stays
from finsa_moe.drift.shift import Drift, _words, compare
from finsa_moe.errors import ConfigError
from finsa_moe.runtime.distinct import Pool

pytest.importorskip("rjieba")
FILLER = ["今天大盘震荡", "公司发布公告", "机构调研报告", "市场成交清淡", "投资者提问", "行业景气回升"]


def made(
    rows: int, seed: int, *, news: float = 0.5, sentiment: tuple[float, ...] = (0.3, 0.4, 0.3), novel: float = 0.02,
    word: str = "", share: float = 0.0, repeats: int = 1, novelty: bool = True,
) -> Pool:  # fmt: skip
    """A pool whose shares are drawn from those given."""
    rng = np.random.default_rng(seed)
    texts = [f"{FILLER[at % 6]}{word if rng.random() < share else ''}" for at in range(rows)]
    return Pool(
        ids=[str(at) for at in range(rows)], texts=texts, dates=None, keys=[f"{seed}-{at}" for at in range(rows)],
        repeats=np.full(rows, repeats, dtype=np.int64), probs=np.eye(3)[rng.choice(3, rows, p=sentiment)],
        novelty=np.where(rng.random(rows) < novel, 0.995, 0.5) if novelty else None,
        experts=(rng.random(rows) >= news).astype(np.int64), domains=("news", "forum"), rows=rows, refused=0,
    )  # fmt: skip


def shares(drift: Drift) -> dict[str, float]:
    return {one.name: one.change for one in drift.changes}


def test_shares_are_counted_by_rows() -> None:
    old, new = made(400, 1), made(300, 2)
    new.repeats[:] = np.arange(300) % 4 + 1
    drift = compare(old, new, draws=100)
    weights = new.repeats / new.repeats.sum()
    expected = {
        "novel": ((new.novelty >= 0.99) @ weights) - (old.novelty >= 0.99).mean(),  # type: ignore[operator]
        "news": ((new.experts == 0) @ weights) - (old.experts == 0).mean(),
        "利好": (new.probs[:, 2] @ weights) - old.probs[:, 2].mean(),
    }
    assert {name: shares(drift)[name] for name in expected} == pytest.approx(expected)
    assert drift.new_rows == new.repeats.sum()
    assert [one.kind for one in drift.changes] == ["novel", "routing", "routing", "sentiment", "sentiment", "sentiment"]


def test_intervals_are_as_wide_as_the_formula_says() -> None:
    drift = compare(made(900, 3), made(600, 4), draws=4000)
    for one in drift.changes:
        spread = math.sqrt(one.old * (1 - one.old) / 900 + one.new * (1 - one.new) / 600)
        low, high = one.interval
        assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.1)
        assert low < one.change < high


def test_copies_do_not_make_an_interval_narrower() -> None:
    """A hundred distinct texts that stand ten times each say no more than a hundred."""
    width = []
    for repeats in (1, 10):
        one = compare(made(100, 5, repeats=repeats), made(100, 6, repeats=repeats), draws=2000).of("routing")[0]
        width.append(one.interval[1] - one.interval[0])
    assert width[1] == pytest.approx(width[0], rel=0.1)


def test_texts_that_stand_in_both_files_do_not_hide_a_change() -> None:
    """Of a file and itself nothing has changed; among posts that are copied often a rise of 15 points is seen.

    Old and new are 500 rows of 400 posts, drawn by Zipf's law; texts drawn for each file by itself make the interval 59
    points wide.
    """

    def drawn(seed: int, bullish: float) -> Pool:
        rng, chance = np.random.default_rng(seed), 1 / np.arange(1, 401) ** 1.1
        kinds = np.random.default_rng(9).permutation(400) % 3
        chance = np.where(kinds == 2, bullish, 1.0) * chance
        found, repeats = np.unique(rng.choice(400, 500, p=chance / chance.sum()), return_counts=True)
        return Pool(
            ids=[str(at) for at in found], texts=["涨"] * len(found), dates=None, keys=[str(at) for at in found],
            repeats=repeats, probs=np.eye(3)[kinds[found]], novelty=None, experts=found % 2, domains=("news", "forum"),
            rows=500, refused=0,
        )  # fmt: skip

    old = drawn(1, 1.0)
    for one in compare(old, old, draws=200).changes:
        assert one.interval == pytest.approx((0.0, 0.0), abs=1e-6)
    same = compare(old, drawn(2, 1.0), draws=400).of("sentiment")[2].interval
    assert same[0] < 0 < same[1] < same[0] + 0.25
    assert compare(old, drawn(3, 2.0), draws=400).of("sentiment")[2].interval[0] > 0


def test_texts_of_both_are_drawn_for_both() -> None:
    """Two pools of three and two texts, one of them in both: by each draw it comes as often to either."""
    old, new = made(3, 1, novelty=False), made(2, 2, novelty=False)
    new.keys[0] = old.keys[1]
    places = places_of(old, new)
    assert [place.tolist() for place in places] == [[0, 1, 2], [1, 3]]
    bodies = [np.eye(3), np.eye(2)]
    one, two = draws_of(bodies, places, 300, np.random.default_rng(1), None)
    assert (one[:, 1] == two[:, 0]).all()
    assert (one.sum(axis=1) > 0).all()
    assert (two.sum(axis=1) > 0).all()
    # shares of rows 0.2, 0.6, 0.2, 0 before and 0, 0.5, 0, 0.5 now
    assert stays(np.array([1, 3, 1]), np.array([4, 4]), places) == pytest.approx(0.34 / (0.44 + 0.5))
    assert stays(np.array([1]), np.array([1]), places_of(made(1, 1), made(1, 2))) == 1.0


def test_no_alarm_over_texts_of_one_make_and_alarm_over_others() -> None:
    limits = {"novel": 0.05, "routing": 0.1, "sentiment": 0.1}
    for seed in range(10):
        assert not compare(made(200, seed), made(200, seed + 50), draws=200).beyond(limits)
    shifted = compare(made(400, 1), made(400, 2, news=0.2, sentiment=(0.6, 0.2, 0.2), novel=0.2), draws=200)
    assert {one.name for one in shifted.beyond(limits)} == {"novel", "news", "forum", "利空"} | (
        {one.name for one in shifted.of("sentiment") if one.interval[1] < -0.1}
    )


@pytest.mark.parametrize("rows", [1, 3, 5, 10, 20])
def test_a_few_rows_of_the_same_make_are_no_alarm(rows: int) -> None:
    """A bootstrap of one row has no width: what a share of 0 or 1 may yet be is told by a score interval."""
    limits = {"novel": 0.05, "routing": 0.1, "sentiment": 0.1}
    alarms = sum(bool(compare(made(400, 1), made(rows, 100 + seed), draws=100).beyond(limits)) for seed in range(40))
    assert alarms <= 4


def test_intervals_are_newcombes_where_those_are_wider() -> None:
    """56 of 70 against 48 of 80, the example of Newcombe (1998): 0.2 (0.0524 to 0.3339)."""
    old, new = made(80, 1), made(70, 2)
    old.experts[:], new.experts[:] = np.arange(80) >= 48, np.arange(70) >= 56
    one = next(one for one in compare(old, new, draws=100).of("routing") if one.name == "news")
    assert one.change == pytest.approx(0.2)
    assert one.interval[0] <= 0.0524 + 1e-4
    assert one.interval[1] >= 0.3339 - 1e-4


def test_less_novelty_is_no_drift() -> None:
    fallen = compare(made(500, 1, novel=0.5), made(500, 2, novel=0.0), draws=200)
    assert fallen.of("novel")[0].change < -0.3
    assert not fallen.beyond({"novel": 0.05})


def test_a_word_that_was_put_in_is_found_and_others_are_not() -> None:
    drift = compare(made(600, 1), made(600, 2, word="固态电池", share=0.3), draws=300)
    assert {one.word for one in drift.words} <= {"固态", "电池", "固态电池"}
    assert drift.words
    for one in drift.words:
        assert one.old == 0
        assert one.new > 100
        assert 0 < one.interval[0] < one.log_odds < one.interval[1]
    assert not compare(made(600, 1), made(600, 2), draws=100).words


@pytest.mark.parametrize("copies", [1, 2_000])
def test_a_post_that_is_copied_hides_no_word(copies: int) -> None:
    """Its words, rare in other texts, are one event however often it stands; what others newly say is still shown."""
    rare, viral = ["央行", "证监会", "交易所", "财政部", "外管局"], "央行证监会交易所财政部外管局"
    old, new = made(600, 1), made(600, 2, word="固态电池", share=0.3)
    for pool in (old, new):
        for at, word in enumerate(rare * 3):
            pool.texts[at] += word
    new.texts[599] = viral
    new.repeats[599] = copies
    drift = compare(old, new, words=2, draws=300)
    assert {one.word for one in drift.words} <= {"固态", "电池", "固态电池"}
    assert drift.words
    for one in drift.words:
        assert one.new == sum("固态电池" in text for text in new.texts)
        assert 0 < one.interval[0] < one.log_odds < one.interval[1]


def test_a_text_of_both_files_counts_once_for_the_words_that_are_looked_at() -> None:
    """A word stands in one new text, often; with one text that repeats from week to week that makes two, with two three."""

    def found(both: int) -> list[str]:
        old, new = made(600, 1), made(600, 2)
        counted = [[Counter({"今天": 3}) for _ in pool.texts] for pool in (old, new)]
        for at in range(both):
            for pool, counts in zip((old, new), counted, strict=True):
                pool.keys[at], counts[at]["固态"] = f"both-{at}", 1
        counted[1][599]["固态"] = 40
        return _words(old, new, counted, 5)[0]

    assert "固态" not in found(1)
    assert "固态" in found(2)


def test_a_model_without_novelty_leaves_it_out() -> None:
    drift = compare(made(50, 1, novelty=False), made(50, 2), draws=100)
    assert not drift.of("novel")
    assert len(drift.changes) == 5


def test_as_a_dict_and_as_a_picture(tmp_path: Path) -> None:
    drift = compare(made(200, 1), made(200, 2, word="固态电池", share=0.5, news=0.9), draws=100)
    entry = drift.as_dict()
    assert entry["changes"][1]["change"] == drift.changes[1].change  # type: ignore[index]
    pytest.importorskip("matplotlib")
    pictures = [drift_picture(drift, "上周", "本周"), drift_picture(compare(made(30, 1), made(30, 2), draws=100))]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0] != pictures[1]


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="100 or more"):
        compare(made(5, 1), made(5, 2), draws=10)
    other = made(5, 2)
    object.__setattr__(other, "domains", ("news", "notices"))
    with pytest.raises(ConfigError, match="use one model"):
        compare(made(5, 1), other)
