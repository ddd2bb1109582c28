"""The rows of a polars frame as Python values, none of which says less than the frame does.

A column of bytes all of which are text comes as text, and a time that Python's own types cannot hold as text beside its
number.
It does not know what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from finsa_moe.errors import require

if TYPE_CHECKING:
    import polars as pl

Portion = tuple[list[Sequence[object]], list[int]]


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
    """Yield the rows of a frame and their numbers from 1, `size` at a time; once at least."""
    frame = frame.with_columns(text for column in frame if (text := _text(column)) is not None)
    own = {at: cells for at, column in enumerate(frame) if (cells := _instants(column)) is not None}
    plain = frame.with_columns(frame.to_series(at).clear(frame.height) for at in own)
    for start in range(0, max(1, frame.height), size):
        rows: list[Sequence[object]] = list(plain.slice(start, size).iter_rows())
        stop = start + len(rows)
        yield _with({at: cells[start:stop] for at, cells in own.items()}, rows), list(range(start + 1, stop + 1))


def _with(own: dict[int, list[Instant | None]], rows: list[Sequence[object]]) -> list[Sequence[object]]:
    """The rows with the cells of some columns put in."""
    if not own:
        return rows
    made = [list(row) for row in rows]
    for at, cells in own.items():
        for row, cell in zip(made, cells, strict=True):
            row[at] = cell
    return list(made)


def _text(column: pl.Series) -> pl.Series | None:
    """A column of bytes as text; None where any of them are not UTF-8, and of any other column."""
    polars = require("polars", "data", "reading Parquet")
    if column.dtype != polars.Binary:
        return None
    try:
        return column.cast(polars.String)
    except polars.exceptions.PolarsError:
        return None


def _instants(column: pl.Series) -> list[Instant | None] | None:
    """The cells of a column of times, some of which Python's own types cannot hold; None of any other column."""
    polars = require("polars", "data", "reading Parquet")
    if column.dtype not in (polars.Date, polars.Datetime) or not _beyond(column):
        return None
    years = column.dt.year()  # of a time so far off that polars has no text for it either, none
    texts = column.set(years.is_null(), None).cast(polars.String)
    numbers = column.to_physical()
    return [None if n is None else Instant.of(text, n) for text, n in zip(texts, numbers, strict=True)]


def _beyond(column: pl.Series) -> bool:
    """Whether Python's own types cannot hold some time of a column: of a year beyond 1..9999, or to the nanosecond."""
    years = column.dt.year().drop_nulls()
    slack = 1 if getattr(column.dtype, "time_zone", None) else 0  # on the way to UTC a time may change its year
    if len(years) < len(column) - column.null_count() or not years.is_between(1 + slack, 9999 - slack).all():
        return True
    return getattr(column.dtype, "time_unit", None) == "ns" and bool((column.to_physical() % 1000 != 0).any())
