"""The daily index: what the sums of scored texts come to by ticker and for the market; what is too thin stays empty.

`daily_sums` counts, `measures` has the formulae; here they are put together and written. It knows neither pictures nor
prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import numpy as np
import polars as pl

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import whole_path
from finsa_moe.scale.daily import SUMS, Daily, daily_sums
from finsa_moe.scale.measures import agreement, bullishness, mean_score, recent, weighted_score, z_score
from finsa_moe.scale.moments import ZONE, check_zone

MARKET = "market"
"""What stands in the column of tickers for all texts together."""
ENDINGS = (".parquet", ".csv")
MEASURES = ("score", "score_weighted", "bullishness", "agreement", "score_recent")


@dataclass(frozen=True)
class Rules:
    """How the index is made.

    Attributes:
        min_count: Fewest texts of a day; under it the counts stay and the measures are empty.
        half_life: Days after which a text counts half in ``score_recent``.
        window: Values that the z-score looks back on.
        close: From this minute on a text counts on the next calendar day; None leaves it on the day written.
        calendar: Trading days: a text counts on the first of them on or after its day; None takes every day.
        zone: Whose clock tells the day and the time of what carries a zone or an offset.
    """

    min_count: int = 5
    half_life: float = 5.0
    window: int = 20
    close: time | None = None
    calendar: Sequence[date] | None = None
    zone: str = ZONE

    def check(self) -> None:
        """Refuse what makes no index.

        Raises:
            ConfigError: Naming what is wrong.
        """
        if self.min_count < 1:
            raise ConfigError(f"min_count is {self.min_count}; it must be 1 or more")
        if not 0 < self.half_life < float("inf"):
            raise ConfigError(f"half_life is {self.half_life}; it must be over 0, in days")
        if self.window < 2:
            raise ConfigError(f"window is {self.window}; it must be 2 or more")
        if self.calendar is not None and not self.calendar:
            raise ConfigError("calendar is empty; it must hold a trading day, or be None")
        check_zone(self.zone)


@dataclass(frozen=True)
class Index:
    """The daily index.

    Attributes:
        frame: ``ticker, day, texts, bull, neutral, bear``, the measures, ``z``, and by source ``texts_…`` and
            ``score_…``; sorted by ticker and day, the market's rows under `MARKET`.
        daily: What it was made from.
        rules: How.
    """

    frame: pl.DataFrame
    daily: Daily
    rules: Rules

    @property
    def tickers(self) -> pl.DataFrame:
        """The rows of single tickers."""
        return self.frame.filter(pl.col("ticker") != MARKET)

    @property
    def market(self) -> pl.DataFrame:
        """The market's rows."""
        return self.frame.filter(pl.col("ticker") == MARKET)

    @property
    def thin(self) -> int:
        """Days of tickers with fewer texts than the rule asks for."""
        return int((self.tickers["texts"] < self.rules.min_count).sum())

    def save(self, path: Path) -> None:
        """Write the table, whole or not at all.

        Raises:
            DataError: If it cannot be written.
        """
        try:
            with whole_path(path) as part:
                if path.suffix.lower() == ".csv":
                    self.frame.write_csv(part, float_precision=6)
                else:
                    self.frame.write_parquet(part)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error


def make_index(
    sources: Sequence[Path], by: str, date: str, rules: Rules | None = None, *, source: str | None = None,
    split: str | None = None, zfill: int | None = None, once: bool = False, text: str | None = None,
) -> Index:  # fmt: skip
    """Daily sentiment by ticker and for the market; arguments and errors as `daily.daily_sums`."""
    rules = rules or Rules()
    rules.check()
    daily = daily_sums(
        sources, by, date, source=source, split=split, close=rules.close, calendar=rules.calendar, zone=rules.zone,
        zfill=zfill, once=once, text=text,
    )  # fmt: skip
    if not daily.rows:
        raise DataError(f"{sources[0]}: none of its {daily.unanswered:,} rows has an answer; score it again")
    if not daily.market.height and daily.outside:
        where = ", ".join(f"{texts:,} {place}" for place, texts in daily.outside.items())
        raise DataError(f"{sources[0]}: the calendar tells the trading day of none of its texts: {where}")
    if not daily.market.height:
        raise DataError(f"{sources[0]}: none of its {daily.rows:,} rows has a date that can be read in {date!r}")
    if MARKET in daily.by_ticker["ticker"]:
        raise DataError(f"{sources[0]}: a ticker is called {MARKET!r}, which stands for all texts here; rename it")
    market = daily.market.with_columns(ticker=pl.lit(MARKET)).select(daily.by_ticker.columns)
    sums = pl.concat([daily.by_ticker, market])
    frame = sums.group_by("ticker", "day").agg(pl.col(name).sum() for name in SUMS).sort("ticker", "day")
    frame = _measured(frame, rules)
    frame = _by_source(frame, sums, rules)
    counts = ("texts", "bull", "neutral", "bear")
    shown = [name for name in frame.columns if name not in ("ticker", "day", *SUMS)]
    return Index(frame.select("ticker", "day", *counts, *shown), daily, rules)


def _measured(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    numbered = frame.with_columns(_who=pl.col("ticker").rank("dense").cast(pl.Int64) - 1).with_row_index("_row")
    by_day = numbered.sort("day", "ticker")
    faded = recent(
        by_day["_who"].to_numpy(), by_day["day"].to_physical().cast(pl.Int64).to_numpy(),
        by_day["score_sum"].to_numpy(), by_day["texts"].cast(pl.Float64).to_numpy(), rules.half_life,
    )  # fmt: skip
    back = np.empty(len(faded))
    back[by_day["_row"].to_numpy()] = faded
    enough = pl.col("texts") >= rules.min_count
    frame = frame.with_columns(
        score=mean_score(), score_weighted=weighted_score(), bullishness=bullishness(), agreement=agreement(),
        score_recent=pl.Series(back),
    )  # fmt: skip
    frame = frame.with_columns(pl.when(enough).then(pl.col(name)).alias(name) for name in MEASURES)
    # empty days are passed over, so the yardstick is made of values alone
    yardstick = frame.filter(enough).select("ticker", "day", z=z_score("score", rules.window))
    return frame.join(yardstick, on=["ticker", "day"], how="left", maintain_order="left")


def _by_source(frame: pl.DataFrame, sums: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Texts and mean score of each source, and of two sources the difference of their scores."""
    names = sorted(name for name in sums["source"].unique().to_list() if name is not None)
    for name in names:
        if f"score_{name}" in frame.columns:
            raise DataError(f"a source is called {name!r}, and score_{name} is a column of its own here; rename it")
        part = sums.filter(pl.col("source") == name).select(
            "ticker", "day", pl.col("texts").alias(f"texts_{name}"),
            pl.when(pl.col("texts") >= rules.min_count).then(mean_score()).alias(f"score_{name}"),
        )  # fmt: skip
        frame = frame.join(part, on=["ticker", "day"], how="left", maintain_order="left")
        frame = frame.with_columns(pl.col(f"texts_{name}").fill_null(0))
    if {"news", "forum"} <= set(names):
        frame = frame.with_columns(news_minus_forum=pl.col("score_news") - pl.col("score_forum"))
    return frame
