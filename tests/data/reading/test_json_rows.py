"""JSON rows, one a line or in one list, with the line each starts on."""

from __future__ import annotations

import json

import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.formats import read_batches
from finsa_moe.data.reading.json_rows import json_portions, json_values
from finsa_moe.data.reading.read import read_rows
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap


def read(path):
    (batch,) = read_batches(path)
    return batch


def test_lines_with_keys_that_come_and_go(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text(
        '{"text": "涨", "label": 2}\n\n{"label": null, "more": [1, "甲"]}\n["跌", "利空"]\n', encoding="utf-8-sig"
    )
    batch = read(path)
    assert batch.names == ["text", "label", "more"]
    assert [list(row) for row in batch.rows] == [["涨", "2", None], [None, None, '[1, "甲"]'], ["跌", "利空", None]]
    assert batch.lines == [1, 3, 4]


def test_a_bad_line_is_a_broken_row_with_its_words(tmp_path):
    path = tmp_path / "f.ndjson"
    path.write_text('{"text": "涨"}\n{"text": \n"只有文本"\n7\n' + "[" * 100_000 + "\n", encoding="utf-8")
    batch = read(path)
    assert len(batch.rows) == 1
    assert [broken.line for broken in batch.broken] == [2, 3, 4, 5]
    assert batch.broken[0].reason.startswith("not JSON")
    assert batch.broken[1].reason == "a JSON str; allowed: an object, or a list of text and label"
    assert batch.broken[1].text == '"只有文本"'


def test_lone_surrogates_are_dropped_and_pairs_kept(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"te\\ud800xt": "a\\ud83db \\ud83d\\ude00"}\n"\\udc00x"\n', encoding="utf-8")
    batch = read(path)
    assert (batch.names, batch.rows[0]) == (["text"], ["ab 😀"])
    assert batch.broken[0].text == '"x"'


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_pairs_or_objects(tmp_path, indent):
    path = tmp_path / "f.json"
    entries = [["涨\n了", 2], {"text": "跌", "label": 0}, ["三", "个", "项"]]
    written = json.dumps(entries, ensure_ascii=False, indent=indent)
    path.write_text("\n\n" + written + "\n", encoding="utf-8")
    batch = read(path)
    assert [list(row) for row in batch.rows] == [["涨\n了", "2"], ["跌", "0"]]
    assert len(batch.broken) == 1
    lines = written.split("\n")
    expected = [3, 4, 5] if indent is None else [3 + n for n, line in enumerate(lines) if line in (" [", " {")]
    assert [*batch.lines, batch.broken[0].line] == expected


def test_json_lines_under_the_ending_json(tmp_path):
    path = tmp_path / "f.json"
    path.write_text('{"text": "涨"}\n{"text": "跌"}\n', encoding="utf-8")
    assert read(path).lines == [1, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[["a", 1],\n["b", ', "not a JSON list at line 2"),
        ('[["a", 1]', "breaks off after the entry at line 1"),
        ('[["a", 1]]\n[["b", 2]]\n', "something follows the JSON list"),
        ('[["a", 1] ["b", 2]]', "breaks off"),
    ],
)
def test_a_damaged_list_is_refused_whole(tmp_path, text, says):
    path = tmp_path / "f.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read(path)


def test_a_text_that_is_a_list_or_an_object_is_refused_and_a_number_is_read(tmp_path):
    path = tmp_path / "f.jsonl"
    texts = ["涨", ["a"], 5, {"b": ["跌"]}, [], True]
    path.write_text(
        "\n".join(json.dumps({"text": text, "tags": ["x"]}, ensure_ascii=False) for text in texts), encoding="utf-8"
    )
    table = read_rows([path], Columns(), LabelMap(), None, need_label=False)
    assert table.frame["text"].to_list() == ["涨", "5", "true"]
    assert table.rejects.select("line", "text").rows() == [(2, '["a"]'), (4, '{"b": ["跌"]}'), (5, "[]")]
    assert set(table.rejects["reason"]) == {"the text is a list or an object; allowed: a string or a number"}


def test_what_is_no_number_is_nothing(tmp_path):
    """As pandas writes what is missing."""
    path = tmp_path / "f.jsonl"
    path.write_text(
        '{"text": NaN, "label": "利好"}\n{"text": "涨", "label": NaN}\n{"text": Infinity, "label": "利好"}\n{"text": "跌", "label": "利空"}\n',
        encoding="utf-8",
    )
    assert [list(row) for row in read(path).rows] == [[None, "利好"], ["涨", None], [None, "利好"], ["跌", "利空"]]
    table = read_rows([path], Columns(), LabelMap(), None)
    assert table.frame["text"].to_list() == ["跌"]
    assert table.rejects["reason"].to_list() == ["empty text", "missing label", "empty text"]


def test_values_and_text_are_the_same_rows(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"text": "涨", "n": 1.5}\n7\n["跌", 0]\n{"more": [1]}\nno\n', encoding="utf-8")
    (whole,) = json_portions(json_values(path), 100)
    assert whole.rows == [["涨", 1.5, None, None], ["跌", None, 0, None], [None, None, None, [1]]]
    parts = list(json_portions(json_values(path), 2))
    assert [part.names for part in parts] == [
        ["text", "n"],
        ["text", "n", "label", "more"],
        ["text", "n", "label", "more"],
    ]
    assert [(part.lines, [one.line for one in part.broken], part.more) for part in parts] == [
        ([1], [2], True), ([3, 4], [], True), ([], [5], False),
    ]  # fmt: skip
    batch = read(path)
    assert (batch.names, batch.lines, batch.broken) == (whole.names, whole.lines, whole.broken)
    assert [list(row) for row in batch.rows] == [
        ["涨", "1.5", None, None],
        ["跌", None, "0", None],
        [None, None, None, "[1]"],
    ]
