"""Scored rows into sums by ticker, day and source: the one pass over everything, streamed by polars.

Files of `finsa score` or `finsa predict` go in, a small table of sums comes out, from which every measure follows
(`measures`). It holds no rows; it knows no formats (`scored`), no formulae and no prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.days import days
from finsa_moe.errors import DataError
from finsa_moe.scale.calendar import folded, outside
from finsa_moe.scale.moments import ZONE
from finsa_moe.scale.scored import open_scored
from finsa_moe.scale.tickers import counted, listed

SUMS = ("texts", "bull", "neutral", "bear", "score_sum", "confidence_sum", "weighted_sum")
_WORDS = {"bull": "利好", "neutral": "中性", "bear": "利空"}


@dataclass(frozen=True)
class Daily:
    """Sums of scored texts.

    Attributes:
        by_ticker: ``ticker, day, source`` and `SUMS`, counts as Int64; rows without a ticker are not in it.
        market: ``day, source`` and `SUMS` over all dated texts, each once however many tickers it names.
        rows: Texts with an answer.
        undated: Of these, texts whose date cannot be read; they are in no table.
        nameless: Dated texts without a ticker; they are in `market` alone.
        unanswered: Rows without an answer, such as those that were refused; they are in no table and no other number.
        untimed: Where a close is given, dated texts without a time that can be read, or at midnight.
        copies: Where each text counts once, rows with one that another of the same ticker, day as written, source and
            side of the close has; they are in no table and no other number.
        outside: Where a calendar is given, dated texts whose trading day it does not tell, by where they lie; they are
            in no table and no other number but `rows`.
        written: For each day of `market` the earliest on which a text that counts on it was written.
        files: The files read.
        skipped: Files met in folders and left out, with the reason.
    """

    by_ticker: pl.DataFrame
    market: pl.DataFrame
    rows: int
    undated: int
    nameless: int
    unanswered: int = 0
    untimed: int = 0
    copies: int = 0
    outside: dict[str, int] = field(default_factory=dict)
    written: dict[date, date] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def daily_sums(
    sources: Sequence[Path], by: str, date: str, *, source: str | None = None, split: str | None = None,
    close: time | None = None, calendar: Sequence[date] | None = None, zone: str = ZONE, zfill: int | None = None,
    once: bool = False, text: str | None = None,
) -> Daily:  # fmt: skip
    """Add scored texts up by ticker, day and source.

    The score of a text is P(bullish) − P(bearish), in [−1, 1].

    Args:
        sources: Folders of `finsa score`, files of `finsa predict`, or folders of such files; a file that is named
            twice counts once, and what holds no answers in a folder is left out.
        by: Column of the ticker: one name, or a list of them, as such or written as JSON (a text then counts for
            each); texts of a file without it count for the market alone.
        date: Column of the date or time: a date type, written as `data.reading.days` reads it, or seconds or
            milliseconds since 1970.
        source: Column that tells news from forum; None takes the expert that answered.
        split: What separates several tickers in a string; None takes the string whole.
        close: From this minute on a text counts on the next calendar day; texts without a time stay on theirs. None
            leaves every text on the day written.
        calendar: Trading days, in any order: a text counts on the first of them on or after the day that it would
            count on, and nowhere where they do not tell it (`calendar.folded`). None takes every day.
        zone: By its clock a time that carries a zone or an offset has its day, and is early or late; one that carries
            none is taken as written.
        zfill: Tickers of fewer digits get leading zeros up to so many. None leaves every name as it is.
        once: Whether copies of a text (`Daily.copies`) count as one, with the mean of their answers; the texts are
            read for that alone.
        text: Column of the text, as in `finsa score`; None takes that of its run, of other files the usual names.

    Raises:
        DataError: If a file is missing or unreadable, one that is named holds no answers, or a column is in none; if
            each text is to count once, and one file has no column of texts.
    """
    scored = open_scored(
        sources, by, date, source=source, split=split, close=close, zone=zone, text=text, need_text=once
    )
    # tickers stay lists here: a text of several counts once for the market and once for each of them
    keys = ["tickers", "when", "source", *(["late"] if close is not None else [])]
    rows, score = scored.rows, pl.col("score")
    unanswered, copies = score.null_count(), pl.lit(0)
    if once:  # rows without an answer stay together; those whose text is empty are not known for copies
        alone = pl.when(score.is_not_null()).then(pl.col("row").cast(pl.UInt64))
        together = rows.with_row_index("row").with_columns(pl.coalesce("text", alone)).group_by([*keys, "text"])
        rows = together.agg(
            score.mean(), pl.col("confidence").mean(), pl.col("sentiment").max(), none=unanswered, rows=score.count()
        )
        unanswered, copies = pl.col("none").sum(), pl.col("rows").sum() - score.count()
    sums = [
        score.count().cast(pl.Int64).alias("texts"),  # counts are subtracted: unsigned ones would go round
        unanswered.alias("unanswered"),
        copies.cast(pl.Int64).alias("copies"),
        *((pl.col("sentiment") == word).sum().cast(pl.Int64).alias(name) for name, word in _WORDS.items()),
        score.sum().alias("score_sum"),
        pl.col("confidence").sum().alias("confidence_sum"),
        (score * pl.col("confidence")).sum().alias("weighted_sum"),
    ]
    try:
        grouped = rows.group_by(keys).agg(sums).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        said = str(error).split("\n", 1)[0]
        raise DataError(f"{sources[0]}: cannot be read ({said}); score it again") from error
    total = pl.col("texts").sum()
    refused = int(grouped["unanswered"].sum())
    grouped = grouped.filter(pl.col("texts") > 0)
    dated = grouped.with_columns(day=_day(grouped)).drop("when")
    undated = int(dated.filter(pl.col("day").is_null()).select(total).item())
    dated = dated.filter(pl.col("day").is_not_null()).with_columns(written="day")
    if close is not None:
        dated = dated.with_columns(pl.when("late").then(pl.col("day").dt.offset_by("1d")).otherwise("day").alias("day"))
    lost: dict[str, int] = {}
    if calendar is not None:
        held = folded(dated["day"], calendar)
        lost = outside(dated.filter(held.is_null()), calendar)
        dated = dated.with_columns(day=held).filter(held.is_not_null())
    untimed = 0 if close is None else int(dated.filter(pl.col("late").is_null()).select(total).item())
    written = dict(dated.group_by("day").agg(pl.col("written").min()).iter_rows())
    added = [pl.col(name).sum() for name in SUMS]
    market = dated.group_by("day", "source").agg(added).sort("day", "source")
    if dated.schema["tickers"] == pl.String and dated["tickers"].str.starts_with("[").any():
        dated = dated.with_columns(listed(pl.col("tickers"), dated.schema["tickers"]))
    if dated.schema["tickers"] == pl.List:
        names = pl.col("tickers").list.eval(counted(pl.element(), zfill).drop_nulls().unique(maintain_order=True))
        dated, known = dated.with_columns(names), pl.col("tickers").list.len().fill_null(0) > 0
        nameless = int(dated.filter(~known).select(total).item())
        named = dated.filter(known).explode("tickers").rename({"tickers": "ticker"})
    else:
        named = dated.rename({"tickers": "ticker"}).with_columns(counted(pl.col("ticker"), zfill))
        known = pl.col("ticker").is_not_null()
        nameless, named = int(named.filter(~known).select(total).item()), named.filter(known)
    by_ticker = named.group_by("ticker", "day", "source").agg(added).sort("ticker", "day", "source")
    texts, copied = int(grouped.select(total).item()), int(dated["copies"].sum())
    return Daily(
        by_ticker, market, texts, undated, nameless, refused, untimed, copied, lost, written, scored.files,
        scored.skipped,
    )  # fmt: skip


def _day(frame: pl.DataFrame) -> pl.Series:
    """Days of the distinct ways in which dates are written: read once each, not once a row."""
    written = frame.select("when").unique()
    read = written.with_columns(day=days("when"))
    return frame.select("when").join(read, on="when", how="left", maintain_order="left", nulls_equal=True)["day"]
