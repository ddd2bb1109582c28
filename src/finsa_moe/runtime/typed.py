"""The rows of a polars frame as Python values, none of which says less than the frame does.

Text that was written as bytes comes as text, and a time that Python's own types cannot hold as text beside its number.
It does not know what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from finsa_moe.data.rows import Broken
from finsa_moe.errors import require

if TYPE_CHECKING:
    import polars as pl

Portion = tuple[list[Sequence[object]], list[int], list[Broken]]


class Instant(str):
    """A date or a time as ISO text; `number` is what the file has for it, in the unit of its column."""

    __slots__ = ("number",)
    number: int

    @classmethod
    def of(cls, text: str | None, number: int) -> Instant:
        """The instant of this text, or, where there is none, of its number as text."""
        made = cls(number if text is None else text)
        made.number = number
        return made


def portions(frame: pl.DataFrame, size: int) -> Iterator[Portion]:
    """Yield the rows of a frame, their numbers from 1, and the rows that are broken, `size` at a time; once at least.

    A row is broken that has bytes which are not UTF-8 in a column of bytes where most are.
    """
    own = {at: cells for at, column in enumerate(frame) if (cells := _own(column)) is not None}
    plain = frame.with_columns(frame.to_series(at).clear(frame.height) for at in own)
    for start in range(0, max(1, frame.height), size):
        rows: list[Sequence[object]] = list(plain.slice(start, size).iter_rows())
        lines = list(range(start + 1, start + 1 + len(rows)))
        yield _with(own, rows, lines, frame.columns, start) if own else (rows, lines, [])


def _with(
    own: dict[int, list[object]], rows: list[Sequence[object]], lines: list[int], names: list[str], start: int
) -> Portion:
    """A portion with the cells of its own put in, from `start` of each column on."""
    made = [list(row) for row in rows]
    broken: dict[int, Broken] = {}
    for at, cells in own.items():
        for row, line, cell in zip(made, lines, cells[start:], strict=False):
            row[at] = cell
            if isinstance(cell, bytes):
                said = cell.decode("utf-8", "backslashreplace")
                broken[line] = Broken(line, f"column {names[at]!r} is not UTF-8; write it as UTF-8", said)
    kept = [at for at, line in enumerate(lines) if line not in broken]
    return [made[at] for at in kept], [lines[at] for at in kept], list(broken.values())


def _own(column: pl.Series) -> list[object] | None:
    """The cells of a column, where they are not simply those of polars."""
    polars = require("polars", "data", "reading Parquet")
    if column.dtype == polars.Binary:
        cells: list[object] = [_decoded(cell) for cell in column]
        left = sum(isinstance(cell, bytes) for cell in cells)
        return cells if 2 * left < len(cells) - column.null_count() else None  # else what it holds is no text
    if column.dtype in (polars.Date, polars.Datetime) and _beyond(column):
        years = column.dt.year()  # of a time so far off that polars has no text for it either, none
        texts = column.set(years.is_null(), None).cast(polars.String)
        numbers = column.to_physical()
        return [None if n is None else Instant.of(text, n) for text, n in zip(texts, numbers, strict=True)]
    return None


def _decoded(cell: bytes | None) -> str | bytes | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return cell


def _beyond(column: pl.Series) -> bool:
    """Whether Python's own types cannot hold some time of a column: of a year beyond 1..9999, or to the nanosecond."""
    years = column.dt.year().drop_nulls()
    slack = 1 if getattr(column.dtype, "time_zone", None) else 0  # on the way to UTC a time may change its year
    if len(years) < len(column) - column.null_count() or not years.is_between(1 + slack, 9999 - slack).all():
        return True
    return getattr(column.dtype, "time_unit", None) == "ns" and bool((column.to_physical() % 1000 != 0).any())
