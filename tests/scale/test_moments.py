"""One moment, however it is written, is of one day and on one side of the close; what carries no zone stays as written."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.scale.index import Index, Rules, make_index
from tests.documented import ROOT
from tests.scale.test_index import saved, scored

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
CLOCKS = (0, 20), (8, 0), (14, 59), (15, 0), (23, 10)
"""In Shanghai, on the last day of March; with a close of 15:00 the last two count on the next day."""
MOMENTS = [datetime(2026, 3, 31, *clock, tzinfo=SHANGHAI) for clock in CLOCKS]


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def offset(at: datetime, hours: float, form: str) -> str:
    return (at.astimezone(UTC) + timedelta(hours=hours)).strftime(form)


WRITTEN = {
    "+08:00": lambda at: offset(at, 8, "%Y-%m-%dT%H:%M:%S+08:00"),
    "+0800": lambda at: offset(at, 8, "%Y/%m/%d %H:%M +0800"),
    "Z": lambda at: offset(at, 0, "%Y-%m-%dT%H:%M:%SZ"),
    "UTC": lambda at: offset(at, 0, "%Y-%m-%d %H:%M:%S.123 UTC"),
    "+00:00": lambda at: offset(at, 0, "%Y年%m月%d日%H:%M+00:00"),
    "-10:00": lambda at: offset(at, -10, "%Y-%m-%dT%H:%M:%S-10:00"),
    "-12:00": lambda at: offset(at, -12, "%Y-%m-%d %H:%M -12:00"),
    "UTC-5": lambda at: offset(at, -5, "%Y-%m-%d %H:%M UTC-5"),
    "+14:00": lambda at: offset(at, 14, "%Y-%m-%d %H:%M+14:00"),
    "-05": lambda at: offset(at, -5, "%Y-%m-%d %H:%M:%S-05"),
    "+05:30": lambda at: offset(at, 5.5, "%Y-%m-%dT%H:%M+05:30"),
    "GMT+8": lambda at: offset(at, 8, "%Y-%m-%d %H:%M GMT+8"),
    "Java": lambda at: offset(at, -4, "%Y-%m-%dT%H:%M:%S-04:00[America/New_York]"),
    "together": lambda at: offset(at, -10, "%Y%m%dT%H%M%S-1000"),
    "fourteen digits": lambda at: int(at.strftime("%Y%m%d%H%M%S")),
    "twelve digits": lambda at: at.strftime("%Y%m%d%H%M"),
    "seconds": seconds,
    "seconds with a point": lambda at: float(seconds(at)),
    "seconds as text": lambda at: f"{seconds(at)}.0",
    "milliseconds": lambda at: 1000 * seconds(at) + 7,
    "UTC column": lambda at: at.astimezone(UTC),
}


def index_of(written: list[Any], folder: Path, **rules: Any) -> Index:
    source = saved([scored(date=cell) for cell in written], folder / "a.parquet")
    return make_index([source], "ticker", "date", Rules(1, **rules))


def counted(written: list[Any], folder: Path, **rules: Any) -> dict[str, int]:
    return {f"{day:%m-%d}": n for day, n in index_of(written, folder, **rules).market.select("day", "texts").rows()}


@pytest.mark.parametrize("how", WRITTEN)
def test_equal_moments_have_one_day_and_one_side_of_the_close(how: str, tmp_path: Path) -> None:
    written = [WRITTEN[how](at) for at in MOMENTS]
    assert counted(written, tmp_path, close=time(15)) == {"03-31": 3, "04-01": 2}
    assert counted(written, tmp_path) == {"03-31": 5}
    assert index_of(written, tmp_path, close=time(15)).daily.untimed == 0


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_column_of_new_york_is_read_by_shanghais_clock(ending: str, tmp_path: Path) -> None:
    frame = pl.DataFrame([scored()] * len(MOMENTS)).with_columns(date=pl.Series([at.astimezone(UTC) for at in MOMENTS]))
    frame = frame.with_columns(pl.col("date").dt.convert_time_zone("America/New_York"))
    path = tmp_path / f"a.{ending}"
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[ending](path)
    index = make_index([path], "ticker", "date", Rules(1, close=time(15)))
    assert index.market.select("day", "texts").rows() == [(date(2026, 3, 31), 3), (date(2026, 4, 1), 2)]
    assert set(index.daily.written.values()) == {date(2026, 3, 31)}


def test_another_zone_has_its_own_days(tmp_path: Path) -> None:
    """Over a change of the clocks, too: New York is five hours behind UTC on the 7th of March, four on the 9th."""
    written = ["2026-03-07T21:00Z", "2026-03-07T20:59Z", "2026-03-09T20:00Z", "2026-03-09T19:59Z", "2026-03-09 23:59"]
    rules = {"close": time(16), "zone": "America/New_York"}
    assert counted(written, tmp_path, **rules) == {"03-07": 1, "03-08": 1, "03-09": 1, "03-10": 2}
    with pytest.raises(ConfigError, match="zone 'Peking': allowed is the name of a time zone such as Asia/Shanghai"):
        Rules(zone="Peking").check()
    with pytest.raises(ConfigError, match="zone '': allowed is the name of a time zone"):
        Rules(zone="").check()


@pytest.mark.parametrize(
    "when",
    ["2026-03-31", "2026-03-31+08:00", "2026-03-31Z", "2026-03-31 23:10 EST", "2026-03-31 11:10 PM +00:00",
     "2026-03-30T16:00:00Z", "2026-03-31 25:10Z"],
)  # fmt: skip
def test_what_is_no_time_that_can_be_read_stays_on_its_day_and_is_counted(when: str, tmp_path: Path) -> None:
    """Midnight is that of the zone, in which 16:00 of UTC is one."""
    index = index_of([when], tmp_path, close=time(15))
    assert index.market["day"].to_list() == [date(2026, 3, 31)]
    assert index.daily.untimed == 1


def test_a_time_without_a_zone_is_taken_as_written(tmp_path: Path) -> None:
    written = ["2026-03-31 14:59", "2026-03-31 15:00"]
    for zone in ("Asia/Shanghai", "UTC", "America/New_York"):
        assert counted(written, tmp_path, close=time(15), zone=zone) == {"03-31": 1, "04-01": 1}
    naive = [datetime(2026, 3, 31, 14, 59), datetime(2026, 3, 31, 15)]
    assert counted(naive, tmp_path, close=time(15), zone="UTC") == {"03-31": 1, "04-01": 1}


@pytest.mark.parametrize(
    "when",
    ["2026-03-31 14:30-15:00", "2026-03-31 09:30-10:00", "2026年3月31日9:30-11:00", "20260331 0930-1030",
     "2026-03-31 09:30 -15:00", "2026-03-31T09:30:00-13:00", "2026-03-31 14:30+15:00"],
)  # fmt: skip
def test_a_span_of_time_is_no_offset(when: str, tmp_path: Path) -> None:
    """Nor is what no clock is from UTC: over 12 hours behind or 14 before."""
    assert counted([when], tmp_path, close=time(15)) == {"03-31": 1}
    assert index_of([when], tmp_path, close=time(15)).daily.untimed == 0


@pytest.mark.parametrize("when", [2026080315, 4_102_444_800, 202608031, 20260803153, 1785, "20260803996000"])
def test_numbers_that_may_be_something_else_are_no_day(when: Any, tmp_path: Path) -> None:
    """An hour's ten digits would be seconds of the year 2034; from 2100 on there are none."""
    assert index_of(["2026-03-31", str(when)], tmp_path).daily.undated == 1


def test_the_documented_days_are_those_that_texts_count_on(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| .*`(2026-08-.*)` \| ([\d-]+) \| ([\d-]+) \| ([\d-]+)(?:, Monday)? \|$", page, re.MULTILINE)
    calendar = [date(2026, 8, day) for day in (6, 7, 10, 11)]
    assert len(table) == 5
    for written, plain, evening, trading in table:
        assert counted([written], tmp_path) == {plain: 1}
        assert counted([written], tmp_path, close=time(15)) == {evening: 1}
        assert counted([written], tmp_path, close=time(15), calendar=calendar) == {trading: 1}
