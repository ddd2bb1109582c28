"""Texts without labels that teach the router where a text belongs, whatever its length.

Texts of known domains go in, rows without a class come out. Labelled rows alone teach a shortcut: where posts are short
and news is long, short news goes to the posts' expert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.reading.read import read_texts
from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
from finsa_moe.training.batches import Rows

NO_CLASS = -100
"""The class id of a row that has none; every loss but the router's passes over it."""
SHORTEST, LONGEST = 8, 48
"""Characters of the heads that texts are cut to."""


def head_lengths(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Characters of so many heads, (n,), drawn evenly on a logarithmic scale from `SHORTEST` to `LONGEST`."""
    return np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST + 1), count)).astype(np.int64)


def routing_rows(
    files: Mapping[str, Path], *, most: int, held_out: Sequence[str] = (), seed: int = 13, text: str | None = None
) -> dict[str, Rows]:
    """As many rows for every domain, every second one cut to its first characters.

    The lengths of the cut ones are drawn evenly on a logarithmic scale, the same for every domain, so that length tells
    nothing of them.

    Args:
        files: A file of texts by domain.
        most: Rows of a domain; fewer where a file has fewer, and then fewer for all.
        held_out: Texts that the model is going to be judged by; what is equal or near to one is dropped, and a text
            whose head would be stays whole.
        seed: Chooses texts and lengths.
        text: The user's name of the texts' column, in the files that have such a column.

    Raises:
        DataError: If a file holds no text.
    """
    index, rng = HeldOut(held_out), np.random.default_rng(seed)
    found: dict[str, list[str]] = {}
    for domain, file in files.items():
        texts = list(dict.fromkeys(clean for clean in map(normalise, read_texts([file], text)) if clean))
        found[domain] = []
        for at in rng.permutation(len(texts)):
            if len(found[domain]) == most:
                break
            if index.match(texts[at]) is None:
                found[domain].append(texts[at])
        if not found[domain]:
            raise DataError(f"{file}: no text left to teach the router with; name a file of unlabelled {domain} texts")
    count = min(map(len, found.values()), default=0)
    lengths = head_lengths(rng, count)
    return {
        domain: Rows(
            files[domain],
            [_head(whole, lengths[at], index) if at % 2 else whole for at, whole in enumerate(texts[:count])],
            [NO_CLASS] * count,
        )
        for domain, texts in found.items()
    }


def _head(whole: str, length: int, held: HeldOut) -> str:
    """The text's first characters, or all of it where they are near to a text to be judged by."""
    return whole if held.match(whole[:length]) else whole[:length]
