"""Dates as files write them."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import polars as pl
import pytest

from finsa_moe.data.reading.days import day, days, later, parse_day
from finsa_moe.errors import ConfigError


@pytest.mark.parametrize(
    "written",
    [
        "2026-07-31",
        "2026/7/31 09:30",
        "20260731",
        "2026.7.31",
        "2026年7月31日",
        " 2026-07-31T09:30:00Z",
        "2026-7-31",
        "20260731 093000",
    ],
)
def test_a_day(written: str) -> None:
    assert pl.DataFrame({"date": [written]}).select(days())["date"].to_list() == [date(2026, 7, 31)]
    assert day(written) == parse_day(written, "--test-after") == date(2026, 7, 31)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "昨天",
        "2026-13-01",
        "2026-02-30",
        "1785456000",
        "07-31",
        "2026",
        "31/07/2026",
        "202607311",
        "2026-12",
        "2026年12月",
        "202612",
        "2026123",
        "2026-1231",
        "２０２６-07-31",
        None,
    ],
)
def test_no_day(written: str | None) -> None:
    assert pl.DataFrame({"date": [written]}, schema={"date": pl.String}).select(days())["date"].to_list() == [None]
    if written is not None:
        assert day(written) is None
        with pytest.raises(ConfigError, match=r"--test-after .* allowed is a day such as 2026-07-31"):
            parse_day(written, "--test-after")


def test_one_cell_is_read_without_polars() -> None:
    script = (
        "import sys; sys.modules['polars'] = None; from finsa_moe.data.reading.days import day; print(day('2026.7.31'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "2026-07-31\n"


def test_a_cluster_on_both_sides_stays_on_the_early_one() -> None:
    rows = pl.DataFrame(
        {
            "id": list("abcde"),
            "cluster": [1, 1, 2, 3, 3],
            "date": ["2026-01-01", "2026-01-09", "2026-01-09", None, "2026-01-10"],
        }
    )
    early, late, unusable = later(rows, date(2026, 1, 5))
    assert (early["id"].to_list(), late["id"].to_list()) == (["a"], ["c", "e"])
    assert sorted(zip(unusable["id"], unusable["reason"], strict=True)) == [
        ("b", "after 2026-01-05 but equal or near to a text up to then"),
        ("d", "no date that can be read"),
    ]
    assert early.columns == late.columns == rows.columns


def test_what_only_a_column_ties_to_an_early_row_is_told_so() -> None:
    rows = pl.DataFrame(
        {"id": list("abcd"), "cluster": [1, 1, 1, 2], "like": [1, 1, 3, 4], "date": ["20260101", *["20260109"] * 3]}
    )
    early, late, unusable = later(rows, date(2026, 1, 5), "event")
    assert (early["id"].to_list(), late["id"].to_list()) == (["a"], ["d"])
    assert unusable.select("id", "reason").rows() == [
        ("b", "after 2026-01-05 but equal or near to a text up to then"),
        ("c", "after 2026-01-05 but kept by 'event' with a row up to then"),
    ]
