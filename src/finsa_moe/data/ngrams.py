"""A linear model of character n-grams: a table of keys and weights, small enough to travel with an expert or a router.

Texts in, one value a class out, as logits are; `training.ngrams` fits it. A network of few millions of parameters reads
word order and holds few names and turns of phrase; a table is the reverse, and the two err apart (EXPERIMENTS.md).
Counts are weighed as TF-IDF: (1 + ln count) · idf, each text's to length 1 over the n-grams it shares with the table.

In a file, numpy's ``.npz`` without pickle, an n-gram takes three to four bytes: who only asks has nothing but numpy and
the engine installed, and 260 MB for all of it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.amounts import read
from finsa_moe.errors import ModelError
from finsa_moe.files import write

EXPERT_TABLE, ROUTER_TABLE = "ngrams.npz", "router_ngrams.npz"
LONGEST = 4
"""Characters of the longest n-gram."""
READ = 512
"""Characters of a text that are looked at, from its beginning, whatever of it is cut from what the network reads."""
PART = 1024
"""Texts looked up at a time."""
KEY_BITS = 28
"""Bits of a key: of 100,000 n-grams one in 2,700 that a text has and the table has not is taken for one that it has."""
_COARSE = KEY_BITS - 20  # bits of a key that a first look leaves out
IDF = np.float32(1 / 16)
"""What a step of a stored idf is worth."""
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbours over all bits
_PARTS = {"keys": np.uint32, "idf": np.uint8, "weights": np.int8, "scale": np.float32, "bias": np.float32}
Keys = NDArray[np.uint32]
Places = NDArray[np.int64]
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class NGrams:
    """A table of m n-grams for c classes: the three polarities of an expert's, the domains of a router's.

    Attributes:
        keys: Of each n-gram its key, (m,) uint32, ascending; see `text_keys`.
        idf: Its inverse document frequency in steps of `IDF`, (m,) uint8.
        weights: Its weight by class in steps of `scale`, (m, c) int8.
        scale: What a step is worth, () float32.
        bias: By class, (c,) float32; NaN for a class that the table knows nothing of.
    """

    keys: Keys
    idf: NDArray[np.uint8]
    weights: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def rounded(cls, keys: Keys, idf: Reals, weights: Reals, bias: Reals) -> NGrams:
        """A table of real idf (m,) and weights (m, c)."""
        scale = np.float32(max(float(np.abs(weights).max(initial=0)), 1e-9) / 127)
        steps = np.round(np.clip(idf / IDF, 1, 255)).astype(np.uint8)
        return cls(keys, steps, np.round(weights / scale).astype(np.int8), np.asarray(scale), bias.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> Reals:
        """Values (n, c) float32 of raw texts; a text without a known n-gram has the bias."""
        parts = [np.zeros((0, len(self.bias)), dtype=np.float32)]
        parts += [self._values(texts[start : start + PART]) for start in range(0, len(texts), PART)]
        return np.concatenate(parts)

    def _values(self, texts: Sequence[str]) -> Reals:
        of, places, counts = found(self.keys, texts, self._there)
        shares = weighed(of, counts, self.idf[places], len(texts))
        weights = self.weights[places].astype(np.float32)
        sums = [np.bincount(of, shares * column, len(texts)) for column in weights.T]
        values: Reals = np.stack(sums, axis=1).astype(np.float32) * self.scale + self.bias
        return values

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        """Whether a key of these upper bits stands in the table, (2^20,): most n-grams of a text need no search."""
        there = np.zeros(1 << (KEY_BITS - _COARSE), dtype=bool)
        there[self.keys >> _COARSE] = True
        return there

    def scaled(self, by: float) -> NGrams:
        """The table whose values are so many times as large."""
        return replace(self, scale=np.asarray(self.scale * np.float32(by)), bias=self.bias * np.float32(by))

    def columns(self, kept: Sequence[int | None]) -> NGrams:
        """The table for other classes: the one here of each number, and one it knows nothing of for each None."""
        weights = np.zeros((len(self.keys), len(kept)), dtype=np.int8)
        bias = np.full(len(kept), np.nan, dtype=np.float32)
        for at, old in enumerate(kept):
            if old is not None:
                weights[:, at], bias[at] = self.weights[:, old], self.bias[old]
        return replace(self, weights=weights, bias=bias)

    def content(self) -> bytes:
        """The table as the bytes of a file."""
        parts = {name: getattr(self, name) for name in _PARTS}
        steps = np.diff(self.keys, prepend=np.uint32(0))  # ascending numbers pack worse than what lies between them
        parts["keys"] = steps.astype(np.min_scalar_type(int(steps.max(initial=0))))
        file = io.BytesIO()
        np.savez_compressed(file, **parts)
        return file.getvalue()

    def write(self, path: Path) -> None:
        """Write a file; it has its name only when it is whole."""
        write(path, self.content())

    @classmethod
    def of(cls, content: bytes, path: Path, classes: int) -> NGrams:
        """What `content` gave, of so many classes; `path` is named in errors.

        Raises:
            ModelError: If it is no such table.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                parts = {name: arrays[name].astype(kind, casting="safe") for name, kind in _PARTS.items()}
            table = cls(**parts | {"keys": np.cumsum(parts["keys"], dtype=np.uint32)})
        except Exception as error:  # numpy, zipfile and zlib raise half a dozen kinds
            raise ModelError(f"{path}: damaged ({error}); restore it from where the folder was made") from None
        shapes = {name: getattr(table, name).shape for name in _PARTS}
        many = shapes["keys"][0] if len(shapes["keys"]) == 1 else -1
        if shapes != {"keys": (many,), "idf": (many,), "weights": (many, classes), "scale": (), "bias": (classes,)}:
            raise ModelError(
                f"{path}: damaged (its parts do not match each other, or {classes} classes); restore it from where the "
                "folder was made"
            )
        return table

    @classmethod
    def read(cls, path: Path, classes: int, *, noted: object = False) -> NGrams | None:
        """The table of a file; None where there is none.

        Args:
            path: The file.
            classes: How many there are.
            noted: What the folder's JSON says of a table there; if true, there has to be one.

        Raises:
            ModelError: If it is damaged, or noted and not there.
        """
        if path.is_file():
            return cls.of(path.read_bytes(), path, classes)
        if noted:
            raise ModelError(f"{path}: missing; restore the table of n-grams from where the folder was made")
        return None


def text_keys(texts: Sequence[str]) -> tuple[Keys, Places]:
    """Keys of raw texts' n-grams of 1 to `LONGEST` characters, as often as each occurs, and the text of each.

    A key is a hash of `KEY_BITS` bits, the upper ones of 64, by multiplying and shifting one character after the other.
    """
    seen = [read(text)[:READ] for text in texts]
    points = np.frombuffer("".join(seen).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    of = np.repeat(np.arange(len(seen)), [len(text) for text in seen])
    rolled = np.zeros(len(points), dtype=np.uint64)
    keys, owners = [rolled[:0].astype(np.uint32)], [of[:0]]
    for size in range(1, min(LONGEST, len(points)) + 1):
        last = len(points) - size + 1
        rolled = rolled[:last] * _ODD ^ (points[size - 1 :] + np.uint64(size))
        rolled = (rolled ^ (rolled >> np.uint64(29))) * _ODD
        inside = of[:last] == of[size - 1 :]  # no n-gram reaches from one text into the next
        keys.append((rolled[inside] >> np.uint64(64 - KEY_BITS)).astype(np.uint32))
        owners.append(of[:last][inside])
    return np.concatenate(keys), np.concatenate(owners)


def found(keys: Keys, texts: Sequence[str], there: NDArray[np.bool_] | None = None) -> tuple[Places, Places, Places]:
    """Which n-grams of a table stand in raw texts: text, place in the ascending `keys`, and count, in this order.

    With `there` what cannot be in the table is left out before it is searched for.
    """
    own, of = text_keys(texts)
    if there is not None:
        maybe = there[own >> _COARSE]
        own, of = own[maybe], of[maybe]
    places = np.searchsorted(keys, own)
    known = places < len(keys)
    known[known] = keys[places[known]] == own[known]
    pairs, counts = np.unique(of[known] * len(keys) + places[known], return_counts=True)
    of, places = np.divmod(pairs, max(1, len(keys)))
    return of, places, counts


def weighed(of: Places, counts: Places, idf: NDArray[Any], texts: int) -> Reals:
    """TF-IDF of n-grams that stand in so many texts `of`, each text's of Euclidean length 1; idf in any unit."""
    values = (1 + np.log(counts)) * idf
    lengths = np.sqrt(np.bincount(of, values * values, texts))
    unit: Reals = (values / lengths[of]).astype(np.float32)
    return unit
