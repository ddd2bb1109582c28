"""Daily returns of a file, for the event study: which columns they are, which rows count, what is told of the others.

A path goes in; a table of ticker, day and return comes out. It knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.days import days
from finsa_moe.data.reading.usual import usual_name
from finsa_moe.errors import DataError
from finsa_moe.scale.calendar import DAYS
from finsa_moe.scale.tickers import counted, spelt

USUAL = ("return", "ret", "收益率", "涨跌幅", "pct_chg")
TICKERS = ("ticker", "代码", "股票代码", "证券代码", "ts_code", "symbol", "code", "stock_code")


@dataclass(frozen=True)
class Returns:
    """Returns of a file.

    Attributes:
        frame: ``ticker, day, return``, sorted: fractions over −1, one a ticker and day.
        warnings: What a reader has to know of the rows that are not in it.
    """

    frame: pl.DataFrame
    warnings: list[str]


def read_returns(path: Path, by: str, zfill: int | None = None) -> Returns:
    """Returns of a file (Parquet or CSV): columns of ticker (as in the index), date, and return.

    A row whose return is empty or NaN has none, as the first of a ticker has not; it is left out, as is one that cannot
    be read. Tickers are spelt with zeros up to `zfill` as in the index.

    Raises:
        DataError: If the file cannot be read or lacks one of them, or a return is no fraction over −1.
    """
    try:
        if path.suffix.lower() == ".parquet":
            whole = pl.read_parquet(path, glob=False)
        else:
            whole = pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: cannot be read ({said}); give a CSV or Parquet file") from error
    names = {
        "ticker": _first(whole.columns, (by, *TICKERS), path, "tickers"),
        "day": _first(whole.columns, DAYS, path, "dates"),
        "return": _first(whole.columns, USUAL, path, "returns"),
    }
    as_text = {kind: pl.col(name).cast(pl.String) for kind, name in names.items()}
    as_text["ticker"] = spelt(pl.col(names["ticker"]), whole.schema[names["ticker"]])
    cells = whole.select(column.str.strip_chars().alias(kind) for kind, column in as_text.items())
    read = cells.select(
        counted(pl.col("ticker"), zfill), days("day").alias("day"),
        pl.col("return").cast(pl.Float64, strict=False).fill_nan(None),
    )  # fmt: skip
    warnings = _left_out(cells, read)
    read = read.drop_nulls()
    if not read.height:
        raise DataError(f"{path}: no row has a ticker, a date such as 2026-07-31 and a number as its return")
    worst = read.filter(~pl.col("return").is_finite() | (pl.col("return") <= -1)).head(1)
    if worst.height:
        value, ticker, day = worst.select("return", "ticker", "day").row(0)
        raise DataError(
            f"{path}: the return {value:g} of {ticker} on {day} in column {names['return']} is no fraction above -1; "
            "returns are fractions (0.01 is one percent): divide percentages by 100"
        )
    if read.select("ticker", "day").is_duplicated().any():
        raise DataError(f"{path}: a ticker has two returns on one day; keep one")
    return Returns(read.sort("ticker", "day"), warnings)


def _left_out(cells: pl.DataFrame, read: pl.DataFrame) -> list[str]:
    """What is told of rows without a return, and of those that cannot be read."""
    none = cells["return"].is_null() | cells["return"].str.to_lowercase().is_in(["", "nan"])
    faulty = (read["ticker"].is_null() | read["day"].is_null() | read["return"].is_null()) & ~none
    told = []
    if faulty.any():
        at = faulty.arg_max()
        assert at is not None
        said = ", ".join(str(cell) for cell in cells.row(at))
        told.append(
            f"RETURNS LEFT OUT: {faulty.sum():,} rows cannot be read (first: row {at + 1}: {said[:80]}); a text that "
            "waits for such a day is set against the return after it"
        )
    if none.any():
        told.append(f"rows without a return: {none.sum():,}; they count as days without trading")
    return told


def _first(names: Sequence[str], wanted: Sequence[str], path: Path, what: str) -> str:
    if (there := usual_name(names, wanted)) is not None:
        return there
    raise DataError(f"{path}: no column of {what}; columns found: {', '.join(names[:12])}; call it {wanted[0]}")
