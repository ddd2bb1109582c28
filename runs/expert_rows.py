"""An expert's rows out of several prepared folders.

``python runs/expert_rows.py OUT FOLDER[:MOST] … [--more FILE …] [--judge FILE …] [--hold-out FILE …]``:
``OUT/train.csv`` of their training rows, ``OUT/valid.csv`` of their validation rows, which neither a student nor the
expert has then learnt from. MOST bounds the rows of a folder's ``train.csv`` (drawn by a seed). ``--more`` adds rows to
``train.csv`` alone, ``--judge`` to ``valid.csv``. A text that bears two labels is learnt under both, and judged under
that of the folder named first. Training rows equal or near to a validation row or to a text of ``--hold-out`` are left
out. With ``--valid-of FILE …`` validation keeps the texts of these files alone: rows that were chosen because they are
hard would make a model look, and be calibrated, too modest. With ``--companies`` every training row that names a listed
company stands twice, the second time with other companies in their place (``runs/companies.py``).
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path

from companies import also_exchanged
from whole_csv import write

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.text import normalise

SEED = 13
Row = tuple[str, str]


def rows(file: Path, most: int | None = None) -> list[Row]:
    """Text and label of a CSV's rows, at most so many."""
    with file.open(encoding="utf-8", newline="") as opened:
        found = [(normalise(row["text"]), row["label"]) for row in csv.DictReader(opened)]
    return found if most is None or most >= len(found) else random.Random(SEED).sample(found, most)


def joined(splits: dict[str, list[Row]], judged: Sequence[str] = ()) -> dict[str, list[Row]]:
    """Each row once; in valid each text once; none in train that is near to one in valid or to a judged one."""
    valid: dict[str, str] = {}
    for text, label in splits["valid"]:
        valid.setdefault(text, label)
    apart = HeldOut([*valid, *judged])
    train = [row for row in dict.fromkeys(splits["train"]) if apart.match(row[0]) is None]
    return {"train": train, "valid": list(valid.items())}


def main() -> None:
    """Read, join, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:MOST]")
    parser.add_argument("--more", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--judge", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--valid-of", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--hold-out", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--companies", action="store_true")
    args = parser.parse_args()
    splits: dict[str, list[Row]] = {"train": [], "valid": []}
    for word in args.folders:
        folder, _, most = word.partition(":")
        splits["train"] += rows(Path(folder) / "train.csv", int(most) if most else None)
        splits["valid"] += rows(Path(folder) / "valid.csv")
    for file in args.more:
        splits["train"] += rows(file)
    if args.valid_of:
        plain = {text for file in args.valid_of for text, _ in rows(file)}
        splits["valid"] = [row for row in splits["valid"] if row[0] in plain]
    for file in args.judge:
        splits["valid"] += rows(file)
    if args.companies:
        splits["train"] = also_exchanged(splits["train"])
    judged = [text for file in args.hold_out for text, _ in rows(file)]
    for name, kept in joined(splits, judged).items():
        numbered = ([f"{name}-{at}", *row] for at, row in enumerate(kept))
        write(args.out / f"{name}.csv", ("id", "text", "label"), numbered)
        print(f"{args.out / name}.csv: {len(kept):,} of {len(splits[name]):,} rows")


if __name__ == "__main__":
    main()
