"""An expert's rows out of several prepared folders: train with train, valid with valid, so that what a student has not
seen stays unseen by the expert's training too.

``python runs/expert_rows.py OUT FOLDER[:MOST] … [--more FILE …]``: ``OUT/train.csv`` and ``OUT/valid.csv``. MOST
bounds the rows of a folder's ``train.csv`` (drawn by a seed). Texts that bear unlike labels in two folders are left
out of both splits; so are training rows equal or near to a validation row. FILE adds rows to ``train.csv`` alone.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import defaultdict
from pathlib import Path

from finsa_moe.data.near import HeldOut
from finsa_moe.data.text import normalise

SEED = 13
Row = tuple[str, str]


def rows(file: Path, most: int | None = None) -> list[Row]:
    """Text and label of a CSV's rows, at most so many."""
    with file.open(encoding="utf-8", newline="") as opened:
        found = [(normalise(row["text"]), row["label"]) for row in csv.DictReader(opened)]
    return found if most is None or most >= len(found) else random.Random(SEED).sample(found, most)


def joined(splits: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Each text once in one split; none that bears two labels, none in train that is near to one in valid."""
    labels = defaultdict(set)
    for text, label in (row for split in splits.values() for row in split):
        labels[text].add(label)
    single = {
        name: [(text, label) for text, label in dict.fromkeys(split) if len(labels[text]) == 1]
        for name, split in splits.items()
    }
    valid = HeldOut([text for text, _ in single["valid"]])
    return {"train": [row for row in single["train"] if valid.match(row[0]) is None], "valid": single["valid"]}


def main() -> None:
    """Read, join, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:MOST]")
    parser.add_argument("--more", action="append", default=[], type=Path, metavar="FILE")
    args = parser.parse_args()
    splits: dict[str, list[Row]] = {"train": [], "valid": []}
    for word in args.folders:
        folder, _, most = word.partition(":")
        splits["train"] += rows(Path(folder) / "train.csv", int(most) if most else None)
        splits["valid"] += rows(Path(folder) / "valid.csv")
    for file in args.more:
        splits["train"] += rows(file)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, kept in joined(splits).items():
        part = args.out / f".{name}.csv.part"
        with part.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(["id", "text", "label"])
            writer.writerows([f"{name}-{at}", *row] for at, row in enumerate(kept))
        part.replace(args.out / f"{name}.csv")
        print(f"{args.out / name}.csv: {len(kept):,} of {len(splits[name]):,} rows")


if __name__ == "__main__":
    main()
