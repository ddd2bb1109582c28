"""The event study against planted effects, hand-computed errors, and samples that must make it warn."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("statsmodels", reason="the extra scale is not installed")

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.scale.daily import Daily
from finsa_moe.scale.event_study import Coefficient, Study, _coefficient, event_study
from finsa_moe.scale.index import MARKET, Index, Rules

START = date(2025, 1, 6)


def world(tickers: int = 12, weeks: int = 40, lead: float = 0.5, seed: int = 0) -> tuple[Index, pl.DataFrame]:
    """Scores of every calendar day; returns of weekdays that follow the last day before them with weight `lead`."""
    rng = np.random.default_rng(seed)
    days = [START + timedelta(at) for at in range(7 * weeks)]
    score = rng.standard_normal((tickers, len(days)))
    rows, prices = [], []
    for who in range(tickers):
        for at, day in enumerate(days):
            rows.append({"ticker": f"{who:06d}", "day": day, "score": score[who, at]})
            if day.weekday() < 5 and at:
                noise = rng.standard_normal()
                prices.append(
                    {"ticker": f"{who:06d}", "day": day, "return": 0.01 * (lead * score[who, at - 1] + noise)}
                )
    empty = pl.DataFrame()
    frame = pl.DataFrame(rows).with_columns(texts=pl.lit(10))
    return Index(frame, Daily(empty, empty, 0, 0, 0), Rules(close=time(15))), pl.DataFrame(prices)


def at(study: Study, horizon: int) -> Coefficient:
    return next(c for c in study.coefficients if c.horizon == horizon)


def test_a_planted_lead_is_found_and_nothing_else() -> None:
    index, returns = world()
    study = event_study(index, returns, horizons=(-1, 0, 1), trained_until=START - timedelta(1))
    assert study.across
    # rho = 0.5 / sqrt(1.25) for Tuesday to Thursday, and for Monday by a third, as Saturday and Sunday share its return:
    # Monday's own return follows Sunday here, but it began on Friday, so it is neither Friday's lead nor Sunday's trade
    assert at(study, 1).mean == pytest.approx(0.447 * (3 + 1 / 3) / 5, abs=0.03)
    assert at(study, 1).t > 8
    for horizon in (-1, 0):
        low, high = at(study, horizon).interval
        assert low - 0.02 < 0 < high + 0.02
    assert not [w for w in study.warnings if w.startswith(("TOO SMALL", "LOOKS AHEAD"))]


def test_a_score_that_follows_returns_does_not_lead_them() -> None:
    index, returns = world(lead=0.0)
    shifted = returns.select("ticker", pl.col("day"), score=pl.col("return"))
    reactive = Index(shifted.with_columns(texts=pl.lit(9)), index.daily, index.rules)
    study = event_study(reactive, returns, horizons=(0, 1))
    assert at(study, 0).mean == pytest.approx(1.0)
    assert abs(at(study, 1).mean) < 0.1


def newey_west(series: np.ndarray, lags: int) -> float:
    """The standard error of a mean, by the formula: Bartlett weights on autocovariances."""
    centred, n = series - series.mean(), len(series)
    long_run = centred @ centred / n
    for lag in range(1, lags + 1):
        long_run += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / n
    return float(np.sqrt(long_run / n))


def test_one_series_has_pearsons_mean_and_newey_wests_error() -> None:
    index, returns = world(tickers=1, weeks=30)
    frame = index.frame.with_columns(ticker=pl.lit(MARKET))
    returns = returns.with_columns(ticker=pl.lit(MARKET))
    study = event_study(Index(frame, index.daily, index.rules), returns, horizons=(0,))
    pairs = frame.join(returns, on=["ticker", "day"]).sort("day")
    x, y = pairs["score"].to_numpy(), pairs["return"].to_numpy()
    products = (x - x.mean()) / x.std() * (y - y.mean()) / y.std()
    assert not study.across
    assert at(study, 0).mean == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert at(study, 0).lags == int(4 * (len(x) / 100) ** (2 / 9))
    assert at(study, 0).error == pytest.approx(newey_west(products, at(study, 0).lags))


def test_returns_of_several_days_are_compounded_from_the_next_trading_day() -> None:
    days = [date(2026, 1, day) for day in (5, 6, 7, 8, 9, 12, 13)]
    values = [0.1, -0.2, 0.3, 0.05, -0.1, 0.2, 0.01]
    from finsa_moe.scale.event_study import _ahead

    returns = pl.DataFrame({"ticker": ["a"] * 7, "day": days, "return": values})
    asked = pl.DataFrame({"ticker": ["a"] * 4, "day": [date(2026, 1, d) for d in (5, 9, 10, 12)], "x": [0.0] * 4})
    two = {row["day"].day: row["y"] for row in _ahead(returns, 2, asked).iter_rows(named=True)}
    assert two == {5: pytest.approx(0.8 * 1.3 - 1), 9: pytest.approx(1.2 * 1.01 - 1)}
    one = {row["day"].day: row["y"] for row in _ahead(returns, 1, asked).iter_rows(named=True)}
    # Saturday the 10th is traded on at Monday's close: Monday's own return began on Friday
    assert one == {5: pytest.approx(-0.2), 9: pytest.approx(0.2), 10: pytest.approx(0.01), 12: pytest.approx(0.01)}
    before = {row["day"].day: row["y"] for row in _ahead(returns, -1, asked).iter_rows(named=True)}
    assert before == {9: 0.05, 10: -0.1, 12: -0.1}


def test_a_weekend_is_not_set_against_a_return_that_began_before_it() -> None:
    """Sundays lead Monday's return here, which no one who reads on Sunday can have."""
    index, returns = world(weeks=80, lead=2.0)
    weekends = Index(index.frame.filter(pl.col("day").dt.weekday() >= 6), index.daily, index.rules)
    found = at(event_study(weekends, returns, horizons=(1,)), 1)
    assert found.days == 79  # two days, one return; the last weekend has no Tuesday after it
    low, high = found.interval
    assert low < 0 < high


@pytest.mark.parametrize("tickers", [12, 1])
def test_days_that_share_a_return_count_once(tickers: int) -> None:
    """Eleven weeks are 77 days, and 54 returns: too few."""
    index, returns = world(tickers=tickers, weeks=11)
    study = event_study(index, returns, horizons=(-1, 0, 1, 5))
    assert [c.days for c in study.coefficients] == [54, 54, 53, 49]
    small = [line for line in study.warnings if line.startswith("TOO SMALL")]
    assert ["53 days (53 that do not" in small[0], "49 days (9 that do not" in small[1]] == [True, True]


def test_a_series_over_weekends_has_pearsons_mean() -> None:
    """Of the mean of the texts' days that share a return with that return."""
    index, returns = world(tickers=1, weeks=30)
    found = at(event_study(index, returns, horizons=(1,)), 1)
    ahead = returns.sort("day").select(held="day", y=pl.col("return").shift(-1)).drop_nulls()
    pairs = index.frame.sort("day").join_asof(ahead, left_on="day", right_on="held", strategy="forward", coalesce=False)
    pairs = pairs.drop_nulls().group_by("held").agg(pl.col("score").mean(), pl.col("y").first())
    assert found.days == pairs.height
    assert found.mean == pytest.approx(np.corrcoef(pairs["score"], pairs["y"])[0, 1])


def test_a_halted_tickers_days_stay_with_the_others() -> None:
    """A day is a trading day where most tickers trade, whatever single ones wait for."""
    index, returns = world(weeks=8)
    whole = at(event_study(index, returns, horizons=(1,)), 1)
    halted = (pl.col("ticker") == "000003") & pl.col("day").is_between(START + timedelta(7), START + timedelta(16))
    found = at(event_study(index, returns.filter(~halted), horizons=(1,)), 1)
    assert found.days == whole.days


def test_returns_of_the_whole_market_beside_a_few_tickers() -> None:
    """Whether tickers are compared is told by those that have both."""
    index, returns = world(tickers=12)
    few = Index(index.frame.filter(pl.col("ticker").is_in(["000000", "000001", "000002"])), index.daily, index.rules)
    study = event_study(few, returns, horizons=(1,))
    assert not study.across
    assert at(study, 1).mean > 0.1


def test_a_halt_is_not_waited_out() -> None:
    from finsa_moe.scale.event_study import _ahead

    days = [date(2026, 1, 5), date(2026, 1, 6), date(2026, 3, 2), date(2026, 3, 3)]
    returns = pl.DataFrame({"ticker": ["a"] * 4, "day": days, "return": [0.1, 0.2, 0.3, 0.4]})
    asked = pl.DataFrame({"ticker": ["a"] * 3, "day": [days[0], days[1], date(2026, 1, 20)], "x": [0.0] * 3})
    assert _ahead(returns, 1, asked).select("day", "y").rows() == [(days[0], pytest.approx(0.2))]


def test_no_return_reaches_over_a_halt() -> None:
    """Of several days either, wherever among them the halt lies."""
    from finsa_moe.scale.event_study import _ahead

    days = [date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7), *(date(2026, 3, day) for day in (2, 3, 4, 5))]
    returns = pl.DataFrame({"ticker": ["a"] * 7, "day": days, "return": [0.1] * 7})
    asked = pl.DataFrame({"ticker": ["a"] * 7, "day": days, "x": [0.0] * 7})
    assert _ahead(returns, 3, asked)["day"].to_list() == [date(2026, 3, 2)]
    assert _ahead(returns, 2, asked)["day"].to_list() == [date(2026, 1, 5), date(2026, 3, 2), date(2026, 3, 3)]


def test_what_the_close_has_not_settled_is_said() -> None:
    index, returns = world(weeks=6)

    def told(rules: Rules, untimed: int) -> list[str]:
        found = event_study(Index(index.frame, replace(index.daily, untimed=untimed), rules), returns)
        return [line for line in found.warnings if "the return of day 1 had begun" in line]

    assert "Say --close HH:MM" in told(Rules(), 0)[0]
    assert told(Rules(close=time(15)), 0) == []
    assert "1,234 texts have no time" in told(Rules(close=time(15)), 1234)[0]


def test_tickers_without_returns_are_said() -> None:
    """Whose returns lost their leading zeros are half a market."""
    index, returns = world(weeks=10)
    heavy = index.frame.with_columns(texts=pl.when(pl.col("ticker") < "000003").then(30).otherwise(10))
    index = replace(index, frame=heavy)

    def told(some: pl.DataFrame) -> list[str]:
        return [line for line in event_study(index, some, horizons=(1,)).warnings if "have no return" in line]

    assert told(returns) == []
    assert told(returns.filter(pl.col("ticker") >= "000003")) == [
        "3 of 12 tickers (50 % of their texts) have no return (first: 000000)"
    ]
    bare = pl.col("ticker").str.strip_chars_start("0")
    lost = returns.filter(pl.col("ticker") != "000000")
    assert told(lost.with_columns(ticker=pl.when(pl.col("ticker") < "000003").then(bare).otherwise("ticker"))) == [
        "3 of 12 tickers (50 % of their texts) have no return (first: 000000; 000001 is written 1 there: --zfill 6 "
        "makes them one)"
    ]
    short = replace(
        index, frame=heavy.with_columns(ticker=pl.when(ticker="000011").then(pl.lit("11")).otherwise("ticker"))
    )
    (line,) = (line for line in event_study(short, returns).warnings if "have no return" in line)
    assert line.endswith("(first: 11; 11 is written 000011 there: --zfill 6 makes them one)")
    market = returns.filter(pl.col("ticker") == "000000").with_columns(ticker=pl.lit(MARKET))
    both = replace(index, frame=pl.concat([heavy, heavy.filter(ticker="000000").with_columns(ticker=pl.lit(MARKET))]))
    assert not [line for line in event_study(both, market).warnings if "have no return" in line]


def test_small_samples_and_looking_ahead_are_said_loudly() -> None:
    index, returns = world(weeks=6)
    study = event_study(index, returns, horizons=(1, 5), trained_until=START + timedelta(9))
    assert sum(w.startswith("TOO SMALL") for w in study.warnings) == 2
    assert any(w.startswith("LOOKS AHEAD: 10 of 42 days") for w in study.warnings)
    assert any(w.startswith("LOOKS AHEAD?") for w in event_study(index, returns).warnings)


@pytest.mark.parametrize(("tickers", "days"), [(1, 8), (12, 8), (12, 40)])
def test_chance_passes_its_bound_as_seldom_as_it_says(tickers: int, days: int) -> None:
    """Noise over few days: 5 of 100 samples lie beyond the bound; of 8 days over 10 beyond twice the Newey–West error."""
    beyond, naive = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        if tickers == 1:
            x, y = rng.standard_normal((2, days))
            series = (x - x.mean()) / x.std() * (y - y.mean()) / y.std()
        else:
            series = rng.standard_normal(days) / np.sqrt(tickers - 1)  # what Spearman's of a day comes to
        found = _coefficient(series, 1)
        beyond.append(abs(found.mean) > found.chance)
        naive.append(abs(found.mean) > 2 * newey_west(series, found.lags))
    assert 0.015 <= np.mean(beyond) <= 0.08
    assert days > 10 or np.mean(naive) > 0.1


def test_too_few_days_give_no_bound() -> None:
    """Six that do not overlap, then seven; and 34 days of a return over five are six as well."""
    rng = np.random.default_rng(1)
    for days, horizon in ((6, 1), (34, 5)):
        found = _coefficient(rng.standard_normal(days), horizon)
        assert found.blocks == 6
        assert np.isnan([found.chance, *found.interval]).all()
    found = _coefficient(np.array([0.3, -0.1, 0.2, 0.4, -0.2, 0.1, 0.0]), 1)
    spread = math.sqrt((0.2**2 + 0.2**2 + 0.1**2 + 0.3**2 + 0.3**2 + 0.0 + 0.1**2) / 6)  # about their mean, 0.1
    assert found.chance == pytest.approx(2.4469 * max(spread / math.sqrt(7), found.error), rel=1e-4)
    assert found.interval == (found.mean - found.chance, found.mean + found.chance)
    assert _coefficient(np.array([1.0, 1, 1, 1, 1, 1, 0.2]), 1).interval[1] == 1.0  # no correlation is beyond it
    assert _coefficient(np.array([-1.0, -1, -1, -1, -1, -1, -0.2]), 1).interval[0] == -1.0
    index, returns = world(weeks=2)
    told = [line for line in event_study(index, returns, horizons=(1, 5)).warnings if line.startswith("TOO SMALL")]
    assert "could be chance" in told[0]
    assert told[1] == (
        "TOO SMALL: 4 days (0 that do not overlap) at horizon 5; under 7 nothing can be said of what is chance"
    )


def test_wrong_measures_and_strangers(tmp_path: Path) -> None:
    index, returns = world(weeks=2)
    with pytest.raises(ConfigError, match="did you mean 'score'"):
        event_study(index, returns, measure="scor")
    with pytest.raises(ConfigError, match=r"horizon -2: allowed are -1 \(the day before\), 0"):
        event_study(index, returns, horizons=(1, -2))
    with pytest.raises(DataError, match="spelt alike"):
        event_study(index, returns.with_columns(ticker=pl.lit("x") + pl.col("ticker")))
