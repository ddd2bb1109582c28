"""Parquet whose cells Python has no type for: nothing is lost, and nothing is answered that is no text."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime import rows
from finsa_moe.runtime.bulk import Tally, predict_file
from finsa_moe.runtime.distinct import read_pool
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.rows import columns, read
from tests.fakes import FakeEngine


def answer(source: Path, target: Path, **options: str) -> Tally:
    return predict_file(Predictor(FakeEngine()), source, target, **options)  # type: ignore[arg-type]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)
    return tmp_path / "in.parquet"


def test_text_written_as_bytes_is_text(source: Path, tmp_path: Path) -> None:
    """And what is not UTF-8 among it is refused; a column of other bytes is left as it is."""
    texts = ["涨停".encode(), None, "跌停".encode(), "跌停".encode("gbk"), "公告涨".encode()]
    frame = pl.DataFrame({"id": range(5), "text": texts, "seal": [b"\xff\xd8%d" % n for n in range(5)]})
    frame.write_parquet(source)
    tally = answer(source, tmp_path / "out.parquet")
    back = pl.read_parquet(tmp_path / "out.parquet")
    assert back.select(frame.columns).equals(frame[[0, 2, 4]])
    assert back["sentiment"].to_list() == ["利好", "利空", "利好"]
    assert [(row["line"], row["reason"], row["text"]) for row in read_csv(tally.rejects or tmp_path)] == [
        ("2", "empty text", ""), ("4", "the text is not UTF-8; write it as UTF-8", r"\xb5\xf8ͣ"),
    ]  # fmt: skip
    assert (tally.rows, tally.answered, tally.refused) == (5, 3, 2)
    answer(source, tmp_path / "out.csv")
    assert [row["text"] for row in read_csv(tmp_path / "out.csv")] == ["涨停", "跌停", "公告涨"]
    pool = read_pool(Predictor(FakeEngine()), source)
    assert (pool.texts, pool.refused) == (["涨停", "跌停", "公告涨"], 2)


def test_bytes_that_are_no_text_are_not_answered(source: Path, tmp_path: Path) -> None:
    pl.DataFrame({"text": [b"\xff\xd8", b"\xff\xd9"], "title": ["涨", "跌"]}).write_parquet(source)
    with pytest.raises(DataError, match=r"none of its 2 rows can be answered \(line 1: the text is not UTF-8"):
        answer(source, tmp_path / "out.csv")
    assert answer(source, tmp_path / "out.csv", text="title").answered == 2


@pytest.mark.parametrize("cells", [[b"\x00", b"\x01", b"\xff"], ["涨".encode(), None, b"\xff"]])
def test_bytes_beside_the_text_refuse_no_row(source: Path, tmp_path: Path, cells: list[bytes | None]) -> None:
    """However few of them are UTF-8; lines of text show what is not as escapes."""
    frame = pl.DataFrame({"text": ["涨", "跌", "平"], "h": cells})
    frame.write_parquet(source)
    assert answer(source, tmp_path / "out.parquet").answered == 3
    assert pl.read_parquet(tmp_path / "out.parquet").select(frame.columns).equals(frame)
    shown = ["" if one is None else one.decode("utf-8", "backslashreplace") for one in cells]
    answer(source, tmp_path / "out.csv")
    assert [row["h"] for row in read_csv(tmp_path / "out.csv")] == shown
    answer(source, tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["h"] or "" for line in lines] == shown


NANO = 1_785_456_000_123_456_789


@pytest.mark.parametrize("zone", [None, "Asia/Shanghai"])
def test_nanoseconds_are_kept(source: Path, tmp_path: Path, zone: str | None) -> None:
    stamps = pl.Series([NANO, None, NANO + 1]).cast(pl.Datetime("ns")).dt.replace_time_zone(zone)
    whole = pl.Series([NANO // 1000 * 1000] * 3).cast(pl.Datetime("ns"))
    frame = pl.DataFrame({"text": ["涨", "跌", "平"], "at": stamps, "whole": whole})
    frame.write_parquet(source)
    answer(source, tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").select(frame.columns).equals(frame)
    for ending in (".jsonl", ".csv"):
        answer(source, tmp_path / f"out{ending}")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    for row in (json.loads(lines[0]), read_csv(tmp_path / "out.csv")[0]):
        assert row["at"] == "2026-07-31 00:00:00.123456789" + ("+08:00" if zone else "")
        assert row["whole"] == "2026-07-31 00:00:00.123456"


def test_times_after_the_year_9999(source: Path, tmp_path: Path) -> None:
    late = pl.Series([253_402_300_800_000_005, 1, None, 2**62]).cast(pl.Datetime("us"))
    last = pl.Series([datetime(9999, 12, 31, 23, tzinfo=UTC)] * 4).dt.convert_time_zone("Asia/Shanghai")
    beyond = pl.Series([2**62, None, 0, 1]).cast(pl.Datetime("ms"))  # polars has no text for the first
    day = pl.Series([3_000_000, 0, None, -3_000_000]).cast(pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"text": ["涨"] * 4, "late": late, "last": last, "beyond": beyond, "day": day})
    frame.write_parquet(source)
    assert answer(source, tmp_path / "out.parquet").answered == 4
    assert pl.read_parquet(tmp_path / "out.parquet").select(frame.columns).equals(frame)
    answer(source, tmp_path / "out.csv")
    first = read_csv(tmp_path / "out.csv")[0]
    assert [first[name] for name in ("late", "last", "beyond", "day")] == [
        "+10000-01-01 00:00:00.000005", "+10000-01-01 07:00:00.000000+08:00", str(2**62), "+10183-09-21",
    ]  # fmt: skip


def test_times_that_python_holds_are_as_they_were(source: Path) -> None:
    at = [datetime(9999, 12, 31), datetime(1, 1, 1), datetime(2026, 7, 31, 9, 30)]
    pl.DataFrame({"text": ["涨"] * 3, "at": at}).write_parquet(source)
    assert [row[1] for batch in read(source) for row in batch.rows] == at


def test_the_columns_of_parquet_are_told_without_its_rows(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"text": ["涨"], "n": [1], "at": [datetime(2026, 7, 31)]})
    frame.write_parquet(source)

    def none(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr(rows, "load_frame", none)
    assert columns(source) == dict(frame.schema)
