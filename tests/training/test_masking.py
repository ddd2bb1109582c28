from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from finsa_moe.training.corpus import MASK, SPECIAL, train_tokenizer
from finsa_moe.training.masking import WholeWordMasker
from tests.families import made_rows

LATIN = ["alpha", "beta", "gamma", "delta", "omega"]


@cache
def tokenizer() -> Tokenizer:
    rng = np.random.default_rng(0)
    texts = [text for text, _ in made_rows("news", 200)]
    texts += ["".join(rng.choice(list("abcdeghlmot"), 5)) for _ in range(300)]
    texts += [f"{word}{word}股价{rng.integers(10**6)}元" for word in LATIN for _ in range(20)]
    return train_tokenizer(texts, vocab_size=300)


@cache
def long_batch() -> NDArray[np.int64]:
    """Rows of about equal parts Chinese, digits and Latin, of one length, with special tokens round each."""
    rows, rng = [], np.random.default_rng(1)
    for text, _ in made_rows("forum", 2000, seed=5):
        line = (
            f"{text}{rng.integers(10**4, 10**6)}{text}，{rng.choice(LATIN)}{rng.choice(LATIN)}，{rng.integers(10**5)}元"
            * 2
        )
        ids = tokenizer().encode(line, add_special_tokens=False).ids[:38]
        rows.append([2, *ids, *[0] * (38 - len(ids)), 3])
    return np.array(rows)


def kind(index: int) -> str:
    token = tokenizer().id_to_token(index)
    if index < len(SPECIAL):
        return "special"
    if token.isascii() and token.isdigit():
        return "digit"
    return "latin" if token.isascii() and token.isalpha() else "single"


def words(row: NDArray[np.int64]) -> list[tuple[str, list[int]]]:
    """Naive: neighbours of one kind are a word when they are digits or Latin; everything else stands alone."""
    found: list[tuple[str, list[int]]] = []
    for position, index in enumerate(row.tolist()):
        this = kind(index)
        if found and found[-1][0] == this and this in ("digit", "latin"):
            found[-1][1].append(position)
        else:
            found.append((this, [position]))
    return found


def test_words_are_chosen_whole() -> None:
    _, chosen = WholeWordMasker(tokenizer(), rate=0.3)(long_batch(), np.random.default_rng(0))
    lengths = set()
    for row, picked in zip(long_batch()[:300], chosen[:300], strict=True):
        for what, positions in words(row):
            assert len(set(picked[positions].tolist())) == 1, (what, positions)
            if what != "single":
                lengths.add(len(positions))
    assert max(lengths) >= 4, "the batch must hold words of several tokens"


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_by_kind_and_what_becomes_of_the_chosen(rate: float) -> None:
    ids = long_batch()
    corrupted, chosen = WholeWordMasker(tokenizer(), rate=rate)(ids, np.random.default_rng(3))
    kinds = np.vectorize(kind)(ids)
    assert not chosen[kinds == "special"].any()
    assert chosen[kinds == "single"].mean() == pytest.approx(rate, abs=0.012)
    assert chosen[kinds == "latin"].mean() == pytest.approx(rate, abs=0.03)
    assert chosen[kinds == "digit"].mean() == pytest.approx(rate / 2, abs=0.015)
    assert (corrupted[~chosen] == ids[~chosen]).all()
    masked = (corrupted == MASK)[chosen].mean()
    same = (corrupted == ids)[chosen].mean()
    assert masked == pytest.approx(0.8, abs=0.015)
    assert same == pytest.approx(0.1, abs=0.012)
    noise = corrupted[chosen & (corrupted != MASK) & (corrupted != ids)]
    assert noise.min() >= len(SPECIAL)
    assert noise.max() < tokenizer().get_vocab_size()
    assert len(set(noise.tolist())) > 100


def test_the_same_state_gives_the_same_masks() -> None:
    masker = WholeWordMasker(tokenizer())
    before = long_batch().copy()
    first, second, other = (masker(long_batch(), np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert (first[1] != other[1]).any()
    assert (long_batch() == before).all(), "the caller's ids are left alone"
