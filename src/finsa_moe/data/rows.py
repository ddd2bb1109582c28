"""What every file format is read into: batches of raw rows, and the rows that could not be read.

Each row keeps the line of the file on which it starts. Nothing here knows what a cell means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from typing import TypeVar

BATCH_ROWS = 8_192

Row = Sequence[str | None]


class Nested(str):
    """A cell that holds a list or an object, as JSON writes it: never a text."""

    __slots__ = ()


AnyRow = TypeVar("AnyRow", bound=Sequence[object])
_NESTED = (list, dict, Nested)
NESTED = "the text is a list or an object; allowed: a string or a number"
"""Why such a row is refused."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be read: its line (1-based), why, and its raw text as found."""

    line: int
    reason: str
    text: str


@dataclass(slots=True)
class Batch:
    """Some rows of one file, in order.

    Attributes:
        names: The column names; unique.
        rows: One sequence of cells a row, as long as `names`; a missing cell is None.
        lines: The physical line of the file on which each row starts, from 1 (for Parquet and Arrow: the row's number).
        broken: Rows that could not be read.
        more: Whether a later batch may name further columns, behind these.
    """

    names: list[str]
    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    more: bool = False

    @property
    def full(self) -> bool:
        """Whether it is time to hand this batch on and begin the next."""
        return len(self.rows) + len(self.broken) >= BATCH_ROWS


def without_nested(
    rows: list[AnyRow], lines: list[int], text_at: Sequence[int]
) -> tuple[list[AnyRow], list[int], list[Broken]]:
    """The rows of a batch and their lines, but for those whose text is a list or an object, which come as broken.

    Args:
        rows: Rows, of cells or of values of any type.
        lines: Their lines.
        text_at: Positions of the columns that make up the text.
    """
    if not any(issubclass(kind, _NESTED) for at in text_at for kind in set(map(type, map(itemgetter(at), rows)))):
        return rows, lines, []
    kept: list[int] = []
    broken: list[Broken] = []
    for number, row in enumerate(rows):
        found = next((row[at] for at in text_at if isinstance(row[at], _NESTED)), None)
        if found is None:
            kept.append(number)
            continue
        broken.append(Broken(lines[number], NESTED, words(found)))
    return [rows[number] for number in kept], [lines[number] for number in kept], broken


def cell(row: Sequence[object], at: int | None) -> str:
    """A cell as stripped text (`words`); empty where there is no such column or the row is short."""
    return "" if at is None or at >= len(row) else words(row[at]).strip()


def words(value: object) -> str:
    """A cell of any type as text: a string as it is, a number or a truth value as CSV would have it, a list as JSON.

    What holds no words is empty: nothing, bytes, and a number that is none (NaN, infinity).
    """
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value)):
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def unique_names(names: Iterable[str]) -> list[str]:
    """Column names made usable: stripped, the nameless called ``column_3``, a repeated one ``label_2``."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}  # the last number tried for each name: all up to it are taken
    for position, name in enumerate(names, 1):
        plain = name.replace("\ufeff", "").replace("\x00", "").strip() or f"column_{position}"
        candidate, count = plain, counts.get(plain, 1)
        while candidate in found:
            count += 1
            candidate = f"{plain}_{count}"
        counts[plain] = count
        found[candidate] = None
    return list(found)
