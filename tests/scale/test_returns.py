"""Files of returns as people have them: columns by their usual names, gaps, and what is told of rows left out."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.scale.returns import Returns, read_returns


def written(rows: str, path: Path) -> Returns:
    path.write_text(rows, encoding="utf-8")
    return read_returns(path, "ticker")


def test_reading_returns(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    read = written("代码,日期,收益率\n000001,20260105,0.01\n000001,2026-01-06,\n000002,2026/1/5,-0.5\n", path)
    assert read.frame.rows() == [("000001", date(2026, 1, 5), 0.01), ("000002", date(2026, 1, 5), -0.5)]
    with pytest.raises(DataError, match="two returns on one day"):
        written("ticker,date,return\na,2026-01-05,1\na,20260105,2\n", path)
    for value in ("-3.2", "inf"):
        with pytest.raises(DataError, match="no fraction above -1; returns are fractions"):
            written(f"ticker,date,pct_chg\na,2026-01-05,{value}\n", path)
    with pytest.raises(DataError, match="no column of returns"):
        written("ticker,date,price\na,2026-01-05,1\n", path)


@pytest.mark.parametrize(
    "names", ["Date,Ticker,Return", "trade_date,ts_code,pct_chg", "日期,证券代码,涨跌幅", " DATE,Symbol,RET"]
)
def test_columns_by_the_names_that_others_give_them_in_any_case(names: str, tmp_path: Path) -> None:
    read = written(f"{names}\n2026-01-05,000001.SZ,0.01\n", tmp_path / "r.csv")
    assert read.frame.rows() == [("000001.SZ", date(2026, 1, 5), 0.01)]


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "r[1].csv").write_text("ticker,date,return\na,2026-01-05,0.5\n", encoding="utf-8")
    (tmp_path / "r1.csv").write_text("ticker,date,return\na,2026-01-05,0.7\n", encoding="utf-8")
    pl.read_csv(tmp_path / "r[1].csv", glob=False).write_parquet(tmp_path / "r[1].parquet")
    pl.read_csv(tmp_path / "r1.csv").write_parquet(tmp_path / "r1.parquet")
    for ending in ("csv", "parquet"):
        assert read_returns(tmp_path / f"r[1].{ending}", "ticker").frame["return"].to_list() == [0.5]


def test_blanks_round_a_cell_are_not_of_it(tmp_path: Path) -> None:
    """As the index has tickers."""
    read = written("ticker,date,return\n 000001 , 2026-01-05 , 0.01 \n", tmp_path / "r.csv")
    assert read.frame.rows() == [("000001", date(2026, 1, 5), 0.01)]
    assert read.warnings == []


def test_digits_get_their_zeros_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pl.DataFrame({"ticker": [1, 600519], "date": ["2026-01-05"] * 2, "return": [0.01, 0.02]}).write_parquet(path)
    assert read_returns(path, "ticker").frame["ticker"].to_list() == ["1", "600519"]
    assert read_returns(path, "ticker", 6).frame["ticker"].to_list() == ["000001", "600519"]


def test_rows_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    rows = "a,2026-01-05,0.01\na,2026-01-06,0.5%\na,soon,0.02\n ,2026-01-07,0.03\na,2026-01-08,\na,2026-01-09,NaN\n"
    read = written(f"ticker,date,return\n{rows}", tmp_path / "r.csv")
    assert read.frame.height == 1
    assert read.warnings == [
        "RETURNS LEFT OUT: 3 rows cannot be read (first: row 2: a, 2026-01-06, 0.5%); a text that waits for such a day is "
        "set against the return after it",
        "rows without a return: 2; they count as days without trading",
    ]
    with pytest.raises(DataError, match="no row has a ticker, a date"):
        written("ticker,date,return\na,2026-01-05,nan\n", tmp_path / "r.csv")


def test_the_first_change_of_pandas_is_none(tmp_path: Path) -> None:
    days = [date(2026, 1, 5), date(2026, 1, 6)]
    pl.DataFrame({"ticker": "a", "date": days, "return": [float("nan"), 0.012345678901234567]}).write_parquet(
        tmp_path / "r.parquet"
    )
    read = read_returns(tmp_path / "r.parquet", "ticker")
    assert read.frame.rows() == [("a", days[1], 0.012345678901234567)]
    assert read.warnings == ["rows without a return: 1; they count as days without trading"]


def test_numbers_with_a_point_are_tickers_without_one(tmp_path: Path) -> None:
    """As in the index: pandas makes floats of numbers beside an empty cell."""
    rows = {"ticker": [600519.0, 1.0, None], "date": ["2026-01-05"] * 3, "return": [0.5, 0.25, 0.1]}
    pl.DataFrame(rows).write_parquet(tmp_path / "r.parquet")
    read = read_returns(tmp_path / "r.parquet", "ticker")
    assert read.frame["ticker"].to_list() == ["1", "600519"]
    assert "1 rows cannot be read" in read.warnings[0]
