"""Texts as sets of hashed character n-grams, many at a time: their MinHash bands, and the true Jaccard of pairs.

Keys (`text.duplicate_key`) go in, numpy arrays come out. MinHash is rensa's; it proposes, the true similarity decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.hashing import U64, mixed
from finsa_moe.errors import require

SEED = 42  # of MinHash: any fixed number does
_AT_ONCE = 20_000  # texts, or pairs of them, in one array: some 50 MB
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


def banding(threshold: float, chance: float = 0.97) -> Banding:
    """The cheapest banding by which texts at the threshold meet with this chance: the most rows within 128 values."""
    for rows in range(8, 0, -1):
        bands = next((b for b in range(1, 128 // rows + 1) if Banding(b, rows).found(threshold) >= chance), None)
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

    Two different grams share a number with a chance of 2^-64 (splitmix64 over the code points).
    """
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    points = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    counts = np.maximum(lengths - n + 1, 1)
    ends = np.cumsum(counts)
    # Each gram's first place in `points`: the text's start and the gram's number within the text.
    starts = np.cumsum(lengths) - lengths
    first = np.repeat(starts - (ends - counts), counts) + np.arange(int(counts.sum()))
    last = np.repeat(starts + lengths, counts)
    flat = np.zeros(len(first), dtype=np.uint64)
    for offset in range(n):
        place = first + offset
        inside = place < last
        flat = mixed(flat + np.where(inside, points[np.minimum(place, len(points) - 1)] + np.uint64(1), np.uint64(0)))
    return Grams(flat, ends)


def bands(keys: Sequence[str], n: int, cut: Banding) -> U64:
    """MinHash signatures cut into bands, each a number: uint64 (keys, bands).

    Raises:
        MissingExtra: If rensa is not installed.
    """
    rensa = require("rensa", "data", "finding near-duplicates")
    parts = [np.empty((0, cut.bands), dtype=np.uint64)]
    for start in range(0, len(keys), _AT_ONCE):
        grams = hashed(keys[start : start + _AT_ONCE], n)
        offsets = np.concatenate([np.zeros(1, dtype=np.uint64), grams.ends.astype(np.uint64)])
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(grams.flat, offsets, cut.bands * cut.rows, SEED)
        values = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, cut.bands, cut.rows)
        number = np.broadcast_to(np.arange(cut.bands, dtype=np.uint64), values.shape[:2])
        for row in range(cut.rows):
            number = mixed(number + values[:, :, row])
        parts.append(number)
    return np.concatenate(parts)


def similarities(keys: Sequence[str], left: NDArray[np.int64], right: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    """True Jaccard of the n-gram sets of pairs of keys: float32 (pairs,).

    Args:
        keys: Some keys.
        left: int64 (pairs,), positions in `keys`.
        right: int64 (pairs,), likewise.
        n: Length of an n-gram, characters.
    """
    found = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), _AT_ONCE):
        end = start + _AT_ONCE
        a, na = _sets([keys[i] for i in left[start:end].tolist()], n)
        b, nb = _sets([keys[i] for i in right[start:end].tolist()], n)
        both = np.sort(np.concatenate([a, b]))
        shared = both[1:][both[1:] == both[:-1]] >> np.uint64(44)
        common = np.bincount(shared.astype(np.int64), minlength=len(na))
        found[start:end] = common / (na + nb - common)
    return found


def _sets(keys: Sequence[str], n: int) -> tuple[U64, NDArray[np.int64]]:
    """The sets of grams of up to 2^20 texts in one sorted array, the text's number in the high bits; their sizes.

    44 bits of a gram are left: of two texts with a hundred grams each, one in 2^30 pairs is off by one gram.
    """
    grams = hashed(keys, n)
    owner = np.repeat(np.arange(len(keys), dtype=np.uint64), np.diff(grams.ends, prepend=0))
    sets = np.unique((owner << np.uint64(44)) | (grams.flat & _LOW))
    return sets, np.bincount((sets >> np.uint64(44)).astype(np.int64), minlength=len(keys))
