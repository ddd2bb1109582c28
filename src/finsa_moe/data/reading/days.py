"""Dates as files write them, read as days; and the cut that makes the test set the later rows.

Strings go in, days come out, null where none is meant; nothing is guessed from a number that is no date. Single cells
are read without polars, which an installation that only serves has not.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from finsa_moe.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

_APART = r"^\s*((?:19|20)\d{2})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?:\D|$)"
_TOGETHER = r"^\s*((?:19|20)\d{2})(\d{2})(\d{2})(?:\D|$)"


def days(column: str = "date") -> pl.Expr:
    """The day of each value: 2026-07-31, 2026/7/31 09:30, 20260731, 2026.7.31, 2026年7月31日; null for all else.

    A month alone (2026-12, 202612) is no day.
    """
    import polars as pl

    text = pl.col(column)
    parts = [
        pl.coalesce(text.str.extract(_APART, group), text.str.extract(_TOGETHER, group)).cast(pl.Int32, strict=False)
        for group in (1, 2, 3)
    ]
    written = pl.format("{}-{}-{}", parts[0], *(part.cast(pl.String).str.zfill(2) for part in parts[1:]))
    return written.str.to_date("%Y-%m-%d", strict=False)


def day(value: str) -> date | None:
    """The day of one value, as `days` reads it; None for what is no day."""
    found = re.match(_APART, value) or re.match(_TOGETHER, value)
    if found is None or not "".join(found.groups()).isascii():  # full-width digits are no number to polars
        return None
    try:
        return date(*map(int, found.groups()))
    except ValueError:
        return None


def parse_day(value: str, option: str) -> date:
    """A day from the command line.

    Raises:
        ConfigError: If it is none.
    """
    if (found := day(value)) is None:
        raise ConfigError(f"{option} {value!r}: allowed is a day such as 2026-07-31")
    return found


def later(rows: pl.DataFrame, cut: date, by: str | None = None) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Part rows by a day: up to it, after it, and those that cannot be used, with ``reason``.

    A row whose cluster began by the cut would be known to a model before it is tested on it, and training on it would
    use what was written later: it is refused, as is a row without a date.

    Args:
        rows: Rows with ``date`` and ``cluster``, and, where a column holds rows together too, ``like``: their cluster
            without it.
        cut: The last day of training.
        by: That column's name.
    """
    import polars as pl

    dated = rows.with_columns(_day=days())
    known = dated.filter(pl.col("_day").is_not_null())
    after = pl.col("_day") > cut
    known = known.with_columns(_old=(~after).any().over("cluster"))
    said = pl.lit(f"after {cut} but equal or near to a text up to then")
    if by is not None:
        known = known.with_columns(_said=(~after).any().over("like"))
        said = pl.when("_said").then(said).otherwise(pl.lit(f"after {cut} but kept by {by!r} with a row up to then"))
    undated = dated.filter(pl.col("_day").is_null()).with_columns(reason=pl.lit("no date that can be read"))
    repeated = known.filter(after & pl.col("_old")).with_columns(reason=said)
    return (
        known.filter(~after).select(rows.columns),
        known.filter(after & ~pl.col("_old")).select(rows.columns),
        pl.concat([undated.select(*rows.columns, "reason"), repeated.select(*rows.columns, "reason")]),
    )
