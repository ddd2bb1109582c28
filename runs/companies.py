"""Companies' names exchanged: what an answer must not hang on, taught by rows (``runs/expert_rows.py --companies``) and
measured on dev texts (``runs/examine.py``).

Names come from ``companies/learnt.txt``; those of ``companies/kept.txt`` are never put into a row, so that a model can
be asked with names that no row was made with. Both lists were written for this, from memory.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

SEED = 13
_LISTS = Path(__file__).with_name("companies")
LEARNT, KEPT = (tuple((_LISTS / f"{part}.txt").read_text(encoding="utf-8").split()) for part in ("learnt", "kept"))
_NAMED = re.compile("|".join(map(re.escape, sorted((*LEARNT, *KEPT), key=len, reverse=True))))


def named(text: str) -> bool:
    """Whether a company of either list is named."""
    return _NAMED.search(text) is not None


def exchanged(text: str, names: tuple[str, ...], generator: random.Random) -> str:
    """The text with every company in it changed for one of `names` that it does not name, no two for the same."""
    found = list(dict.fromkeys(_NAMED.findall(text)))
    free = [name for name in names if name not in found]
    other = dict(zip(found, generator.sample(free, len(found)), strict=True))
    return _NAMED.sub(lambda match: other[match.group()], text)


def also_exchanged(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Texts and labels; after them those that name a company once more, under other names, each with its label."""
    generator = random.Random(SEED)
    return [*rows, *((exchanged(text, LEARNT, generator), label) for text, label in rows if named(text))]
