"""Sheets of workbooks, cell by cell, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from finsa_moe.data.preparing.prepare import prepare
from finsa_moe.data.reading import excel
from finsa_moe.data.reading.formats import find_files, read_batches
from finsa_moe.data.reading.read import read_texts
from finsa_moe.errors import DataError, MissingExtra
from finsa_moe.files import sha256
from finsa_moe.polarity import NAMES
from tests.data.reading.workbook import write_workbook

SHEETS = {
    "首页": [
        [],
        ["代码", "内容", "价", "日期", "真"],
        ["000001", "涨停 <&>", 1688.0, (46024,), True],
        [],
        ["600519", "跌", 1.5, (46024.5,)],
    ],
    "Sheet 2.1": [["text"], ["平"]],
}


@pytest.fixture
def book(tmp_path):
    write_workbook(tmp_path / "f.xlsx", SHEETS)
    return tmp_path / "f.xlsx"


def test_the_first_sheet_comes_as_text_with_the_numbers_of_its_rows(book):
    (batch,) = read_batches(book)
    assert batch.names == ["代码", "内容", "价", "日期", "真"]
    assert batch.rows == [
        ["000001", "涨停 <&>", "1688", "2026-01-02", "true"],
        ["600519", "跌", "1.5", "2026-01-02 12:00:00", ""],
    ]
    assert batch.lines == [3, 5]


def test_a_sheet_is_named_behind_the_file(book):
    assert read_texts([Path(f"{book}#Sheet 2.1")]) == ["平"]
    assert find_files([book.parent]).files == [book]
    with pytest.raises(
        DataError, match=r"f\.xlsx#Sheet2: no sheet 'Sheet2'; did you mean 'Sheet 2\.1'\?; sheets found: 首页"
    ):
        list(read_batches(Path(f"{book}#Sheet2")))
    with pytest.raises(DataError, match="no such file"):
        find_files([book.with_name("g.xlsx#首页")])


def test_a_workbook_that_begins_with_a_note_tells_of_its_other_sheets(book, tmp_path):
    note = "; read: sheet 说明; others: 数据, 图 2, as in f.xlsx#数据"
    sheets = {"数据": [["text"], ["涨"]], "图 2": []}
    write_workbook(book, {"说明": [["数据说明"], ["共一行"]], **sheets})
    with pytest.raises(
        DataError, match=f"no text column; columns found: 数据说明; .* else name it by --text COL{note}$"
    ):
        read_texts([book])
    with pytest.raises(DataError, match=f"no column 'wort'; .* --text COL{note}$"):
        read_texts([book], "wort+x")
    with pytest.raises(DataError, match=r"name it by --text COL$"):
        read_texts([Path(f"{book}#说明")])
    write_workbook(book, {"说明": [["数据说明"]], **sheets})
    with pytest.raises(DataError, match=f"f.xlsx: no rows{note}$"):
        prepare([book], domain="research", out=tmp_path / "out")
    write_workbook(book, {"说明": [["数据说明"]]})
    with pytest.raises(DataError, match=r"f\.xlsx: no rows$"):
        prepare([book], domain="research", out=tmp_path / "out")


def test_merged_cells_say_the_same_in_each_row_that_holds_anything(book):
    rows = [
        ["内容", "标签"],
        ["涨", "利好"],
        ["又涨", None],
        [None, None],
        ["再涨", None],
        ["跌", "利空"],
        [None, None],
    ]
    write_workbook(book, {"a": [["周报", None], *rows]}, merged={"a": ["A1:B1", "B3:B6", "A7:A8", "B7:B8", "D3:D20"]})
    (batch,) = read_batches(book)
    assert batch.names == ["周报", "column_2"]
    assert batch.rows[1:] == [["涨", "利好"], ["又涨", "利好"], ["再涨", "利好"], ["跌", "利空"]]
    assert batch.lines[1:] == [3, 4, 6, 7]
    write_workbook(book, {"a": [["内容", "标签"], [None, "情感"], ["涨", "利好"]]}, merged={"a": ["A1:A2"]})
    (batch,) = read_batches(book)
    assert batch.rows[0] == ["", "情感"], "what is merged with a header is no text"


def test_a_sheet_is_prepared(book, tmp_path):
    rows = [["text", "label"], *([f"第{n}条各不相同的内容{n * 7919}", NAMES[n % 3]] for n in range(30))]
    write_workbook(book, {"a": [["x"]], "b 2": rows})
    prepare([Path(f"{book}#b 2")], domain="research", out=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert sum(split["rows"] for split in report["splits"].values()) == 30
    (source,) = report["sources"]
    assert (source["file"], source["sha256"]) == (f"{book}#b 2", sha256(book))


def test_many_rows_come_in_batches(book, monkeypatch):
    monkeypatch.setattr(excel, "BATCH_ROWS", 2)
    write_workbook(book, {"a": [["text"], *([f"涨{n}"] for n in range(5))]})
    batches = list(read_batches(book))
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    assert [line for batch in batches for line in batch.lines] == [2, 3, 4, 5, 6]


def test_a_sheet_without_rows_is_one_batch(book):
    write_workbook(book, {"a": []})
    (batch,) = read_batches(book)
    assert (batch.names, batch.rows) == ([], [])


def test_what_is_no_workbook_is_a_one_line_error(book):
    for content in (b"id,text\n1,x\n", book.read_bytes()[:-60], b"PK\x03\x04"):
        book.write_bytes(content)
        with pytest.raises(DataError, match=r"f\.xlsx: not a readable workbook: .*; save it anew as") as caught:
            list(read_batches(book))
        assert "\n" not in str(caught.value)


def test_without_the_extra_it_is_named(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtra, match=r"reading \.xlsx needs python_calamine, .*'\.\[excel\]'"):
        list(read_batches(book))
