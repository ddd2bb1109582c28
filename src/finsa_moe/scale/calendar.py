"""Trading days: those of a file, and the one on which a text counts that was written on any day.

Files and days go in, days come out. It knows nothing of scores or prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.columns import listed
from finsa_moe.data.reading.days import day, days
from finsa_moe.data.reading.read import read_frame
from finsa_moe.data.reading.usual import usual_name
from finsa_moe.errors import DataError, closest

LONGEST = 15
"""Days that a market stays closed at most: holidays are shorter, and a halt that is longer is no market to trade in."""
DAYS = ("date", "day", "日期", "交易日期", "trade_date")
"""What a column of trading days is called, here and in a file of returns."""
_OTHERS = ("cal_date", "calendar_date")
_OPEN = ("is_open", "is_trading_day")


def read_calendar(path: Path, column: str | None = None) -> tuple[date, ...]:
    """The trading days of a file of any known format, sorted, each once.

    Where the file says of every day whether it is one (a column ``is_open`` or ``is_trading_day``, as tushare and
    baostock have it), the days of 1 are.

    Args:
        path: The file; each row has a day, and several may have the same, as in a file of returns.
        column: Its column of days; None takes the usual names, or the only column.

    Raises:
        DataError: If the file cannot be read or has no such column, or a cell of it is no day.
    """
    frame = read_frame(path)
    name = _column(frame.columns, column, path)
    cells = frame.select(cell=pl.col(name).cast(pl.String, strict=False).fill_null("").str.strip_chars())
    read = cells.select("cell", day=days("cell"))
    if (wrong := read["day"].is_null()).any():
        at = wrong.arg_max()
        assert at is not None
        raise DataError(
            f"{path}, row {at + 1}: {read['cell'][at][:40]!r} in column {name} is no day; allowed is a day such as "
            "2026-07-31: mend or drop the row"
        )
    if (flag := usual_name(frame.columns, _OPEN)) is not None:
        told = frame[flag].cast(pl.String).str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        trades = told.cast(pl.Float64, strict=False)
        if (wrong := trades.is_null() | ~trades.is_in([0.0, 1.0])).any():
            at = wrong.arg_max()
            assert at is not None
            raise DataError(
                f"{path}, row {at + 1}: {told[at] or ''!r} in column {flag}; allowed are 1 and 0: mend the row"
            )
        read = read.filter(trades == 1)
    if not read.height:
        raise DataError(f"{path}: holds no trading day; write one a row")
    return tuple(read["day"].unique().sort())


def folded(written: pl.Series, calendar: Iterable[date]) -> pl.Series:
    """The first trading day on or after each day, in its order; null where the calendar does not tell.

    It does not before its first day and after its last, nor between two that are over `LONGEST` days apart.
    """
    trading = pl.DataFrame({"held": pl.Series(list(calendar), dtype=pl.Date).unique().sort()})
    trading = trading.with_columns(at="held", closed=pl.col("held").diff().dt.total_days())
    asked = pl.DataFrame({"at": written}).with_row_index("row").sort("at")
    found = asked.join_asof(trading, on="at", strategy="forward").sort("row")
    told = (pl.col("held") == pl.col("at")) | (pl.col("closed") <= LONGEST)
    return found.select(pl.when(told).then("held").alias("day"))["day"]


def outside(written: pl.DataFrame, calendar: Sequence[date]) -> dict[str, int]:
    """How many texts lie where in a calendar, in words; what holds none is left out.

    Args:
        written: ``day, texts`` of texts that `folded` knows no day of.
        calendar: The trading days.
    """
    first, last, at = min(calendar), max(calendar), pl.col("day")
    places = {
        f"before its first day ({first})": at < first,
        f"after its last ({last})": at > last,
        f"between two over {LONGEST} days apart": at.is_between(first, last),
    }
    counts = {place: int(written.filter(where)["texts"].sum()) for place, where in places.items()}
    return {place: texts for place, texts in counts.items() if texts}


def _column(names: list[str], given: str | None, path: Path) -> str:
    if given is not None and given in names:
        return given
    if given is not None:
        raise DataError(f"{path}: no column {given!r}{closest(given, names)}; columns found: {listed(names)}")
    if (usual := usual_name(names, (*DAYS, *_OTHERS))) is not None:
        return usual
    if any(day(name) is not None for name in names):
        raise DataError(f"{path}: its first line is no header: {listed(names)}; write the columns' names above it")
    if len(names) > 1:
        raise DataError(f"{path}: no column of days; columns found: {listed(names)}; name it: {path}:COLUMN")
    return names[0]
