"""When a text was written, by the clock of one zone: the day, and whether it was at the close or later.

Expressions of polars go in and come out, whatever type a table holds times in; what of it is a day, the data room says
(`data.reading.days`). It knows no trading days.
"""

from __future__ import annotations

from datetime import datetime, time

import polars as pl

from finsa_moe.data.reading.days import days
from finsa_moe.errors import ConfigError
from finsa_moe.scale.tickers import spelt

ZONE = "Asia/Shanghai"
_DAY = r"^((?:19|20)\d{2}[-/.年]\d{1,2}[-/.月]\d{1,2}|(?:19|20)\d{6})(?:\D|$)"
_TIME = r"[\sT日](\d{1,2})[:：时点](\d{1,2})"
_UNREAD = r"(?i)下午|晚|[ap]\.?m|\d\s*[a-z]{2,}\s*$"  # 8:30 PM is no 8:30, and 8:30 EST may be another
_OFFSET = (
    r"(?i)([:：][0-9]{2}[0-9:.,]*)\s*"  # a time, and how far it says that its clock is from UTC
    r"(?:(?:UTC|GMT)?([+-])([0-9]{2}):?(00|15|30|45)?|(?:UTC|GMT)([+-])([0-9])|Z|UTC|GMT)(?:\[.*\])?\s*$"
)
_FARTHEST = -12 * 60, 14 * 60  # of any clock from UTC, in minutes
_SPAN = r"[\s日][0-9]{1,2}[:：][0-9]{2}-[0-9:：]+\s*$"  # 9:30-10:00, where a T, seconds or a blank would say otherwise
_COMPACT = r"^((?:19|20)[0-9]{6})(?:(T)| )?([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9](?:\.[0-9]+)?)?([Z+-].*)?$"
_EPOCH = r"^([0-9]{10})(?:[0-9]{3})?(?:\.[0-9]*)?$"  # seconds or milliseconds, from 2001 on
_SECOND = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}):[0-9]{2}(?:[.,][0-9]+)?"
_HOUR = r"^(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])$"
_RARE = f"{_OFFSET}|{_COMPACT}|{_EPOCH}"
_END = 4_102_444_800  # 2100, in seconds


def check_zone(zone: str) -> None:
    """Refuse a zone that is none.

    Raises:
        ConfigError: Naming it.
    """
    said = f"zone {zone!r}: allowed is the name of a time zone such as {ZONE} or UTC"
    if not zone:  # which polars takes for none at all
        raise ConfigError(said)
    try:
        pl.Series([datetime(2026, 1, 1)]).dt.replace_time_zone(zone)
    except pl.exceptions.PolarsError:
        raise ConfigError(said) from None


def local(column: pl.Expr, kind: pl.DataType, zone: str) -> pl.Expr:
    """Moments by a zone's clock: date and time without a zone, or text that begins with the day.

    What carries a zone or an offset, and seconds or milliseconds since 1970, are brought to the zone; all else is taken
    as it is written. Ten digits that may be a day and an hour (2026080315) are no seconds.
    """
    if isinstance(kind, pl.Datetime):
        return column if kind.time_zone is None else column.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    written = (spelt(column, kind) if kind.is_float() else column.cast(pl.String)).str.strip_chars()
    # a blank parts the day from the time, or stands within a day (2026 年 7 月 31 日)
    written = written.str.replace(r"^(\d{4})\s*([-/.年])\s*(\d{1,2})\s*([-/.月])\s*", "$1$2$3$4")
    return written.map_batches(lambda cells: _brought(cells, zone), return_dtype=pl.String, is_elementwise=True)


def _brought(cells: pl.Series, zone: str) -> pl.Series:
    """Cells with those that are another clock's, or numbers, rewritten: each distinct one is read once."""
    other = cells.str.contains(_RARE)
    if not other.any():
        return cells
    # the second says nothing of the day, and makes almost every cell distinct; the T says that there was one
    cells = cells.str.replace(_SECOND, "${1}T$2").zip_with(other, cells)
    rare = cells.filter(other).unique()
    text, said = pl.col("text"), [pl.col("said").struct[group] for group in range(1, 6)]
    table = rare.to_frame("text").with_columns(text.str.replace(_COMPACT, "$1 $2$3:$4$5$6"))
    table = table.with_columns(said=text.str.extract_groups(_OFFSET), bare=text.str.replace(_OFFSET, "$1"))
    sign, hours, minutes = pl.coalesce(said[0], said[3]), pl.coalesce(said[1], said[4]), said[2].fill_null("0")
    apart = 60 * hours.cast(pl.Int64) + minutes.cast(pl.Int64)
    table = table.with_columns(apart=pl.when(sign == "-").then(-apart).otherwise(apart).fill_null(0))
    offset = text.str.contains(_OFFSET) & ~text.str.contains(_SPAN) & pl.col("apart").is_between(*_FARTHEST)
    at = days("bare").cast(pl.Datetime("us")) + pl.duration(minutes=_minutes(pl.col("bare")) - pl.col("apart"))
    since = pl.when(~text.str.contains(_HOUR)).then(text.str.extract(_EPOCH)).cast(pl.Int64)
    since = pl.from_epoch(pl.when(since < _END).then(since), "s").cast(pl.Datetime("us"))
    moment = pl.coalesce(pl.when(offset).then(at), since).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return cells.replace(rare, table.select(pl.coalesce(moment.dt.strftime("%Y-%m-%d %H:%M"), text)).to_series())


def day_of(moment: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """The day of what `local` gives, as text that `data.reading.days` reads; null where there is none."""
    return moment.dt.date().cast(pl.String) if kind == pl.Datetime else moment.str.extract(_DAY)


def late(moment: pl.Expr, kind: pl.DataType, close: time) -> pl.Expr:
    """Whether what `local` gives is the close or later; null without a time, and at midnight, which stands for none."""
    clock = moment.dt.hour().cast(pl.Int32) * 60 + moment.dt.minute() if kind == pl.Datetime else _minutes(moment)
    return pl.when(clock > 0).then(clock >= close.hour * 60 + close.minute)


def _minutes(written: pl.Expr) -> pl.Expr:
    """Minutes since midnight of what is written on a clock of 24 hours; null for all else."""
    clock = pl.when(~written.str.contains(_UNREAD)).then(written)
    hour, minute = (clock.str.extract(_TIME, group).cast(pl.Int32, strict=False) for group in (1, 2))
    minutes = hour * 60 + minute
    return pl.when(minutes < 24 * 60).then(minutes)
