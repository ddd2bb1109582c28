"""Does the index say anything of later returns? Information coefficients with Newey–West errors, and loud warnings.

An index and a table of returns go in; for each horizon a line comes out. Estimates are statsmodels'. It knows nothing
of how scores were made, but it asks until when the model was trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.errors import ConfigError, DataError, closest, require
from finsa_moe.scale.calendar import LONGEST
from finsa_moe.scale.index import MARKET, Index
from finsa_moe.scale.lookahead import looks_ahead
from finsa_moe.scale.tickers import twins

FEWEST_DAYS = 60
"""Under so many days the errors themselves are guesses: Newey–West is right in the limit of long samples."""
FEWEST_BLOCKS = 7
"""Under so many days that do not overlap nothing is said of chance: of fewer, 95 % of the correlations of noise with
noise reach to 1 (2.45/√7 = 0.93 is the first below it, 2.45 being Student's t of 6 degrees of freedom)."""
FEWEST_TICKERS = 5
"""Tickers of a day from which on ranks across them are compared; with fewer, one ticker at a time over days."""


@dataclass(frozen=True)
class Coefficient:
    """The information coefficient of one horizon.

    Attributes:
        horizon: Trading days of return, from the close of the index's day on, or where there was no trading on it from
            the close of the first trading day after it; −1 and 0 are the day before and the day.
        days: Trading days on which it could be taken; days of texts that share a return, as a weekend and its Monday,
            are one.
        mean: Mean coefficient.
        error: Its Newey–West standard error; with under `FEWEST_DAYS` blocks at least that of so many independent days.
        lags: Lags of that error.
        positive: Share of days with a coefficient over 0.
        chance: So far from 0 may chance alone bring the mean, in 95 of 100 cases: Student's t with as many degrees of
            freedom as there are blocks, less one, times the error. NaN with under `FEWEST_BLOCKS`.
    """

    horizon: int
    days: int
    mean: float
    error: float
    lags: int
    positive: float
    chance: float

    @property
    def blocks(self) -> int:
        """Days whose returns do not overlap."""
        return self.days // max(1, self.horizon)

    @property
    def t(self) -> float:
        """Mean over its error."""
        return self.mean / self.error if self.error > 0 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, by Student's t, of what a correlation can be; NaN with under `FEWEST_BLOCKS`."""
        low, high = np.clip([self.mean - self.chance, self.mean + self.chance], -1, 1)
        return float(low), float(high)


@dataclass(frozen=True)
class Study:
    """What an event study found.

    Attributes:
        coefficients: One a horizon.
        across: Whether ranks across tickers were compared day by day; else one series against its returns.
        warnings: What a reader has to know before believing a number.
    """

    coefficients: list[Coefficient]
    across: bool
    warnings: list[str]


def event_study(
    index: Index, returns: pl.DataFrame, *, measure: str = "score", horizons: Sequence[int] = (-1, 0, 1, 5),
    trained_until: date | None = None,
) -> Study:  # fmt: skip
    """Correlate a measure with returns by horizon.

    Across tickers: on each day Spearman's correlation of the measure with the return, over at least `FEWEST_TICKERS`
    tickers; the mean of these over trading days (that of the days that share a return is one), as the constant of a
    regression with Newey and West's (1987) errors. With fewer tickers that have both: of each series, the product of
    standardised measure (its mean over such days) and return by trading day, whose mean is Pearson's correlation, with
    the same errors. Lags: max(h − 1, ⌊4 (T/100)^(2/9)⌋), since returns over h days overlap.

    Args:
        index: What `make_index` made.
        returns: ``ticker, day, return``: the simple return of each trading day. Rows of `MARKET` are the market's.
        measure: A column of the index.
        horizons: Trading days of return. From 1 on they begin at the close of the index's day, or of the first trading
            day after it where that day has no return: the first close at which its texts can be traded on. 0 is the
            return of that very day and −1, the least, that of the trading day before: what texts tell of what has
            happened.
        trained_until: Last day of the texts the model was trained on; a model knows how these days ended.

    Raises:
        ConfigError: For a measure that the index does not have, or a horizon below −1.
        DataError: If no day of the index has returns.
        MissingExtra: If statsmodels is not installed.
    """
    if measure not in index.frame.columns or index.frame.schema[measure] != pl.Float64:
        known = [name for name, kind in index.frame.schema.items() if kind == pl.Float64]
        raise ConfigError(f"measure {measure!r}; the index has {', '.join(known)}{closest(measure, known)}")
    if (least := min(horizons, default=0)) < -1:
        raise ConfigError(f"horizon {least}: allowed are -1 (the day before), 0 (the day) and days after it from 1 on")
    values = index.frame.select("ticker", "day", x=pl.col(measure)).drop_nulls()
    both = returns.join(values, on="ticker", how="semi").filter(pl.col("ticker") != MARKET)
    across = both["ticker"].n_unique() >= FEWEST_TICKERS
    found, usable = [], 0
    for horizon in horizons:
        pairs = values.join(_ahead(returns, horizon, values), on=["ticker", "day"])
        series = _across(pairs) if across else _along(pairs)
        if len(series):
            found.append(_coefficient(series, horizon))
        usable = max(usable, len(series))
    if not found:
        raise DataError(
            "no day of the index has returns to compare with: see that tickers are spelt alike; "
            f"from {FEWEST_TICKERS} tickers on, a day needs {FEWEST_TICKERS} of them with a score"
        )
    told = _warnings(index, found, horizons, measure, trained_until)
    return Study(found, across, [*_without_returns(index, returns), *told])


def _ahead(returns: pl.DataFrame, horizon: int, values: pl.DataFrame) -> pl.DataFrame:
    """For each ticker and day of the index the return y over the horizon, and the trading day `held` that it goes by.

    Days that it has not in full are left out.
    """
    ordered = returns.sort("day")
    if horizon > 0:
        # a return runs from the close before its day: Monday's began on Friday, ahead of what is written on a Saturday,
        # so a day without trading waits for the close of the next that has it, and takes the return after that
        growth = pl.col("return").log1p()
        total = growth.rolling_sum(horizon).shift(-horizon).over("ticker", order_by="day")
        apart = pl.col("day").diff().dt.total_days()
        waits = apart.rolling_max(horizon).shift(-horizon).over("ticker", order_by="day")
        ordered = ordered.with_columns(y=pl.when(waits <= LONGEST).then(total.exp() - 1))
        asked = values.select("ticker", "day", at="day").sort("at")
        strategy = "forward"
    else:
        ordered = ordered.with_columns(y=pl.col("return"))
        asked = values.select("ticker", "day", at=pl.col("day") if horizon == 0 else pl.col("day").dt.offset_by("-1d"))
        asked, strategy = asked.sort("at"), "backward"
    if horizon == 0:
        return ordered.select("ticker", "day", "y", held="day").drop_nulls()
    joined = asked.join_asof(
        ordered.select("ticker", "y", at="day", held="day"), on="at", by="ticker", strategy=strategy,  # type: ignore[arg-type]
        tolerance=f"{LONGEST}d", check_sortedness=False,
    )  # fmt: skip
    return joined.select("ticker", "day", "y", "held").drop_nulls()


def _across(pairs: pl.DataFrame) -> NDArray[np.float64]:
    one = pairs.filter(pl.col("ticker") != MARKET).group_by("day").agg(
        n=pl.len(), r=pl.corr("x", "y", method="spearman"),
        held=pl.col("held").mode().min(),  # a halted ticker waits longer than the others
    )  # fmt: skip
    kept = one.filter((pl.col("n") >= FEWEST_TICKERS) & pl.col("r").is_finite())
    return kept.group_by("held").agg(pl.col("r").mean()).sort("held")["r"].to_numpy()


def _along(pairs: pl.DataFrame) -> NDArray[np.float64]:
    def standard(name: str) -> pl.Expr:
        column = pl.col(name)
        return (column - column.mean().over("ticker")) / column.std(ddof=0).over("ticker")

    held = pairs.group_by("ticker", "held").agg(pl.col("x").mean(), pl.col("y").first())
    products = held.select("held", p=standard("x") * standard("y")).filter(pl.col("p").is_finite())
    return products.group_by("held").agg(pl.col("p").mean()).sort("held")["p"].to_numpy()


def _coefficient(series: NDArray[np.float64], horizon: int) -> Coefficient:
    models: Any = require("statsmodels.api", "scale", "Newey–West errors")
    lags = min(max(horizon - 1, math.floor(4 * (len(series) / 100) ** (2 / 9))), len(series) - 1)
    fitted = models.OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    error, blocks, chance = float(fitted.bse[0]), len(series) // max(1, horizon), math.nan
    if 1 < blocks < FEWEST_DAYS:
        error = max(error, float(series.std(ddof=1)) / math.sqrt(blocks))
    if blocks >= FEWEST_BLOCKS:
        student: Any = require("scipy.stats", "scale", "intervals").t
        chance = float(student.ppf(0.975, blocks - 1)) * error
    mean, positive = float(fitted.params[0]), float((series > 0).mean())
    return Coefficient(horizon, len(series), mean, error, lags, positive, chance)


def _without_returns(index: Index, returns: pl.DataFrame) -> list[str]:
    """What is told of tickers that no return is of, where there are returns of tickers at all."""
    known = set(returns["ticker"])
    texts = dict(index.tickers.group_by("ticker").agg(pl.col("texts").sum()).rows())
    lost = sorted(texts.keys() - known)
    if not lost or not known - {MARKET}:
        return []
    share = sum(texts[name] for name in lost) / sum(texts.values())
    told = (
        f"{len(lost):,} of {len(texts):,} tickers ({100 * share:.0f} % of their texts) have no return (first: {lost[0]}"
    )
    if pairs := twins(lost, known):
        told += f"; {pairs[0][0]} is written {pairs[0][1]} there: --zfill {max(map(len, pairs[0]))} makes them one"
    return [f"{told})"]


def _warnings(
    index: Index, found: list[Coefficient], horizons: Sequence[int], measure: str, trained_until: date | None
) -> list[str]:
    told = []
    later = [c for c in found if c.horizon > 0]
    for c in later:
        small = f"TOO SMALL: {c.days} days ({c.blocks} that do not overlap) at horizon {c.horizon}; under "
        if c.blocks < FEWEST_BLOCKS:
            told.append(f"{small}{FEWEST_BLOCKS} nothing can be said of what is chance")
        elif c.blocks < FEWEST_DAYS:
            told.append(
                f"{small}{FEWEST_DAYS} neither the coefficient nor its error means much; {c.chance:.2f} could be chance"
            )
    for horizon in set(horizons) - {c.horizon for c in found}:
        told.append(f"TOO SMALL: no day can be compared over horizon {horizon}")
    seen = index.frame.filter(pl.col(measure).is_not_null())["day"]
    if (ahead := looks_ahead(seen, trained_until, index.daily.written)) is not None:
        told.append(ahead)
    told.append(
        "horizons 0 and -1 are returns that texts may already tell of; those from 1 on begin at the close of the day, "
        "or of the next trading day where it is none"
    )
    if index.rules.close is None:
        told.append(
            "LOOKS AHEAD? Say --close HH:MM: a text counts for the day on which it was written, and one written after "
            "the close came when the return of day 1 had begun"
        )
        return told
    if index.daily.untimed:
        told.append(
            f"LOOKS AHEAD? {index.daily.untimed:,} texts have no time: those written after the close came when the "
            "return of day 1 had begun"
        )
    return told
