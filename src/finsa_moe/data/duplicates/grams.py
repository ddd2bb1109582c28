"""Texts as sets of hashed character n-grams, many at a time: their MinHash bands, and the true Jaccard of pairs.

Keys (`text.duplicate_key`) go in, numpy arrays come out. MinHash is rensa's: its bands propose pairs, its values say
which are worth comparing, and the true similarity decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.hashing import U64, mixed
from finsa_moe.errors import require

SEED = 42  # of MinHash: any fixed number does
MEET = 0.97
"""The chance that two texts meet which are just as similar as the threshold asks."""
_AT_ONCE = 20_000  # texts, or pairs of them, in one array
_CHARACTERS = 2_000_000  # of them in one array, unless one text alone has more: some 80 MB
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64((1 << 44) - 1)


@dataclass(frozen=True)
class Banding:
    """How a MinHash signature is cut: texts meet when all rows of one of the bands agree.

    Attributes:
        bands: How many.
        rows: Values a band.
    """

    bands: int
    rows: int

    def found(self, similarity: float) -> float:
        """The chance that two texts of this Jaccard similarity meet (Leskovec et al. 2014, section 3.4.2)."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands

    @property
    def width(self) -> int:
        """Columns of a table of `Sketches`: one a band, and four MinHash values a column."""
        return self.bands + math.ceil(self.bands * self.rows / 4)


def banding(threshold: float) -> Banding:
    """The cheapest banding by which texts at the threshold meet with chance `MEET`: the most rows within 128 values."""
    for rows in range(8, 0, -1):
        bands = next((b for b in range(1, 128 // rows + 1) if Banding(b, rows).found(threshold) >= MEET), None)
        if bands is not None:
            return Banding(bands, rows)
    return Banding(128, 1)


@dataclass(frozen=True)
class Grams:
    """Hashed n-grams of some texts: those of text i are ``flat[ends[i - 1] : ends[i]]``, repeats included."""

    flat: U64
    ends: NDArray[np.int64]


def hashed(keys: Sequence[str], n: int) -> Grams:
    """The n-grams of keys as 64-bit numbers; a key shorter than n is one gram.

    Two different grams share a number with a chance of 2^-64 (a polynomial over the code points, then splitmix64).
    """
    gap = "\0" * n  # so that no window of a text longer than n reaches into the next
    points = np.frombuffer((gap.join(keys) + gap).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    windows = len(points) - n + 1
    rolled = np.zeros(windows, dtype=np.uint64)
    for offset in range(n):
        rolled *= _FACTOR
        rolled += points[offset : offset + windows]
    counts = np.maximum(lengths - n + 1, 1)
    ends = np.cumsum(counts)
    starts = np.cumsum(lengths + n) - (lengths + n)
    flat = mixed(rolled[np.repeat(starts - (ends - counts), counts) + np.arange(int(counts.sum()))])
    return Grams(flat, ends)


@dataclass(frozen=True)
class Sketches:
    """What stands for keys in the search for near ones.

    Attributes:
        table: uint32 (keys, width): a number a band, then the last byte of every MinHash value.
        cut: How the table is laid out.
    """

    table: NDArray[np.uint32]
    cut: Banding

    def band(self, number: int) -> NDArray[np.uint32]:
        """The numbers of one band, counted round: uint32 (keys,)."""
        return self.table[:, number % self.cut.bands]

    def promising(self, left: NDArray[np.int64], right: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
        """Which pairs may be as similar as the threshold, as far as their MinHash values tell: bool (pairs,).

        The share of equal values estimates the similarity s with a standard deviation of sqrt(s (1 - s) / values); a
        pair at the threshold is missed with a chance of 0.005, one well above it never.
        """
        size = self.cut.bands * self.cut.rows
        least = size * (threshold - 2.6 * math.sqrt(threshold * (1 - threshold) / size))
        found = np.empty(len(left), dtype=np.bool_)
        for start in range(0, len(left), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            ones, others = (self.table[which[some], self.cut.bands :].view(np.uint8) for which in (left, right))
            found[some] = np.count_nonzero((ones == others)[:, :size], axis=1) >= least
        return found


def sketched(keys: Sequence[str], n: int, cut: Banding) -> Sketches:
    """Sketch keys by MinHash.

    Raises:
        MissingExtra: If rensa is not installed.
    """
    rensa = require("rensa", "data", "finding near-duplicates")
    size = cut.bands * cut.rows
    table = np.zeros((len(keys), cut.width), dtype=np.uint32)
    for part in parts(np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))):
        some, here = keys[part], table[part]
        grams = hashed(some, n)
        offsets = np.concatenate([np.zeros(1, dtype=np.uint64), grams.ends.astype(np.uint64)])
        rows = rensa.RMinHash.digest_matrix_from_flat_token_hashes(grams.flat, offsets, size, SEED).to_rows()
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(some) * size).view(np.uint64)
        here.view(np.uint8)[:, 4 * cut.bands : 4 * cut.bands + size] = values.reshape(-1, size).astype(np.uint8)
        values = values.reshape(-1, cut.bands, cut.rows)
        number = np.zeros(values.shape[:2], dtype=np.uint64)
        for row in range(cut.rows):
            number = mixed(number + values[:, :, row])
        here[:, : cut.bands] = number >> np.uint64(32)
    return Sketches(table, cut)


def similarities(keys: Sequence[str], left: NDArray[np.int64], right: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    """True Jaccard of the n-gram sets of pairs of keys: float32 (pairs,).

    Args:
        keys: Some keys.
        left: int64 (pairs,), positions in `keys`.
        right: int64 (pairs,), likewise.
        n: Length of an n-gram, characters.
    """
    found = np.empty(len(left), dtype=np.float32)
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    for part in parts(lengths[left] + lengths[right]):
        a, na = _sets([keys[i] for i in left[part].tolist()], n)
        b, nb = _sets([keys[i] for i in right[part].tolist()], n)
        both = np.sort(np.concatenate([a, b]))
        shared = both[1:][both[1:] == both[:-1]] >> np.uint64(44)
        common = np.bincount(shared.astype(np.int64), minlength=len(na))
        found[part] = common / (na + nb - common)
    return found


def parts(lengths: NDArray[np.int64], texts: int | None = None, characters: int | None = None) -> Iterator[slice]:
    """Texts of these lengths, or pairs, cut into what is worked on in one array: so many of them at most."""
    texts, characters = texts or _AT_ONCE, characters or _CHARACTERS
    ends = np.cumsum(lengths)
    start = done = 0
    while start < len(lengths):
        end = int(np.searchsorted(ends, done + characters, side="right"))
        end = max(start + 1, min(end, start + texts))
        yield slice(start, end)
        start, done = end, int(ends[end - 1])


def _sets(keys: Sequence[str], n: int) -> tuple[U64, NDArray[np.int64]]:
    """The sets of grams of up to 2^20 texts in one sorted array, the text's number in the high bits; their sizes.

    44 bits of a gram are left: of two texts with a hundred grams each, one in 2^30 pairs is off by one gram.
    """
    grams = hashed(keys, n)
    owner = np.repeat(np.arange(len(keys), dtype=np.uint64), np.diff(grams.ends, prepend=0))
    sets = np.sort((owner << np.uint64(44)) | (grams.flat & _LOW))
    sets = sets[np.concatenate([np.ones(min(1, len(sets)), dtype=np.bool_), sets[1:] != sets[:-1]])]
    return sets, np.bincount((sets >> np.uint64(44)).astype(np.int64), minlength=len(keys))
