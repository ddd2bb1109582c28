"""Rows to be labelled: whole, with a text each, and columns that do not change on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import DataError
from finsa_moe.labelling.agreement import read_labels
from finsa_moe.labelling.sheet import read_sheet
from finsa_moe.polarity import LabelMap


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,text\na,涨\na,跌\n", "line 3: id 'a' stands in line 2 as well"),
        ("id,text\na, \n", "line 2: the text is empty"),
        ("id,text\na,涨,跌\n", "line 2: 3 cells .*; mend or drop the row"),
        ("id,text\n", "no row to label"),
        ("id,words\na,涨\n", "no text column"),
    ],
)
def test_sheets_that_cannot_be_labelled(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_sheet(path)


def test_a_column_that_was_found_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A title is the text while there is no content; a content that comes later does not become the text in mid-file."""
    monkeypatch.setattr("finsa_moe.runtime.rows.BATCH_ROWS", 2)
    rows = [{"id": str(at), "title": f"题{at}", "label": "利好"} for at in range(5)]
    rows[3]["content"] = "正文"
    path = written(tmp_path / "s.jsonl", *rows)
    assert [row.text for row in read_sheet(path)] == [f"题{at}" for at in range(5)]
    assert [one.text for one in read_labels(path, Columns(), LabelMap()).values()] == [f"题{at}" for at in range(5)]


def test_a_column_that_comes_late_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.runtime.rows.BATCH_ROWS", 2)
    rows: list[dict[str, object]] = [{"text": f"文{at}"} for at in range(5)]
    rows[3] |= {"id": "d", "label": "利好"}
    path = written(tmp_path / "s.jsonl", *rows)
    assert [(one.text, one.label.chinese) for one in read_labels(path, Columns(), LabelMap()).values()] == [
        ("文3", "利好")
    ]
    assert [row.id for row in read_sheet(path)] == ["s-1", "s-2", "s-3", "d", "s-5"]
    for column in ("label", "id"):
        lacking = written(tmp_path / "t.jsonl", *({k: v for k, v in row.items() if k != column} for row in rows))
        with pytest.raises(DataError, match=rf"t\.jsonl: no {column} column; columns found: text, "):
            read_labels(lacking, Columns(), LabelMap())


@pytest.mark.parametrize("text", [["a", "b"], {"a": "涨"}, []])
def test_a_text_that_is_a_list_or_an_object_is_refused(tmp_path: Path, text: object) -> None:
    path = written(
        tmp_path / "s.jsonl", {"id": "1", "text": "涨", "label": "利好"}, {"id": "2", "text": text, "label": "利空"}
    )
    says = "line 2: the text is a list or an object; allowed: a string or a number; mend or drop the row"
    with pytest.raises(DataError, match=says):
        read_sheet(path)
    with pytest.raises(DataError, match=says):
        read_labels(path, Columns(), LabelMap())
