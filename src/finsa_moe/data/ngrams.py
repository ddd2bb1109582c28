"""A linear model of character n-grams: a table of keys and weights, small enough to travel with an expert.

Texts in, one value a class out, as an expert's logits are; `training.ngrams` fits it. A network of few millions of
parameters reads word order and holds few names and turns of phrase; a table is the reverse, and the two err apart
(EXPERIMENTS.md). Counts are weighed as TF-IDF: (1 + ln count) · idf, each text's to length 1 over the n-grams it shares
with the table.
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

FILE = "ngrams.safetensors"
LONGEST = 4
"""Characters of the longest n-gram."""
READ = 512
"""Characters of a text that are looked at, from its beginning."""
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbours over all bits
_PARTS = {"keys": np.uint64, "idf": np.float32, "weights": np.int8, "scale": np.float32, "bias": np.float32}


@dataclass(frozen=True)
class NGrams:
    """A table of n-grams.

    Attributes:
        keys: Of each n-gram its key, (m,) uint64, ascending; see `text_keys`.
        idf: Its inverse document frequency, (m,) float32.
        weights: Its weight by class, (m, 3) int8, in the order bearish, neutral, bullish.
        scale: What a weight of 1 is worth, (1,) float32.
        bias: By class, (3,) float32.
    """

    keys: NDArray[np.uint64]
    idf: NDArray[np.float32]
    weights: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Values (n, 3) float32 of raw texts; a text without a known n-gram has the bias."""
        values = np.tile(self.bias, (len(texts), 1))
        for at, text in enumerate(texts):
            places, counts = found(self.keys, text)
            if len(places):
                share = weighed(counts, self.idf[places])
                values[at] += self.scale * (share @ self.weights[places].astype(np.float32))
        return values

    def content(self) -> bytes:
        """The table as the bytes of a file."""
        return save({name: np.ascontiguousarray(getattr(self, name)) for name in _PARTS})

    def write(self, folder: Path) -> None:
        """Write `FILE` into a folder; it has its name only when it is whole."""
        write(folder / FILE, self.content())

    @classmethod
    def of(cls, content: bytes, path: Path) -> NGrams:
        """What `content` gave; `path` is named in errors.

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
        if shapes != {"keys": (many,), "idf": (many,), "weights": (many, 3), "scale": (1,), "bias": (3,)}:
            raise ModelError(f"{path}: damaged (its parts do not match); restore it from where the folder was made")
        return table

    @classmethod
    def read(cls, folder: Path) -> NGrams | None:
        """The table of a folder; None where there is none.

        Raises:
            ModelError: If it is damaged.
        """
        path = folder / FILE
        return cls.of(path.read_bytes(), path) if path.is_file() else None


def text_keys(text: str) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys of a raw text's n-grams of 1 to `LONGEST` characters, each once, ascending, and how often each occurs.

    A key is a hash of 64 bits, by multiplying and shifting one character after the other.
    """
    points = np.frombuffer(normalise(text)[:READ].encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    rolled = np.zeros(len(points), dtype=np.uint64)
    parts = [rolled[:0]]
    for size in range(1, min(LONGEST, len(points)) + 1):
        rolled = rolled[: len(points) - size + 1] * _ODD ^ (points[size - 1 :] + np.uint64(size))
        rolled = (rolled ^ (rolled >> np.uint64(29))) * _ODD
        parts.append(rolled)
    return np.unique(np.concatenate(parts), return_counts=True)


def found(keys: NDArray[np.uint64], text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in the ascending `keys` of a text's n-grams that stand there, and how often each occurs."""
    own, counts = text_keys(text)
    places = np.searchsorted(keys, own)
    known = places < len(keys)
    known[known] = keys[places[known]] == own[known]
    return places[known], counts[known]


def weighed(counts: NDArray[np.int64], idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """TF-IDF of one text's n-grams, of Euclidean length 1, float32."""
    values = ((1 + np.log(counts)) * idf).astype(np.float32)
    unit: NDArray[np.float32] = values / np.linalg.norm(values)
    return unit
