"""The texts of several CSV files as one: ``python runs/join_texts.py OUT FILE…`` writes ``id,text``, each text once."""

from __future__ import annotations

import sys
from pathlib import Path

from whole_csv import write

from finsa_moe.data.reading.read import read_texts


def main() -> None:
    """Read all, write one."""
    out, *files = map(Path, sys.argv[1:])
    texts = dict.fromkeys(text for file in files for text in read_texts([file]))
    write(out, ("id", "text"), enumerate(texts))
    print(f"{out}: {len(texts):,} texts of {len(files)} files")


if __name__ == "__main__":
    main()
