"""Numbers that stand for texts and draws: the same on every machine and in every run.

Strings and arrays go in, 64-bit numbers come out. Among ten million texts two share a number with a chance of three
in a million; they would be taken for equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
_STEP, _FIRST, _SECOND = (np.uint64(v) for v in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def numbers(texts: Iterable[str]) -> U64:
    """A number of each text: the first 8 bytes of its BLAKE2b."""
    joined = b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


def mixed(values: U64) -> U64:
    """Numbers scattered over the whole range, one to one (splitmix64; Steele et al. 2014, figure 19)."""
    values = values + _STEP  # arrays wrap round without a word
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))
