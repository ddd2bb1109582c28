"""Trading days: texts of weekends, holidays and evenings count on the next of them, or on none that is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.scale.calendar import read_calendar
from finsa_moe.scale.index import MARKET, Index, Rules, make_index
from finsa_moe.scale.lookahead import looks_ahead
from finsa_moe.scale.returns import read_returns
from tests.scale.test_index import made, saved, scored

# A holiday from Thursday the 1st to Thursday the 8th of October 2026; the 10th is a Saturday.
TRADING = tuple(date(2026, 9, day) for day in (28, 29, 30)) + tuple(date(2026, 10, day) for day in (9, 12, 13))
CLOSE = Rules(1, close=time(15), calendar=TRADING)


def index_of(written: list[str], rules: Rules, folder: Path) -> Index:
    return make_index([saved([scored(date=day) for day in written], folder / "a.parquet")], "ticker", "date", rules)


def counted(written: list[str], rules: Rules, folder: Path) -> dict[str, int]:
    """Texts by day, of the market and of the one ticker alike."""
    frame = index_of(written, rules, folder).frame
    market, ticker = (dict(frame.filter(ticker=name).select("day", "texts").rows()) for name in (MARKET, "a"))
    assert market == ticker
    return {f"{day:%m-%d}": texts for day, texts in market.items()}


def test_an_evening_before_a_weekend_counts_on_monday(tmp_path: Path) -> None:
    friday = [
        "2026-10-09 14:59",
        "2026-10-09 15:00",
        "2026-10-09 16:00",
        "2026-10-10",
        "2026-10-11 20:00",
        "2026-10-12 09:00",
    ]
    assert counted(friday, CLOSE, tmp_path) == {"10-09": 1, "10-12": 5}
    assert counted(friday, replace(CLOSE, close=None), tmp_path) == {"10-09": 3, "10-12": 3}
    assert counted(friday, replace(CLOSE, calendar=None), tmp_path) == {"10-09": 1, "10-10": 3, "10-12": 2}


def test_a_holiday_counts_on_the_day_after_it(tmp_path: Path) -> None:
    written = ["2026-09-30 10:00", "2026-09-30 15:00", *(f"2026-10-{day:02d} 11:00" for day in range(1, 10))]
    assert counted(written, CLOSE, tmp_path) == {"09-30": 1, "10-09": 10}


@pytest.mark.parametrize("at", ["2026-10-12", "2026-10-12 23:59", datetime(2026, 10, 11, 16), date(2026, 10, 10)])
def test_no_text_counts_before_it_was_written(at: object, tmp_path: Path) -> None:
    index = make_index([saved([scored(date=at)], tmp_path / "a.parquet")], "ticker", "date", CLOSE)
    (day,) = index.market["day"]
    assert day >= date.fromisoformat(str(at)[:10])
    assert day in TRADING


def test_a_calendar_of_any_order_is_the_same(tmp_path: Path) -> None:
    rows = made(300)
    source = saved(rows, tmp_path / "a.parquet")
    days = [row["date"] for row in rows if row["date"].weekday() < 5] + [date(2026, 4, 13)]
    once = make_index([source], "ticker", "date", Rules(1, calendar=tuple(sorted(set(days)))))
    assert_frame_equal(make_index([source], "ticker", "date", Rules(1, calendar=days[::-1])).frame, once.frame)
    assert once.daily.outside == {}
    assert once.market["texts"].sum() == 300
    assert max(day.weekday() for day in once.frame["day"]) == 4
    for row in rows:  # by hand
        row["date"] += timedelta(7 - row["date"].weekday() if row["date"].weekday() > 4 else 0)
    by_hand = make_index([saved(rows, tmp_path / "b.parquet")], "ticker", "date", Rules(1)).frame
    assert once.frame.select("ticker", "day", "texts", "bull").equals(by_hand.select("ticker", "day", "texts", "bull"))
    assert_frame_equal(once.frame, by_hand)


def test_days_that_the_calendar_does_not_tell_are_counted_and_in_no_row(tmp_path: Path) -> None:
    """A day before the first may have been one of trading, as may each of a month that is missing."""
    written = ["2026-09-25", "2026-09-27 09:00", "2026-10-12", "2026-10-13 15:00", "2026-10-20", "2026-10-21"]
    index = index_of([*written, "soon"], CLOSE, tmp_path)
    assert index.market.select("day", "texts").rows() == [(date(2026, 10, 12), 1)]
    daily = index.daily
    assert daily.outside == {"before its first day (2026-09-28)": 2, "after its last (2026-10-13)": 3}
    assert (daily.rows, daily.undated, daily.untimed) == (7, 1, 1)  # without a time: of those that are counted
    gap = Rules(1, calendar=[*TRADING, date(2026, 10, 29)])
    daily = index_of(["2026-10-13", "2026-10-14", "2026-10-28", "2026-10-29"], gap, tmp_path).daily
    assert daily.outside == {"between two over 15 days apart": 2}
    assert daily.market["day"].to_list() == [date(2026, 10, 13), date(2026, 10, 29)]
    fifteen = Rules(1, calendar=[*TRADING, date(2026, 10, 28)])
    assert counted(["2026-10-13", "2026-10-14"], fifteen, tmp_path) == {"10-13": 1, "10-28": 1}
    with pytest.raises(
        DataError, match=r"the trading day of none of its texts: 1 before its first day \(2026-09-28\)$"
    ):
        index_of(["2026-09-25"], CLOSE, tmp_path)
    with pytest.raises(ConfigError, match="calendar is empty"):
        index_of(["2026-09-25"], Rules(calendar=()), tmp_path)


def test_what_was_written_before_the_model_had_learnt_is_known_on_the_day_it_counts(tmp_path: Path) -> None:
    """Saturday's texts are Monday's here, and a model that has learnt until Sunday has met them."""
    written = ["2026-10-09 11:00", "2026-10-10 11:00", "2026-10-13 11:00"]

    def known(until: int, rules: Rules) -> str | None:
        index = index_of(written, rules, tmp_path)
        return looks_ahead(index.market["day"], date(2026, 10, until), index.daily.written)

    assert known(8, CLOSE) is None
    assert (known(9, CLOSE) or "").startswith("LOOKS AHEAD: 1 of 3 days")
    assert (known(11, CLOSE) or "").startswith("LOOKS AHEAD: 2 of 3 days")
    evening = Rules(1, close=time(10))
    assert (known(9, evening) or "").startswith("LOOKS AHEAD: 1 of 3 days")


def test_the_event_study_goes_by_the_same_days(tmp_path: Path) -> None:
    """With the returns as the calendar, a day of the index is the trading day that the study takes for it."""
    pytest.importorskip("statsmodels", reason="the extra scale is not installed")
    from finsa_moe.scale.event_study import _ahead

    file = tmp_path / "r.csv"
    file.write_text("ticker,date,return\n" + "".join(f"a,{day},0.01\n" for day in TRADING), encoding="utf-8")
    assert read_calendar(file) == TRADING
    values = index_of([f"2026-10-{day:02d} 16:00" for day in range(1, 12)], CLOSE, tmp_path).tickers
    plain = index_of(
        [f"2026-10-{day:02d} 16:00" for day in range(1, 12)], replace(CLOSE, calendar=None), tmp_path
    ).tickers
    returns = read_returns(file, "ticker").frame
    held = {
        kind: _ahead(returns, 1, some)["held"].unique().sort() for kind, some in {"own": values, "any": plain}.items()
    }
    assert held["own"].to_list() == values["day"].to_list() == held["any"].to_list()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "date\n2026-09-28\n2026/9/29\n2026年9月30日\n"),
        ("a.csv", "no,交易日期\n1,20260930\n2,20260928\n3,20260929\n4,20260928\n"),
        ("a.tsv", "ticker\tday\treturn\na\t2026-09-28\t0\nb\t2026-09-28\t\nb\t2026-09-29\t0.1\nb\t2026-09-30\t0.1\n"),
        ("a.txt", "2026-09-28\n2026-09-29\n\n2026-09-30\n"),
        ("a.jsonl", '{"cal_date": 20260928, "is_open": 1}\n{"cal_date": 20260929, "is_open": 1}\n'
                    '{"cal_date": 20260930, "is_open": 1}\n{"cal_date": 20261001, "is_open": 0}\n'),
        ("a.csv", "calendar_date,is_trading_day\n2026-09-27,0\n2026-09-28,1\n2026-09-29,1\n2026-09-30,True\n"),
        ("a.csv", "cal_date,is_open\n20260927,0.0\n20260928,1.0\n20260929,1.0\n20260930,1.0\n"),
    ],
)  # fmt: skip
def test_files_of_trading_days_as_people_have_them(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_calendar(path) == TRADING[:3]


def test_typed_files_of_trading_days(tmp_path: Path) -> None:
    path, days = tmp_path / "a.parquet", list(TRADING)
    for column in (
        pl.Series(days),
        pl.Series(days).cast(pl.Datetime),
        pl.Series([f"{day:%Y%m%d}" for day in days]).cast(pl.Int64),
    ):
        pl.DataFrame({"opened": ["2026-01-01"] * 6, "date": column}).write_parquet(path)
        assert read_calendar(path) == TRADING
    assert read_calendar(path, "opened") == (date(2026, 1, 1),)


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        (
            "date\n2026-09-28\n2026-09-31\n",
            None,
            "row 2: '2026-09-31' in column date is no day; allowed is a day such as",
        ),
        ("date,n\n,1\n", None, "row 1: '' in column date is no day"),
        (
            "2026-09-28\n2026-09-29\n",
            None,
            "its first line is no header: 2026-09-28; write the columns' names above it",
        ),
        ("when,open\n2026-09-28,1\n", None, r"no column of days; columns found: when, open; name it: .*:COLUMN"),
        ("date\n2026-09-28\n", "dat", "no column 'dat'; did you mean 'date'"),
        ("date\n", None, "holds no trading day; write one a row"),
        ("date,is_open\n2026-09-28,0\n", None, "holds no trading day"),
        ("date,is_open\n2026-09-28,1\n2026-09-29,\n", None, r"row 2: '' in column is_open; allowed are 1 and 0"),
        ("date,is_open\n2026-09-28,half\n", None, "row 1: 'half' in column is_open"),
        ("", None, "the file is empty"),
    ],
)
def test_a_file_of_other_things_is_one_line(text: str, column: str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        read_calendar(path, column)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_columns_of_a_calendar_in_any_case(tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    file.write_text("Exchange,Cal_Date,Is_Open\nSSE,20260807,1\nSSE,20260808,0\nSSE,20260810,1\n", encoding="utf-8")
    assert read_calendar(file) == (date(2026, 8, 7), date(2026, 8, 10))
