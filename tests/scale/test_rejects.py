"""Rows that cannot be answered: each stands among the rejects, with its line and why."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.data.reading.rows import ESCAPED, NESTED
from finsa_moe.scale.stores import find_sources
from tests.scale.test_score import score, write_bytes
from tests.scale.texts import answers, texts

pytestmark = pytest.mark.usefixtures("here")


def test_bad_rows_stand_among_the_rejects(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("key,text\n1,涨\n2,\n3,跌,多\n4,平\n5,  \n", encoding="utf-8")
    report = score(source, out=tmp_path / "out", shard_rows=2)
    assert (report.rows, report.answered, report.refused) == (5, 2, 3)
    assert answers(tmp_path / "out")["key"].to_list() == ["1", "4"]
    rejects = []
    for file in sorted((tmp_path / "out" / "rejects").iterdir()):
        rejects += list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(Path(r["file"]).name, r["line"]) for r in rejects] == [("a.csv", "3"), ("a.csv", "4"), ("a.csv", "6")]
    assert [r["reason"] for r in rejects] == [
        "empty text", "3 cells where the header has 2; quote texts that hold a comma", "empty text",
    ]  # fmt: skip


def test_rejects_of_parquet_name_the_row(tmp_path: Path) -> None:
    made = [None if at % 17 == 3 else text for at, text in enumerate(texts(60))]
    pl.DataFrame({"id": range(60), "text": made}).write_parquet(tmp_path / "a.parquet", row_group_size=50)
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    found = [
        (int(row["line"]), int(row["id"]))
        for file in sorted((tmp_path / "out" / "rejects").iterdir())
        for row in csv.DictReader(file.open(encoding="utf-8"))
    ]
    assert found == [(at + 1, at) for at in range(60) if at % 17 == 3]


def test_rejects_that_are_gone_are_made_again(tmp_path: Path, counted: list[str]) -> None:
    out = tmp_path / "out"
    for name in ("a", "b"):
        pl.DataFrame({"text": [*texts(20), "", *texts(20)]}).write_parquet(tmp_path / f"{name}.parquet")
    score(tmp_path / "a.parquet", tmp_path / "b.parquet", out=out)
    before = {path.name: path.read_bytes() for path in (out / "rejects").iterdir()}
    assert len(before) == 2
    for name in before:
        (out / "rejects" / name).unlink()
    counted.clear()
    report = score(tmp_path / "a.parquet", out=out)
    assert f"{counted[0]}.csv" == min(before)
    assert (len(counted), report.refused, report.unplaced) == (1, 2, 1)  # those of b, which this run does not name
    report = score(tmp_path, out=out)
    assert (report.new_rows, report.unplaced) == (20, 0)
    assert {path.name: path.read_bytes() for path in (out / "rejects").iterdir()} == before


def test_a_string_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    good, gbk = "净利润同比增长".encode(), "净利润".encode("gbk")
    write_bytes(
        tmp_path / "a.parquet", key=[0, 1, 2, 3], text=[good, gbk, good, good], note=[b"", b"", None, gbk],
        id=[b"a", b"b", gbk, b"d"],
    )  # fmt: skip
    report = score(tmp_path / "a.parquet", out=tmp_path / "out")
    assert (report.rows, report.answered, report.refused) == (4, 1, 3)
    assert answers(tmp_path / "out")["key"].to_list() == [0]
    (file,) = (tmp_path / "out" / "rejects").iterdir()
    rows = [(r["line"], r["id"], r["reason"], r["text"]) for r in csv.DictReader(file.open(encoding="utf-8"))]
    shown = gbk.decode("utf-8", "backslashreplace")
    assert rows == [
        ("2", "b", "column 'text' is not UTF-8; write it as UTF-8", shown),
        ("3", shown, "column 'id' is not UTF-8; write it as UTF-8", good.decode()),
        ("4", "d", "column 'note' is not UTF-8; write it as UTF-8", good.decode()),
    ]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_text_of_bytes_that_are_not_utf8_costs_its_row(ending: str, tmp_path: Path) -> None:
    """And other bytes beside it none."""
    good, gbk = "净利润同比增长".encode(), "净利润".encode("gbk")
    frame = pl.DataFrame({"text": [good, gbk, good], "seal": [gbk, good, b"\xff"]})
    (frame.write_parquet if ending == "parquet" else frame.write_ipc)(tmp_path / f"a.{ending}")
    report = score(tmp_path / f"a.{ending}", out=tmp_path / "out")
    assert (report.rows, report.answered, report.refused) == (3, 2, 1)
    assert answers(tmp_path / "out")["seal"].to_list() == [gbk, b"\xff"]
    (file,) = (tmp_path / "out" / "rejects").iterdir()
    assert [(r["line"], r["reason"], r["text"]) for r in csv.DictReader(file.open(encoding="utf-8"))] == [
        ("2", ESCAPED, gbk.decode("utf-8", "backslashreplace"))
    ]


@pytest.mark.parametrize("ids", [[None, "x", "y"], [float("nan"), 1.5, 2.5]])
def test_a_refused_row_without_an_id_gets_one(tmp_path: Path, ids: list[object]) -> None:
    pl.DataFrame({"id": ids, "text": ["", "", "涨"]}).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    (file,) = (tmp_path / "out" / "rejects").iterdir()
    key = find_sources([str(tmp_path / "a.parquet")], tmp_path / "out")[0][0].key
    assert [row["id"] for row in csv.DictReader(file.open(encoding="utf-8"))] == [f"{key}-1", str(ids[1])]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "arrow"])
def test_a_list_is_no_text(ending: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [["涨停", "买入"], None, ["跌"]]})
    writers = {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet, "arrow": frame.write_ipc}
    (tmp_path / "in").mkdir()
    writers[ending](tmp_path / "in" / f"a.{ending}")
    pl.DataFrame({"text": texts(3)}).write_csv(tmp_path / "in" / "b.csv")
    report = score(tmp_path / "in", out=tmp_path / "out")
    assert (report.rows, report.answered, report.refused) == (6, 3, 3)
    (file,) = (tmp_path / "out" / "rejects").iterdir()
    rejects = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["line"], row["reason"]) for row in rejects] == [("1", NESTED), ("2", "empty text"), ("3", NESTED)]
    assert "涨停" in rejects[0]["text"]
