"""The duplicate keys of many texts at once: what `text.duplicate_key` gives, its last step done on one long array.

It knows nothing of rows or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.text import is_mark, normalise

_BETWEEN = "\n"  # no canonical text holds one
_BATCH = 2_048  # texts a turn: their characters then stay in the cache
_PLAIN, _MARK, _DASH, _POINT, _DIGIT, _LETTER = range(6)


def duplicate_keys(texts: Sequence[str]) -> list[str]:
    """`text.duplicate_key` of each text, in a third less time."""
    return [key for start in range(0, len(texts), _BATCH) for key in _keys(texts[start : start + _BATCH])]


def _keys(texts: Sequence[str]) -> list[str]:
    folded = _BETWEEN.join(map(normalise, texts)).casefold()
    codes = np.frombuffer(folded.encode("utf-32-le"), dtype=np.uint32)
    kinds = _kinds().take(codes, mode="clip")
    before, after = np.roll(kinds, 1), np.roll(kinds, -1)
    before[:1] = after[-1:] = _PLAIN
    digit_follows = after == _DIGIT
    dropped = kinds == _MARK
    dropped |= (kinds == _DASH) & (~digit_follows | (before >= _DIGIT))
    dropped |= (kinds == _POINT) & (~digit_follows | (before != _DIGIT))
    keys: list[str] = codes[~dropped].tobytes().decode("utf-32-le").split(_BETWEEN)
    for at, key in enumerate(keys):
        if not key:  # a text of punctuation alone is its own key
            keys[at] = normalise(texts[at]).casefold().replace(" ", "") or texts[at]
    return keys


@cache
def _kinds() -> NDArray[np.uint8]:
    """What each character of the basic plane is to the rules of `text.duplicate_key`."""
    kinds = np.zeros(0x10000, dtype=np.uint8)
    kinds[[code for code in range(0xFFFF) if is_mark(chr(code))]] = _MARK
    kinds[ord("-")], kinds[ord(".")] = _DASH, _POINT
    kinds[ord("0") : ord("9") + 1] = _DIGIT
    kinds[ord("a") : ord("z") + 1] = _LETTER
    return kinds
