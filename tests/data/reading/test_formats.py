"""Which files of a source are read, and what Parquet and Arrow give."""

from __future__ import annotations

import gzip
import os
from datetime import datetime

import polars as pl
import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.formats import find_files, load_frame, read_batches
from finsa_moe.data.reading.read import read_rows, read_texts
from finsa_moe.data.reading.rows import BATCH_ROWS
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap


def test_a_folder_is_searched_sorted_and_what_is_left_out_is_named(tmp_path):
    for name in (
        "b.csv",
        "a/z.tsv",
        "a/.hidden.csv",
        "a/~$z.xlsx",
        ".git/x.csv",
        "notes.docx",
        "state.json",
        "c.JSONL",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text\n", encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    found = find_files([tmp_path, tmp_path / "b.csv"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == ["b.csv", "c.JSONL", "a/z.tsv"]
    assert {path.rsplit("/", 1)[-1] for path in found.skipped} == {"notes.docx", "state.json", "empty.csv"}


def test_linked_folders_are_followed_once(tmp_path):
    """What lies in the folder itself keeps its own path, also where a link sorts before it; links may go round."""
    for name in ("elsewhere/far.csv", "rows/z/own.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"text\n{name}\n", encoding="utf-8")
    for link, target in (("rows/a", "rows/z"), ("rows/b", "elsewhere"), ("rows/z/up", "rows"), ("elsewhere/c", "rows")):
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    found = find_files([tmp_path / "rows"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == ["rows/z/own.csv", "rows/b/far.csv"]
    assert read_texts([tmp_path / "rows"]) == ["rows/z/own.csv", "elsewhere/far.csv"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    (tmp_path / "f.csv").write_text("text\n", encoding="utf-8")
    scandir = os.scandir

    def refused(path):
        if os.fspath(path).endswith("shut"):  # who runs the tests may be root, who can read everything
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match="shut: cannot be read: Permission denied; make it readable or move it away"):
        find_files([tmp_path])


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.csv", "no such file"), ("f.xls", r"unknown ending '\.xls'; known: \.csv.* \.csv\.gz.*; save it as"), ("f.tar.gz", r"'\.gz'; known: .*; unpack it"), ("f.parquet.gz", "unpack it"), ("f.zip", r"'\.zip'; .*; unpack it"), ("empty.csv", "the file is empty"), ("dir", "no file to read")],
)  # fmt: skip
def test_a_named_source_that_cannot_be_read_is_an_error(tmp_path, name, says):
    for unknown in ("f.xls", "f.tar.gz", "f.parquet.gz", "f.zip"):
        (tmp_path / unknown).write_text("x", encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "dir").mkdir()
    with pytest.raises(DataError, match=says):
        find_files([tmp_path / name])


def frame():
    return pl.DataFrame(
        {
            "text": ["涨", None, "跌"],
            "label": [2, 0, None],
            "when": [datetime(2026, 1, 2, 3, 4)] * 3,
            "raw": [b"\xe6\xb6\xa8", b"\xff", None],
        }
    )


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_typed_files_come_as_text_with_row_numbers(tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    if ending == "parquet":
        frame().write_parquet(path)
    else:
        frame().write_ipc_stream(path)
    (batch,) = read_batches(path)
    assert batch.lines == [1, 2, 3]
    assert batch.rows[0] == ("涨", "2", "2026-01-02 03:04:00", "涨")
    assert batch.rows[1] == (None, "0", "2026-01-02 03:04:00", "\\xff")
    loaded = load_frame(path)
    assert loaded is not None
    assert loaded.equals(frame())


def test_what_strings_cannot_say_of_parquet(tmp_path):
    """A time that Python has no type for is text; a truth value and a list are as JSON writes them, no number is none."""
    late = pl.Series([3_000_000, 0]).cast(pl.Int32).cast(pl.Date)
    cells = {"text": ["涨", "跌"], "at": late, "yes": [True, False], "n": [float("nan"), 1.5], "list": [["a"], None]}
    pl.DataFrame(cells).write_parquet(tmp_path / "f.parquet")
    (batch,) = read_batches(tmp_path / "f.parquet")
    assert batch.rows == [("涨", "+10183-09-21", "true", None, '["a"]'), ("跌", "1970-01-01", "false", "1.5", None)]


def test_a_text_of_bytes_that_are_not_utf8_is_refused(tmp_path):
    texts = ["涨停".encode(), "跌停".encode("gbk"), "横盘".encode()]
    pl.DataFrame({"text": texts, "label": ["利好", "利空", "中性"]}).write_parquet(tmp_path / "f.parquet")
    table = read_rows([tmp_path / "f.parquet"], Columns(), LabelMap(), "news")
    assert table.frame["text"].to_list() == ["涨停", "横盘"]
    assert table.rejects.select("line", "reason", "text").rows() == [
        (2, "the text is not UTF-8; write it as UTF-8", r"\xb5\xf8ͣ")
    ]


def test_an_arrow_file_of_the_other_kind_is_read_too(tmp_path):
    frame().write_ipc(tmp_path / "f.arrow")
    assert load_frame(tmp_path / "f.arrow").equals(frame())


@pytest.mark.parametrize("kind", ["parquet", "ipc", "ipc_stream"])
@pytest.mark.parametrize("name", ["posts[1]", "posts*", "posts?"])
def test_a_name_is_no_pattern(tmp_path, kind, name):
    ending = "parquet" if kind == "parquet" else "arrow"
    for stem, text in (("posts1", "other"), (name, "own")):
        getattr(pl.DataFrame({"text": [text]}), f"write_{kind}")(tmp_path / f"{stem}.{ending}")
    assert load_frame(tmp_path / f"{name}.{ending}")["text"].to_list() == ["own"]
    assert sorted(read_texts([tmp_path])) == ["other", "own"]
    (tmp_path / f"posts1.{ending}").unlink()
    assert read_texts([tmp_path / f"{name}.{ending}"]) == ["own"]


def test_many_rows_come_in_batches_and_none_in_one(tmp_path):
    count = BATCH_ROWS + 7
    pl.DataFrame({"text": [str(n) for n in range(count)]}).write_parquet(tmp_path / "f.parquet")
    batches = list(read_batches(tmp_path / "f.parquet"))
    assert [line for batch in batches for line in batch.lines] == list(range(1, count + 1))
    pl.DataFrame({"text": []}, schema={"text": pl.String}).write_parquet(tmp_path / "none.parquet")
    (batch,) = read_batches(tmp_path / "none.parquet")
    assert (batch.names, batch.rows) == (["text"], [])


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_truncated_file_is_a_one_line_error(tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    frame().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"f\.{ending}: not a readable \.{ending} file") as caught:
        list(read_batches(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", 'id,text\n1,"涨\n停"\n2,跌\n'),
        ("f.TSV", "id\ttext\n1\t涨\n"),
        ("f.txt", "涨停\n跌停\n"),
        ("f.jsonl", '{"text": "涨"}\n{no\n'),
        ("f.json", '[{"text": "涨"},\n["跌", 0]]'),
    ],
)
def test_packed_files_give_the_rows_of_plain_ones(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with gzip.open(tmp_path / f"{name}.gz", "wt", encoding="utf-8") as file:
        file.write(content)
    plain, packed = list(read_batches(tmp_path / name)), list(read_batches(tmp_path / f"{name}.gz"))
    assert packed == plain
    assert find_files([tmp_path]).files == [tmp_path / name, tmp_path / f"{name}.gz"]
