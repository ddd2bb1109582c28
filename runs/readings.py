"""Labels that a language model gave by reading, joined to the texts they belong to.

``python runs/readings.py DATA OUT [FOLDER]``: the texts are not ours to publish, so ``runs/readings/*.csv`` hold a hash
of each text and its label (利空, 中性, 利好 under the rubric of the training rows). Texts of DATA with such a hash go
to files of the same names in OUT, as ``id,text,label``; what is near to a dev text is dropped where it is learnt from
(``--hold-out``). FOLDER is ``runs/readings`` when left out; ``runs/readings/fresh`` holds what was read after the
default model had shipped, a part of it, drawn at random, to judge by (``*.valid.csv``, ``runs/untouched.py``). A label
that was read again is the last one. Which texts were read, and how far the readings agree with the training rows'
labels: EXPERIMENTS.md.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from whole_csv import write

from finsa_moe.data.lines import normalised_lines
from finsa_moe.data.text import normalise

READINGS = Path(__file__).with_suffix("")
UNLABELLED = ("finance", "finance2", "forum")
RELABELLED = (  # whose own labels follow other guidelines
    "forum/extra_finfe",
    "forum/extra_stocksentcn",
    "news/extra_cfsc",
    "news/extra_xmu_binary",
    "other/announcement_weak_binary",
    "other/event_types",
)


def mark(text: str) -> str:
    """The hash a reading is kept by: of the text in its canonical spelling."""
    return hashlib.blake2b(normalise(text).encode(), digest_size=6).hexdigest()


def texts(data: Path) -> Iterator[str]:
    """Every text that may have been read."""
    yield from normalised_lines([data / "unlabelled" / f"{name}.txt.xz" for name in UNLABELLED])
    for name in RELABELLED:
        if (file := data / f"{name}.csv").is_file():
            with file.open(encoding="utf-8", newline="") as opened:
                yield from (row["text"] for row in csv.DictReader(opened))


def labels(file: Path) -> dict[str, str]:
    """Label by hash."""
    with file.open(encoding="utf-8", newline="") as opened:
        return {row["blake2b"]: row["label"] for row in csv.DictReader(opened)}


def joined(found: Iterable[str], known: dict[str, dict[str, str]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Text and label by hash, for each kind of reading."""
    rows: dict[str, dict[str, tuple[str, str]]] = {kind: {} for kind in known}
    for text in found:
        key = mark(text)
        for kind, readings in known.items():
            if key in readings:
                rows[kind][key] = (text, readings[key])
    return rows


def main() -> None:
    """Write the joined rows of each kind, and say how many readings found theirs."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else READINGS
    known = {file.stem: labels(file) for file in sorted(folder.glob("*.csv"))}
    for kind, rows in joined(texts(data), known).items():
        write(out / f"{kind}.csv", ("id", "text", "label"), ([key, *row] for key, row in sorted(rows.items())))
        print(f"{out / kind}.csv: {len(rows):,} of {len(known[kind]):,} readings found their text")


if __name__ == "__main__":
    main()
