"""Texts as ids of what stands in them: their characters in order, or their n-grams in a bag.

Fitted on training texts, both give an id for whatever comes later. They know no network and no label.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.text import normalise
from finsa_moe.errors import require
from finsa_moe.evaluation.baselines.network import UNKNOWN


class Characters:
    """Characters that stand in two training texts at least, in their order; others share one id.

    Args:
        longest: Characters kept of a text: two thirds of them its head, the rest its tail.
    """

    def __init__(self, longest: int = 256) -> None:
        self.longest = longest
        self.size = UNKNOWN + 1
        self._ids: dict[str, int] = {}

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the characters."""
        counts = Counter(char for text in texts for char in set(normalise(text)))
        kept = sorted(char for char, count in counts.items() if count > 1)
        self._ids = {char: UNKNOWN + 1 + at for at, char in enumerate(kept)}
        self.size = UNKNOWN + 1 + len(kept)

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text's characters; of an empty text the one of the unknown."""
        return [self._encode(normalise(text)) for text in texts]

    def _encode(self, text: str) -> NDArray[np.int64]:
        if len(text) > self.longest:
            tail = self.longest // 3
            text = text[: self.longest - tail] + text[-tail:]
        return np.array([self._ids.get(char, UNKNOWN) for char in text] or [UNKNOWN], dtype=np.int64)


class NGrams:
    """Character n-grams and word n-grams, hashed (Bojanowski et al. 2017), those of two training texts at least.

    Chinese writes no word borders: the words are those that rjieba finds.

    Args:
        buckets: Values of the hash.
        characters: Longest n-gram of characters.
        words: Longest n-gram of words.
        longest: Characters read of a text.

    Raises:
        MissingExtra: If rjieba is not installed.
    """

    def __init__(self, buckets: int = 2**20, characters: int = 4, words: int = 2, longest: int = 512) -> None:
        self._words_of = require("rjieba", "data", "the baseline fasttext").cut
        self.size = UNKNOWN + 1
        self.buckets, self.characters, self.words, self.longest = buckets, characters, words, longest
        self._places = np.zeros(0, dtype=np.int64)

    def fit(self, texts: Sequence[str]) -> None:
        """Learn which n-grams come twice."""
        counts = np.bincount(np.concatenate(list(self._hashed(texts))), minlength=self.buckets)
        self._places = np.zeros(self.buckets, dtype=np.int64)
        kept = np.flatnonzero(counts > 1)
        self._places[kept] = UNKNOWN + 1 + np.arange(len(kept))
        self.size = UNKNOWN + 1 + len(kept)

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text's n-grams, in no meaningful order; of a text without a known one that of the unknown."""
        found = (self._places[buckets] for buckets in self._hashed(texts))
        return [ids[ids > 0] if ids.any() else np.array([UNKNOWN]) for ids in found]

    def _hashed(self, texts: Sequence[str]) -> Iterator[NDArray[np.int64]]:
        for text in texts:
            clean = normalise(text)[: self.longest]
            grams = {f"c{gram}" for gram in _grams(clean, self.characters)}
            grams |= {f"w{' '.join(gram)}" for gram in _grams(self._words_of(clean), self.words)}
            # crc32, since Python's own hash differs from one process to the next
            yield np.array(sorted({zlib.crc32(gram.encode()) % self.buckets for gram in grams}), dtype=np.int64)


def _grams(items: Sequence[str], longest: int) -> Iterator[Sequence[str]]:
    for n in range(1, longest + 1):
        for at in range(len(items) - n + 1):
            yield items[at : at + n]
