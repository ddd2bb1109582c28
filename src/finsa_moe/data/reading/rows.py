"""What every file format is read into: batches of raw rows, and the rows that could not be read.

Each row keeps the line of the file on which it starts. Nothing here knows what a cell means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from typing import Any

BATCH_ROWS = 8_192

Row = Sequence[object]
"""The cells of a row: of text, or of values of any type; None where it has none."""


class Nested(str):
    """A cell that holds a list or an object, as JSON writes it: never a text."""

    __slots__ = ()


class Escaped(str):
    """A cell of bytes that are not UTF-8, these written as escapes: never a text."""

    __slots__ = ()


_DOUBTFUL = (list, dict, bytes, Nested, Escaped)
EMPTY = "empty text"
NESTED = "the text is a list or an object; allowed: a string or a number"
ESCAPED = "the text is not UTF-8; write it as UTF-8"
"""Why such rows are refused."""


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
        rows: The cells of each row, as long as `names`; a missing cell is None.
        lines: The physical line of the file on which each row starts, from 1 (for Parquet and Arrow: the row's number).
        broken: Rows that could not be read, or were set apart.
        more: Whether a later batch may name further columns, behind these.
        types: The polars types of the columns, by name, where cells are values of a file that has such; else empty.
    """

    names: list[str]
    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    more: bool = False
    types: dict[str, Any] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether it is time to hand this batch on and begin the next."""
        return len(self.rows) + len(self.broken) >= BATCH_ROWS

    def set_apart(self, text_at: Sequence[int]) -> list[Broken]:
        """Take out the rows of which a cell can be no text (`no_text`); they are broken ones from here on.

        Args:
            text_at: Positions of the columns that make up the text; a batch of JSON may not have all of them yet.

        Returns:
            Those set apart.
        """
        there = [at for at in text_at if self.rows and at < len(self.rows[0])]
        kinds = {kind for at in there for kind in set(map(type, map(itemgetter(at), self.rows)))}
        if not any(issubclass(kind, _DOUBTFUL) for kind in kinds):
            return []
        kept: list[tuple[Row, int]] = []
        unfit: list[Broken] = []
        for row, line in zip(self.rows, self.lines, strict=True):
            found = next(((reason, row[at]) for at in there if (reason := no_text(row[at]))), None)
            if found is None:
                kept.append((row, line))
            else:
                unfit.append(Broken(line, found[0], as_text(found[1]) or ""))
        self.rows, self.lines = [row for row, _ in kept], [line for _, line in kept]
        self.broken += unfit
        return unfit

    def texts(self, text_at: Sequence[int]) -> list[str]:
        """The text of each row (`text_of`)."""
        return [text_of(row, text_at) for row in self.rows]


def no_text(value: object) -> str | None:
    """Why a cell can be no text; None where it can."""
    if type(value) is str or not isinstance(value, _DOUBTFUL):
        return None
    found = as_text(value)
    return NESTED if isinstance(found, Nested) else ESCAPED if isinstance(found, Escaped) else None


def cell(row: Sequence[object], at: int | None) -> str:
    """A cell as stripped text (`words`); empty where there is no such column or the row is short."""
    return "" if at is None or at >= len(row) else words(row[at]).strip()


def text_of(row: Sequence[object], text_at: Sequence[int]) -> str:
    """The text of a row: the cells at these positions, joined by a space."""
    return " ".join([cell(row, at) for at in text_at]).strip()


def as_text(value: object) -> str | None:
    """A cell of any type as text: a string as it is, a number or a truth value as CSV would have it, a list as JSON.

    Bytes are text in UTF-8, or `Escaped`. None is a cell that holds nothing, or a number that is none (NaN, infinity).
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return Escaped(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, list | dict):
        return Nested(json.dumps(value, ensure_ascii=False, default=str))
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if isinstance(value, float) and not isfinite(value) else str(value)


def words(value: object) -> str:
    """A cell of any type as text (`as_text`), empty where it holds no words: of nothing, and of bytes that are none."""
    if isinstance(value, str):
        return value
    found = as_text(value)
    return "" if found is None or isinstance(found, Escaped) else found


def unique_names(names: Iterable[str]) -> list[str]:
    """Column names made usable: stripped, the nameless called ``column_3``, a repeated one ``label_2``."""
    plain = (name.replace("\ufeff", "").replace("\x00", "").strip() for name in names)
    return told_apart(name or f"column_{position}" for position, name in enumerate(plain, 1))


def told_apart(names: Iterable[str]) -> list[str]:
    """Names of which none stands twice: a repeated one gets a number, as in ``label_2``."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}  # the last number tried for each name: all up to it are taken
    for name in names:
        candidate, count = name, counts.get(name, 1)
        while candidate in found:
            count += 1
            candidate = f"{name}_{count}"
        counts[name] = count
        found[candidate] = None
    return list(found)
