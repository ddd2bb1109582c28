"""Unlabelled texts of a kind for a teacher or the router to read: a CSV of ``id,text``.

``python runs/pool.py DATA KIND ROWS FILE [SKIP]``: texts of 8 to 200 characters, each once, in an order that follows
from the texts alone; for investors from the forum file, for news from the financial files without the forum file's
lines, for wire from the second of these alone, for boards the posts of a set whose own labels are weak. SKIP leaves out
the first so many, which an earlier round has read. Near copies of held-out texts are dropped later, where the answers
are learnt from (``finsa adapt --hold-out``).
"""

from __future__ import annotations

import hashlib
import heapq
import sys
from collections.abc import Iterator
from pathlib import Path

from whole_csv import write

from finsa_moe.data.lines import normalised_lines
from finsa_moe.data.reading.read import read_texts
from finsa_moe.data.text import normalise

SHORTEST, LONGEST = 8, 200
POSTS = "forum/extra_stocksentcn.csv"
FILES = {"investors": ("forum",), "news": ("finance", "finance2"), "wire": ("finance2",)}
"""Posts stand among the lines of ``finance``, which a router should not be told are news: it learns from ``wire``."""


def lines(folder: Path, kind: str) -> Iterator[str]:
    """Texts of fitting length of a kind."""
    if kind == "boards":
        posts = map(normalise, read_texts([folder / POSTS]))
        yield from (text for text in posts if SHORTEST <= len(text) <= LONGEST)
        return
    unlabelled = folder / "unlabelled"
    others = set(normalised_lines([unlabelled / "forum.txt.xz"])) if kind != "investors" else set()
    for text in normalised_lines([unlabelled / f"{name}.txt.xz" for name in FILES[kind]]):
        if SHORTEST <= len(text) <= LONGEST and text not in others:
            yield text


def drawn(data: Path, kind: str, most: int) -> tuple[list[str], int]:
    """So many texts of a kind, those with the smallest hashes in their order; and how many there are."""
    hashed = {(hashlib.blake2b(text.encode(), digest_size=8).digest(), text) for text in lines(data, kind)}
    return [text for _, text in heapq.nsmallest(most, hashed)], len(hashed)


def main() -> None:
    """Draw the rows, and write them."""
    data, kind, rows, target = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    skip = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    found, whole = drawn(data, kind, skip + rows)
    write(target, ("id", "text"), ([f"{kind}-{at}", text] for at, text in enumerate(found[skip:])))
    print(f"{target}: {len(found[skip:]):,} of {whole:,} texts")


if __name__ == "__main__":
    main()
