"""A linear model of character n-grams: a table of keys and weights, small enough to travel with an expert or a router.

Texts in, one value a class out, as logits are; `training.ngrams` fits it. A network of few millions of parameters reads
word order and holds few names and turns of phrase; a table is the reverse, and the two err apart (EXPERIMENTS.md).
Counts are weighed as TF-IDF: (1 + ln count) · idf, each text's to length 1 over the n-grams it shares with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from finsa_moe.data.text import normalise
from finsa_moe.errors import ModelError
from finsa_moe.files import write

EXPERT_TABLE, ROUTER_TABLE = "ngrams.safetensors", "router_ngrams.safetensors"
LONGEST = 4
"""Characters of the longest n-gram."""
READ = 512
"""Characters of a text that are looked at, from its beginning."""
PART = 1024
"""Texts looked up at a time."""
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbours over all bits
_PARTS = {"keys": np.uint64, "idf": np.float32, "weights": np.float16, "bias": np.float32}
Keys = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class NGrams:
    """A table of m n-grams for c classes: the three polarities of an expert's, the domains of a router's.

    Attributes:
        keys: Of each n-gram its key, (m,) uint64, ascending; see `text_keys`.
        idf: Its inverse document frequency, (m,) float32.
        weights: Its weight by class, (m, c) float16.
        bias: By class, (c,) float32; NaN for a class that the table knows nothing of.
    """

    keys: Keys
    idf: NDArray[np.float32]
    weights: NDArray[np.float16]
    bias: NDArray[np.float32]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Values (n, c) float32 of raw texts; a text without a known n-gram has the bias."""
        parts = [np.zeros((0, len(self.bias)), dtype=np.float32)]
        parts += [self._values(texts[start : start + PART]) for start in range(0, len(texts), PART)]
        return np.concatenate(parts)

    def _values(self, texts: Sequence[str]) -> NDArray[np.float32]:
        of, places, counts = found(self.keys, texts)
        shares = weighed(of, counts, self.idf[places], len(texts))
        weights = self.weights[places].astype(np.float32)
        sums = [np.bincount(of, shares * column, len(texts)) for column in weights.T]
        values: NDArray[np.float32] = np.stack(sums, axis=1).astype(np.float32) + self.bias
        return values

    def columns(self, kept: Sequence[int | None]) -> NGrams:
        """The table for other classes: the one here of each number, and one it knows nothing of for each None."""
        weights = np.zeros((len(self.keys), len(kept)), dtype=np.float16)
        bias = np.full(len(kept), np.nan, dtype=np.float32)
        for at, old in enumerate(kept):
            if old is not None:
                weights[:, at], bias[at] = self.weights[:, old], self.bias[old]
        return NGrams(self.keys, self.idf, weights, bias)

    def content(self) -> bytes:
        """The table as the bytes of a file."""
        return save({name: np.ascontiguousarray(getattr(self, name)) for name in _PARTS})

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
            arrays = load(content)
            table = cls(**{name: arrays[name].astype(kind, casting="safe") for name, kind in _PARTS.items()})
        except Exception as error:  # the library's own error class is not exported
            raise ModelError(f"{path}: damaged ({error}); restore it from where the folder was made") from None
        shapes = {name: getattr(table, name).shape for name in _PARTS}
        many = shapes["keys"][0] if len(shapes["keys"]) == 1 else -1
        if shapes != {"keys": (many,), "idf": (many,), "weights": (many, classes), "bias": (classes,)}:
            raise ModelError(
                f"{path}: damaged (its parts do not match each other, or {classes} classes); restore it from where the "
                "folder was made"
            )
        return table

    @classmethod
    def read(cls, path: Path, classes: int) -> NGrams | None:
        """The table of a file; None where there is none.

        Raises:
            ModelError: If it is damaged.
        """
        return cls.of(path.read_bytes(), path, classes) if path.is_file() else None


def text_keys(texts: Sequence[str]) -> tuple[Keys, Places]:
    """Keys of raw texts' n-grams of 1 to `LONGEST` characters, as often as each occurs, and the text of each.

    A key is a hash of 64 bits, by multiplying and shifting one character after the other.
    """
    read = [normalise(text)[:READ] for text in texts]
    points = np.frombuffer("".join(read).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    of = np.repeat(np.arange(len(read)), [len(text) for text in read])
    rolled = np.zeros(len(points), dtype=np.uint64)
    keys, owners = [rolled[:0]], [of[:0]]
    for size in range(1, min(LONGEST, len(points)) + 1):
        last = len(points) - size + 1
        rolled = rolled[:last] * _ODD ^ (points[size - 1 :] + np.uint64(size))
        rolled = (rolled ^ (rolled >> np.uint64(29))) * _ODD
        inside = of[:last] == of[size - 1 :]  # no n-gram reaches from one text into the next
        keys.append(rolled[inside])
        owners.append(of[:last][inside])
    return np.concatenate(keys), np.concatenate(owners)


def found(keys: Keys, texts: Sequence[str]) -> tuple[Places, Places, Places]:
    """Which n-grams of a table stand in raw texts: text, place in the ascending `keys`, and count, in this order."""
    own, of = text_keys(texts)
    places = np.searchsorted(keys, own)
    known = places < len(keys)
    known[known] = keys[places[known]] == own[known]
    pairs, counts = np.unique(of[known] * len(keys) + places[known], return_counts=True)
    of, places = np.divmod(pairs, max(1, len(keys)))
    return of, places, counts


def weighed(of: Places, counts: Places, idf: NDArray[np.float32], texts: int) -> NDArray[np.float32]:
    """TF-IDF of n-grams that stand in so many texts `of`, each text's of Euclidean length 1, float32."""
    values = (1 + np.log(counts)) * idf
    lengths = np.sqrt(np.bincount(of, values * values, texts))
    unit: NDArray[np.float32] = (values / lengths[of]).astype(np.float32)
    return unit
