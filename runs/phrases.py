"""Bare phrases of our own in which a verb turns what a noun says: a loss that narrows, a sale of shares called off.

``python runs/phrases.py OUT.csv [--rows N] [--hold-out FILE …]`` writes ``id,text,label``: every noun of
``phrases/words.yaml`` with all that may be said of it there, but what is near to a text of ``--hold-out``. In labelled
news a loss is bad, whatever it does; whoever types four characters to try a model asks what it does.
``runs/skills.py`` draws whole sentences instead.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import yaml
from expert_rows import rows
from whole_csv import write

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.polarity import NAMES

WORDS = Path(__file__).with_suffix("") / "words.yaml"
Row = tuple[str, str]


def phrases() -> list[Row]:
    """Text and label of each phrase, in the order of the file."""
    made: dict[str, str] = {}
    for rule in yaml.safe_load(WORDS.read_text(encoding="utf-8")):
        for noun in rule.get("nouns", "").split() or [""]:
            for label in NAMES:
                made.update({frame.replace("{}", noun): label for frame in rule.get(label, "").split()})
    return list(made.items())


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, help="so many, drawn at random (all)")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--hold-out", action="append", default=[], type=Path, metavar="FILE")
    args = parser.parse_args()
    apart = HeldOut([text for file in args.hold_out for text, _ in rows(file)])
    made = [row for row in phrases() if apart.match(row[0]) is None]
    if args.rows is not None and args.rows < len(made):
        made = random.Random(args.seed).sample(made, args.rows)
    write(args.out, ("id", "text", "label"), ([f"phrase-{at}", *row] for at, row in enumerate(made)))
    print(f"{args.out}: {len(made):,} phrases")


if __name__ == "__main__":
    main()
