"""Numbers that are none (NaN), as pandas writes what is missing: no text, no label, no id and no ticker anywhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.polarity import LabelMap
from finsa_moe.runtime.bulk import predict_file
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.rows import columns, read
from finsa_moe.service.summary import Summary
from tests.fakes import FakeEngine

NAN = float("nan")
ROWS = [
    {"id": 1.0, "text": "涨停", "label": 2.0, "ticker": 600519.0, "date": "2026-07-31", "at": 0.5},
    {"id": NAN, "text": "跌停", "label": 0.0, "ticker": NAN, "date": "2026-07-31", "at": NAN},
    {"id": NAN, "text": "横盘", "label": NAN, "ticker": NAN, "date": "2026-07-31", "at": float("inf")},
]


@pytest.fixture(params=["parquet", "jsonl"])
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"in.{request.param}"
    if request.param == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    return path


def test_they_are_no_label_and_no_id(source: Path) -> None:
    table = read_rows([source], Columns(), LabelMap.parse("0=利空,2=利好"), "news")
    assert table.frame.select("id", "label").rows() == [("1.0", "利好"), ("news-in-2", "利空")]
    assert table.rejects.select("line", "reason", "id").rows() == [(3, "missing label", None)]


def test_an_answer_leaves_them_out(source: Path, tmp_path: Path) -> None:
    """As text their cells are empty; in Parquet they stay what they were, like infinity everywhere but in JSON."""
    for ending in ("csv", "jsonl", "parquet"):
        assert predict_file(Predictor(FakeEngine()), source, tmp_path / f"o.{ending}").answered == 3
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["id"], row["ticker"], row["at"]) for row in found] == [
        ("1.0", "600519.0", "0.5"), ("", "", ""), ("", "", "inf"),
    ]  # fmt: skip
    lines = (tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1.0, None, None]
    back = pl.read_parquet(tmp_path / "o.parquet")["id"].to_list()
    assert back[0] in (1.0, "1.0")  # of JSON, whose columns have no types, text
    assert all(one is None or one != one for one in back[1:])


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_they_are_no_text(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"id": [NAN, 2.0], "text": [NAN, 1.5], "label": ["利好", "利空"]})
    path = tmp_path / f"in.{ending}"
    if ending == "parquet":
        frame.write_parquet(path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in frame.rows(named=True)), encoding="utf-8")
    table = read_rows([path], Columns(), LabelMap(), "news")
    assert (table.frame["text"].to_list(), table.rejects["reason"].to_list()) == (["1.5"], ["empty text"])
    tally = predict_file(Predictor(FakeEngine()), path, tmp_path / "o.csv")
    with (tally.rejects or path).open(encoding="utf-8", newline="") as file:
        assert [(row["id"], row["reason"]) for row in csv.DictReader(file)] == [("in-1", "empty text")]


def test_they_are_no_ticker(source: Path) -> None:
    summary = Summary(list(columns(source)))
    for batch in read(source):
        for row in batch.rows:
            summary.add(row, "bullish")
    table = summary.table()
    assert [(row["ticker"], row["bullish"]) for row in table["tickers"]] == [("600519.0", 1)]  # type: ignore[attr-defined]
    assert [row["bullish"] for row in table["days"]] == [3]  # type: ignore[attr-defined]
