"""Scored rows into sums by ticker, day and source: the one pass over everything, streamed by polars.

Files of `finsa score` or `finsa predict` go in, a small table of sums comes out, from which every measure follows
(`measures`). It holds no rows; it knows neither formulae nor prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finsa_moe.data.days import days
from finsa_moe.errors import DataError, closest
from finsa_moe.scale.manifest import NAME

SUMS = ("texts", "bull", "neutral", "bear", "score_sum", "confidence_sum", "weighted_sum")
ANSWERS = ("sentiment", "bearish", "bullish", "confidence")
_TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_KEY = 11  # characters of a written date, blanks left out, that hold its day in every form `data.days` knows


@dataclass(frozen=True)
class Daily:
    """Sums of scored texts.

    Attributes:
        by_ticker: ``ticker, day, source`` and `SUMS`; rows without a ticker are not in it.
        market: ``day, source`` and `SUMS` over all dated texts, each once however many tickers it names.
        rows: Texts read.
        undated: Of these, texts whose date cannot be read; they are in no table.
        nameless: Dated texts without a ticker; they are in `market` alone.
    """

    by_ticker: pl.DataFrame
    market: pl.DataFrame
    rows: int
    undated: int
    nameless: int


def daily_sums(
    sources: Sequence[Path], by: str, date: str, *, source: str | None = None, split: str | None = None
) -> Daily:
    """Add scored texts up by ticker, day and source.

    The score of a text is P(bullish) − P(bearish), in [−1, 1].

    Args:
        sources: Folders of `finsa score`, files of `finsa predict`, or folders of such files.
        by: Column of the ticker: one name, or a list of them (a text then counts for each).
        date: Column of the date or time: a date type, or written as `data.days` reads it.
        source: Column that tells news from forum; None takes the expert that answered.
        split: What separates several tickers in a string; None takes the string whole.

    Raises:
        DataError: If a file is missing or unreadable, holds no answers, or lacks a column.
    """
    rows = pl.concat([_rows(group, by, date, source, split) for group in _alike(_files(sources))])
    sums = [
        pl.len().alias("texts"),
        *((pl.col("sentiment") == word).sum().alias(name) for name, word in _WORDS.items()),
        pl.col("score").sum().alias("score_sum"),
        pl.col("confidence").sum().alias("confidence_sum"),
        (pl.col("score") * pl.col("confidence")).sum().alias("weighted_sum"),
    ]
    try:
        # tickers stay lists here: a text of several counts once for the market and once for each of them
        grouped = rows.group_by("tickers", "when", "source").agg(sums).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        said = str(error).split("\n", 1)[0]
        raise DataError(f"{sources[0]}: cannot be read ({said}); score it again") from error
    total = pl.col("texts").sum()
    dated = grouped.with_columns(day=_day(grouped)).drop("when")
    undated = int(dated.filter(pl.col("day").is_null()).select(total).item())
    dated = dated.filter(pl.col("day").is_not_null())
    added = [pl.col(name).sum() for name in SUMS]
    market = dated.group_by("day", "source").agg(added).sort("day", "source")
    if dated.schema["tickers"] == pl.List:
        known = pl.col("tickers").list.len().fill_null(0) > 0
        nameless = int(dated.filter(~known).select(total).item())
        named = dated.filter(known).explode("tickers").rename({"tickers": "ticker"})
    else:
        named = dated.rename({"tickers": "ticker"}).with_columns(pl.col("ticker").str.strip_chars())
        known = pl.col("ticker").is_not_null() & (pl.col("ticker") != "")
        nameless, named = int(named.filter(~known).select(total).item()), named.filter(known)
    by_ticker = named.group_by("ticker", "day", "source").agg(added).sort("ticker", "day", "source")
    return Daily(by_ticker, market, int(grouped.select(total).item()), undated, nameless)


_WORDS = {"bull": "利好", "neutral": "中性", "bear": "利空"}


def _files(sources: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise DataError(f"{source}: no such file or folder")
        if source.is_file():
            if source.suffix.lower() not in _TABLES:
                raise DataError(f"{source}: unknown ending {source.suffix!r}; known: {', '.join(_TABLES)}")
            found.append(source)
            continue
        folder = source / "scores" if (source / NAME).is_file() else source
        inside = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES and path.name[0] != ".")
        if not inside:
            raise DataError(f"{source}: no scored file in it; name a folder of `finsa score` or a file of answers")
        found += inside
    return found


def _alike(files: Sequence[Path]) -> list[list[Path]]:
    """Files with the same columns and types together, since one scan has one schema."""
    groups: dict[object, list[Path]] = {}
    for file in files:
        key: object = file.suffix.lower()
        if key == ".parquet":
            try:
                key = tuple(pl.read_parquet_schema(file).items())
            except (pl.exceptions.PolarsError, OSError) as error:
                said = str(error).split("\n", 1)[0]
                raise DataError(f"{file}: not a readable Parquet file ({said}); score it again") from error
        groups.setdefault(key if file.suffix.lower() == ".parquet" else file, []).append(file)
    return list(groups.values())


def _rows(files: list[Path], by: str, date: str, source: str | None, split: str | None) -> pl.LazyFrame:
    """The columns that count, under names of their own."""
    ending = files[0].suffix.lower()
    if ending == ".parquet":
        frame = pl.scan_parquet(files)
    elif ending in (".csv", ".tsv"):  # as text: a ticker 000001 is no number
        frame = pl.scan_csv(files, infer_schema=False, separator="\t" if ending == ".tsv" else ",")
    else:
        frame = pl.scan_ndjson(files)
    try:
        schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).split("\n", 1)[0]
        raise DataError(f"{files[0]}: cannot be read ({said}); score it again") from error
    names = {name: _answer(name, schema, files[0]) for name in ANSWERS}
    names["source"] = (
        _answer("expert", schema, files[0]) if source is None else _need(source, schema, files[0], "source")
    )
    ticker, when = _need(by, schema, files[0], "by"), _need(date, schema, files[0], "date")
    score = pl.col(names["bullish"]).cast(pl.Float64) - pl.col(names["bearish"]).cast(pl.Float64)
    return frame.select(
        tickers=_tickers(pl.col(ticker), schema[ticker], split), when=_when(pl.col(when), schema[when]),
        source=pl.col(names["source"]).cast(pl.String), sentiment=pl.col(names["sentiment"]).cast(pl.String),
        score=score, confidence=pl.col(names["confidence"]).cast(pl.Float64),
    )  # fmt: skip


def _tickers(column: pl.Expr, kind: pl.DataType, split: str | None) -> pl.Expr:
    if isinstance(kind, pl.List):
        column = column.cast(pl.List(pl.String))
        column = column if split is None else column.list.join(split).str.split(split)
    else:
        column = column.cast(pl.String)
        if split is None:
            return column
        column = column.str.split(split)
    # a ticker named twice is named; an empty name is none
    trimmed = column.list.eval(pl.element().str.strip_chars()).list
    return trimmed.eval(pl.element().filter(pl.element() != "")).list.unique(maintain_order=True)


def _when(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Datetime:
        return column.dt.date().cast(pl.String)
    # a blank parts the day from the time, or stands within a day (2026 年 7 月 31 日)
    close = column.cast(pl.String).str.strip_chars_start().str.replace_all(r"\s*([-/.年月])\s*", "$1")
    return close.str.slice(0, _KEY)


def _day(frame: pl.DataFrame) -> pl.Series:
    """Days of the distinct ways in which dates are written: read once each, not once a row."""
    written = frame.select("when").unique()
    read = written.with_columns(day=days("when"))
    return frame.select("when").join(read, on="when", how="left", maintain_order="left", nulls_equal=True)["day"]


def _answer(name: str, schema: pl.Schema, file: Path) -> str:
    """The column of an answer; where the rows had one of that name, ours is called ``predicted_…``."""
    found = ""
    candidate = name
    while candidate in schema:
        found, candidate = candidate, f"predicted_{candidate}"
    if not found:
        raise DataError(f"{file}: no column {name!r}, so it is not scored; run `finsa score` or `finsa predict` on it")
    return found


def _need(name: str, schema: pl.Schema, file: Path, option: str) -> str:
    if name not in schema:
        known = list(schema)
        raise DataError(
            f"{file}: no column {name!r}{closest(name, known)}; columns found: {', '.join(known[:12])}; "
            f"name it by --{option} COL"
        )
    return name
