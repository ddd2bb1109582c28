"""A CSV file that stands whole or not at all: rows go to a temporary name, which is then renamed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from finsa_moe.files import whole_path


def write(target: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows, UTF-8; folders on the way are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_path(target) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
