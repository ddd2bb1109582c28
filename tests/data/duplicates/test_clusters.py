"""Clusters of near texts: against every pair compared by hand, against networks walked one by one, at size."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.duplicates import buckets, grams
from finsa_moe.data.duplicates import clusters as room
from finsa_moe.data.duplicates.clusters import joined, near_clusters
from finsa_moe.data.duplicates.grams import Banding, Sketches, banding, hashed, similarities, sketched
from finsa_moe.data.duplicates.held_out import jaccard, ngrams
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError

WORDS = "涨跌买卖多空主力散户公告业绩利好利空停牌复牌大盘个股资金流入流出预增预亏"


def sentence(chance: random.Random, length: int) -> str:
    return "".join(chance.choice(WORDS) for _ in range(length))


def edited(chance: random.Random, text: str, edits: int) -> str:
    letters = list(text)
    for _ in range(edits):
        letters[chance.randrange(len(letters))] = chance.choice("甲乙丙丁戊")
    return "".join(letters)


def walked(count: int, pairs: set[tuple[int, int]]) -> list[int]:
    """Components by walking from each thing to its neighbours."""
    found = [-1] * count
    for start in range(count):
        if found[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            at = waiting.pop()
            if found[at] < 0:
                found[at] = start
                waiting += [b if a == at else a for a, b in pairs if at in (a, b)]
    return found


@given(
    st.lists(st.text(alphabet="涨跌买卖甲乙 ,.-1a", min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 5)
)
@settings(max_examples=200, deadline=None)
def test_grams_are_those_of_strings(texts: list[str], n: int) -> None:
    """As many different numbers as different grams, and the similarity of the sets, pair by pair."""
    keys = [duplicate_key(text) for text in texts]
    grams = hashed(keys, n)
    starts = [0, *grams.ends.tolist()]
    for key, start, end in zip(keys, starts, starts[1:], strict=False):
        expected = [key[at : at + n] for at in range(max(1, len(key) - n + 1))]
        assert end - start == len(expected)
        assert len(set(grams.flat[start:end].tolist())) == len(set(expected))
    pairs = list(combinations(range(len(keys)), 2))
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    expected = [jaccard(ngrams(texts[a], n), ngrams(texts[b], n)) for a, b in pairs]
    assert similarities(keys, left, right, n).tolist() == pytest.approx(expected)


def test_the_same_grams_have_the_same_numbers_wherever_they_stand() -> None:
    grams = hashed(["涨停板", "今日涨停板"], 3)
    assert grams.ends.tolist() == [1, 4]
    assert grams.flat[0] == grams.flat[3]


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_components_are_those_of_a_walk(count: int, pairs: list[tuple[int, int]]) -> None:
    inside = {(a % count, b % count) for a, b in pairs}
    left = np.array([a for a, _ in inside], dtype=np.int64)
    right = np.array([b for _, b in inside], dtype=np.int64)
    assert joined(count, left, right).tolist() == walked(count, inside)


def test_a_long_chain_is_one_component() -> None:
    order = np.random.default_rng(0).permutation(5000)
    assert set(joined(5000, order[:-1], order[1:]).tolist()) == {0}


@given(st.integers(0, 10_000), st.sampled_from([0.6, 0.7, 0.8]), st.sampled_from([3, 4]))
@settings(max_examples=30, deadline=None)
def test_against_every_pair_compared(seed: int, threshold: float, n: int) -> None:
    """No pair that is not near; and of forty texts with planted copies hardly one near pair apart."""
    chance = random.Random(seed)
    texts = [sentence(chance, chance.randint(8, 60)) for _ in range(20)]
    texts += [edited(chance, chance.choice(texts), chance.randint(0, 3)) for _ in range(20)]
    chance.shuffle(texts)
    found = near_clusters(texts, threshold=threshold, n=n)
    true = {(a, b): jaccard(ngrams(texts[a], n), ngrams(texts[b], n)) for a, b in combinations(range(len(texts)), 2)}
    for a, b, similarity in zip(found.left.tolist(), found.right.tolist(), found.similarity.tolist(), strict=True):
        assert a < b
        assert similarity == pytest.approx(true[a, b])
        assert true[a, b] >= threshold - 1e-6
    clear = {pair for pair, similarity in true.items() if similarity >= max(threshold, 0.8)}
    assert sum(found.ids[a] != found.ids[b] for a, b in clear) <= 1
    near = {pair for pair, similarity in true.items() if similarity >= threshold}
    allowed = walked(len(texts), near)
    assert all(allowed[at] == allowed[int(cluster)] for at, cluster in enumerate(found.ids.tolist()))


def test_recall_of_planted_pairs() -> None:
    chance = random.Random(5)
    originals = [sentence(chance, chance.randint(12, 120)) for _ in range(4000)]
    copies = [edited(chance, text, 1) for text in originals]
    pairs = [at for at in range(4000) if jaccard(ngrams(originals[at]), ngrams(copies[at])) >= 0.8]
    found = near_clusters([*originals, *copies])
    assert len(pairs) > 2000
    assert sum(found.ids[at] == found.ids[at + 4000] for at in pairs) / len(pairs) > 0.99
    assert found.largest <= 4


def test_equal_texts_meet_whatever_their_marks_and_short_ones_are_not_near() -> None:
    texts = ["涨停", "涨停！", "跌停", "涨 停", "涨停板", "", "+5%", "-5%", "￥", "！"]
    found = near_clusters(texts, threshold=0.1)
    assert found.ids.tolist() == [0, 0, 2, 0, 4, 5, 6, 7, 8, 9]
    assert found.exact.tolist() == found.ids.tolist()
    assert (found.count, found.largest) == (8, 3)
    assert near_clusters([]).count == 0
    assert near_clusters(["涨"]).ids.tolist() == [0]


def test_thousands_of_one_form_cost_no_square() -> None:
    """Each is near to all others; the pairs compared grow with the texts alone."""
    form = "截至今日收盘该公司股东持有的股份累计质押比例为百分之几请投资者注意风险编号"
    texts = [f"{form}{number:05d}" for number in range(6000)]
    found = near_clusters(texts)
    assert found.count == 1
    assert len(found.left) < 2 * 30 * len(texts)


def test_rethreshold_is_what_a_new_search_finds() -> None:
    chance = random.Random(1)
    texts = [sentence(chance, 30) for _ in range(150)]
    texts += [edited(chance, text, 1) for text in texts] + [edited(chance, text, 3) for text in texts]
    low = near_clusters(texts, threshold=0.3)
    high, again = low.rethreshold(0.75), near_clusters(texts, threshold=0.75)
    assert np.mean(high.ids == again.ids) > 0.99
    assert (low.similarity < 0.75).any()
    assert (high.similarity >= 0.75 - 1e-6).all()
    with pytest.raises(ConfigError, match=r"threshold 0.2: these pairs were compared from 0.3 to 1"):
        low.rethreshold(0.2)


@pytest.mark.parametrize(
    ("threshold", "n", "says"),
    [(0, 4, "above 0"), (1.2, 4, "at most 1"), (float("nan"), 4, "above 0"), (0.7, 0, "1 to 16"), (0.7, 17, "1 to 16")],
)
def test_what_is_no_threshold(threshold: float, n: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        near_clusters(["涨"], threshold=threshold, n=n)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_the_banding_finds_what_it_says(threshold: float) -> None:
    """The chance by the formula, and as drawn: of sets with that similarity so many share a band."""
    cut = banding(threshold)
    assert cut.found(threshold) >= 0.97
    assert cut.bands * cut.rows <= 128
    chance = random.Random(7)
    pool = [chr(0x4E00 + at) for at in range(8000)]
    pairs = []
    for _ in range(400):  # grams of one character: sets of a known overlap
        both = round(200 * threshold)
        drawn = chance.sample(pool, 200)
        a, b = drawn[:both] + drawn[both : both + (200 - both) // 2], drawn[:both] + drawn[both + (200 - both) // 2 :]
        pairs.append(("".join(a), "".join(b)))
    signed = [sketched([side[at] for side in pairs], 1, cut).table[:, : cut.bands] for at in (0, 1)]
    met = (signed[0] == signed[1]).any(axis=1).mean()
    assert met == pytest.approx(cut.found(threshold), abs=0.04)
    assert Banding(1, 1).found(0.4) == pytest.approx(0.4)


def test_a_family_of_thousands_costs_no_more_than_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of one form, each unlike the others but for it: pairs in the millions, of which few are even thought of."""
    chance, thought_of, compared = random.Random(3), 0, 0
    letters = [chr(code) for code in range(0x4E00, 0x5200)]
    form = "".join(chance.choices(letters, k=60))
    texts = [form + "".join(chance.choices(letters, k=14)) for _ in range(3_000)]
    promising, similarities_of = Sketches.promising, room.similarities

    def listed(sketches: Sketches, left: buckets.I64, right: buckets.I64, threshold: float) -> np.ndarray[Any, Any]:
        nonlocal thought_of
        thought_of += len(left)
        return promising(sketches, left, right, threshold)

    def counted(
        keys: list[str], left: buckets.I64, right: buckets.I64, n: int
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        nonlocal compared
        compared += len(left)
        return similarities_of(keys, left, right, n)

    monkeypatch.setattr(Sketches, "promising", listed)
    monkeypatch.setattr(room, "similarities", counted)
    assert jaccard(ngrams(texts[0]), ngrams(texts[1])) == pytest.approx(57 / 85)  # 57 grams shared, 14 more in each
    assert near_clusters(texts, threshold=0.8).count == len(texts)
    bands = banding(0.8).bands
    # At most three pairs a text that is crowded in a band: its next, the one behind, the bucket's first.
    assert 0.1 * bands * len(texts) < thought_of < 1.5 * bands * len(texts)
    assert compared < thought_of / 2
    assert near_clusters(texts, threshold=0.6).largest == len(texts)


@pytest.mark.parametrize(("form", "tail", "shared"), [(60, 14, 3), (60, 14, 6), (40, 20, 11)])
def test_twins_in_a_family_meet(form: int, tail: int, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred texts of one form each is nearer to one of them, which no band may show; also where families are cut."""
    chance = random.Random(form + shared)
    letters = [chr(code) for code in range(0x4E00, 0x5200)]
    begins = "".join(chance.choices(letters, k=form))
    ends = ["".join(chance.choices(letters, k=tail)) for _ in range(50)]
    twins = [end[:shared] + "".join(chance.choices(letters, k=tail - shared)) for end in ends]
    texts = [begins + end for pair in zip(ends, twins, strict=True) for end in pair]
    near = [at for at in range(0, 100, 2) if jaccard(ngrams(texts[at]), ngrams(texts[at + 1])) >= 0.7]
    assert len(near) > 40
    found = near_clusters(texts)
    assert sum(found.ids[at] == found.ids[at + 1] for at in near) >= 0.95 * len(near)
    assert found.largest == 2
    assert (found.left < found.right).all()
    monkeypatch.setattr(buckets, "_TEXTS", 30)
    cut = near_clusters(texts)
    assert set(zip(cut.left.tolist(), cut.right.tolist(), strict=True)) <= set(
        zip(found.left.tolist(), found.right.tolist(), strict=True)
    )


def test_sketches_pass_pairs_at_the_threshold_and_turn_strangers_away() -> None:
    chance, cut = random.Random(9), banding(0.7)
    letters = [chr(code) for code in range(0x4E00, 0x9000)]
    passed = {}
    for shared in (10, 40, 57, 70):  # of 80 one-letter grams in all: similarities 0.07, 0.33, 0.55, 0.78
        pairs = []
        for _ in range(1_000):
            drawn = chance.sample(letters, 160 - shared)
            pairs.append(("".join(drawn[:80]), "".join(drawn[:shared] + drawn[80:])))
        sketches = sketched([text for pair in pairs for text in pair], 1, cut)
        places = np.arange(0, 2_000, 2)
        passed[round(shared / (160 - shared), 2)] = float(sketches.promising(places, places + 1, 0.7).mean())
    assert passed[0.78] > 0.995
    assert passed[0.33] == passed[0.07] == 0
    assert passed[0.55] < 0.5


@pytest.mark.parametrize(("texts", "characters"), [(2, 10**6), (10**6, 15), (10**6, 1)])
def test_work_is_cut_by_texts_and_by_characters(texts: int, characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    keys = ["".join(rng.choice("涨跌平升") for _ in range(rng.randrange(1, 20))) for _ in range(40)]
    left, right = np.arange(39), np.arange(1, 40)
    whole = sketched(keys, 2, banding(0.6)).table, similarities(keys, left, right, 2)
    monkeypatch.setattr(grams, "_AT_ONCE", texts)
    monkeypatch.setattr(grams, "_CHARACTERS", characters)
    np.testing.assert_array_equal(sketched(keys, 2, banding(0.6)).table, whole[0])
    np.testing.assert_array_equal(similarities(keys, left, right, 2), whole[1])
