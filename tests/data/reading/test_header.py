"""A first row that names no columns, a title or a row already: said beside the columns found, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from finsa_moe.data.reading.read import read_texts
from finsa_moe.errors import DataError
from tests.data.reading.workbook import write_workbook


def told(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{path.name}: no text column; columns found: ") as caught:
        read_texts([path])
    return str(caught.value).partition("; ")[2].partition("; ")[2]


@pytest.mark.parametrize(
    ("content", "line", "header"),
    [
        ("舆情周报\n编号,内容,标签\n1,大涨,利好\n", 2, "编号, 内容, 标签"),
        ("舆情周报,,\n\n,,\n编号,内容,备注\n1,大涨,无\n", 4, "编号, 内容, 备注"),
        ("舆情周报\n内容\n大涨\n", 2, "内容"),
    ],
)
def test_a_header_below_a_title_is_pointed_to(tmp_path: Path, content: str, line: int, header: str) -> None:
    said = told(tmp_path / "f.csv", content)
    assert said == f"line {line} seems to be the header ({header}): delete the lines above it"


def test_a_header_below_a_title_of_a_workbook_is_pointed_to(tmp_path: Path) -> None:
    rows = [[], ["舆情周报", None, None], ["序号", "内容", "标签"], [1, "大涨", "利好"]]
    write_workbook(tmp_path / "f.xlsx", {"a": rows, "b": []}, merged={"a": ["A2:C2"]})
    with pytest.raises(
        DataError,
        match=r"line 3 seems to be the header \(序号, 内容, 标签\): delete the lines above it; read: sheet a; ",
    ):
        read_texts([tmp_path / "f.xlsx"])


@pytest.mark.parametrize(
    "content",
    [
        "净利润大增,利好\n被立案调查,利空\n",
        "净利润大增，股价上涨,甲\n被立案调查,乙\n",
        "净利润大增,2026-01-02\n被立案调查,2026-01-03\n",
        "净利润大增\n被立案调查\n",
    ],
)
def test_a_file_without_a_header_is_told_to_get_one(tmp_path: Path, content: str) -> None:
    assert told(tmp_path / "f.csv", content) == (
        "if the first line is a row already, write column names above it, as in text,label; else name it by --text COL"
    )


def test_what_has_a_header_is_not_doubted(tmp_path: Path) -> None:
    assert told(tmp_path / "f.csv", "甲,乙\n大涨,利好\n") == "name it by --text COL"
    assert told(tmp_path / "f.jsonl", '{"这是一个很长的列名，长得像一句话一样": "大涨"}\n') == "name it by --text COL"
