"""What the name of a file says of its content: the format, whether it is packed, and which sheet is meant.

Names go in; a file is looked at only to see whether it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEXT = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
"""Endings of formats that are text; such a file may be packed by gzip."""
_SHEET = re.compile(r"(.+\.xlsx)#(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Named:
    """What a source stands for.

    Attributes:
        file: The file itself.
        ending: Tells the format, in lower case: of a packed file's content (``.csv`` for ``posts.csv.gz``).
        packed: Whether it is packed by gzip.
        sheet: The sheet of a workbook, as in ``posts.xlsx#Sheet2``; None where none is named.
    """

    file: Path
    ending: str
    packed: bool = False
    sheet: str | None = None


def named(path: Path) -> Named:
    """What a path stands for."""
    if (match := _SHEET.fullmatch(path.name)) and not path.exists():
        return Named(path.with_name(match[1]), ".xlsx", sheet=match[2])
    ending = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    if ending == ".gz" and inner in TEXT:
        return Named(path, inner, packed=True)
    return Named(path, ending)
