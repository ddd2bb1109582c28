"""Rows in equal rows kept plus rows refused, each refused row with file, line and reason."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.encoding import detect
from finsa_moe.data.reading.read import read_frame, read_rows, read_texts
from finsa_moe.data.reading.rows import BATCH_ROWS, cell
from finsa_moe.data.reading.usable import REJECTS
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap

CELLS = st.text(st.sampled_from('",\n\r\x00 \u200bab涨跌，😀'), max_size=8)


def read(*paths, labels=None, domain="news", need_label=True, **columns):
    return read_rows(paths, Columns(**columns), LabelMap.parse(labels), domain, need_label=need_label)


def csv_file(path, rows, header=("id", "text", "label"), encoding="utf-8", **options):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **options).writerows([header, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().encode(encoding))
    return path


def visible(text):
    return any(character not in '\n\r\x00 \u200b' for character in text)  # fmt: skip


@given(st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["利好", "bearish", " 中性 ", "1", "", "涨"])), max_size=15))
@settings(max_examples=200, deadline=None)
def test_every_written_row_is_kept_or_refused_with_its_reason(tmp_path_factory, rows):
    path = csv_file(tmp_path_factory.mktemp("read") / "f.csv", rows, quoting=csv.QUOTE_ALL)
    table = read(path)
    assert table.rows_in == len(rows) == table.frame.height + table.rejects.height
    assert table.rejects.schema == REJECTS
    known = {"利好": "利好", "bearish": "利空", " 中性 ": "中性"}
    kept = [(text.replace("\x00", ""), known[label]) for _, text, label in rows if visible(text) and label in known]
    assert list(zip(table.frame["text"], table.frame["label"], strict=True)) == kept
    reasons = table.rejects["reason"].to_list()
    assert reasons.count("empty text") == sum(not visible(text) for _, text, _ in rows)
    assert reasons.count("missing label") == sum(visible(text) and label == "" for _, text, label in rows)
    assert table.frame["id"].n_unique() == table.frame.height


@given(st.binary(max_size=120) | st.text(st.sampled_from('",;\t\n涨a利好'), max_size=80).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_rows_or_one_error(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("read") / "f.csv"
    path.write_bytes("id,text,label\n1,涨了,利好\n".encode() + body)
    try:
        table = read(path)
    except DataError as error:
        if "f.csv" not in str(error):
            raise
        return
    assert table.rows_in == table.frame.height + table.rejects.height
    if detect(path) == "utf-8-sig":  # with enough stray bytes behind it, the first row is GB18030 to anybody
        assert table.frame["text"][0] == "涨了"
    assert table.frame["label"].is_in(["利好", "中性", "利空"]).all()


def test_the_table_of_one_folder_of_many_kinds(tmp_path):
    csv_file(tmp_path / "a.csv", [("1", "涨,了", "利好"), ("2", "跌了", "看空")], encoding="utf-8-sig")
    csv_file(tmp_path / "b.csv", [("1", "平；了", "中性")], ("编号", "内容", "情感"), "gb18030", delimiter="\t")
    (tmp_path / "c.jsonl").write_text('{"text": "横盘", "label": "neutral", "date": "2026-01-01"}\n', encoding="utf-8")
    pl.DataFrame({"text": ["新高"], "label": ["positive"]}).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "read.me").write_text("x", encoding="utf-8")
    table = read(tmp_path)
    assert table.frame.select("id", "text", "label", "domain", "date", "line").rows() == [
        ("news-a-1", "涨,了", "利好", "news", None, 2),
        ("2", "跌了", "利空", "news", None, 3),
        ("news-b-1", "平；了", "中性", "news", None, 2),
        ("news-c-1", "横盘", "中性", "news", "2026-01-01", 1),
        ("news-d-1", "新高", "利好", "news", None, 1),
    ]
    assert table.ids == {"made": 2, "changed": 2}
    assert list(table.skipped) == [str(tmp_path / "read.me")]
    assert table.sources[1].columns == {"text": "内容", "label": "情感", "id": "编号"}


def test_refusals_name_file_line_and_remedy(tmp_path):
    path = csv_file(tmp_path / "f.csv", [("a", "涨了\n又跌", "4"), ("b", "\u3000\n", "利好"), ("c", "涨", "")])
    with path.open("a", encoding="utf-8") as file:
        file.write("d,涨,跌,利好\n")
    table = read(path)
    assert table.rejects.sort("line").rows() == [
        (str(path), 2, "unknown label '4'; allowed 利空/中性/利好 or a word for them; "
         "map numbers and other codes by --labels 4=…, where … is 利空, 中性 or 利好", "a", "涨了\n又跌", "4"),
        (str(path), 4, "empty text", "b", "\u3000\n", "利好"),
        (str(path), 6, "missing label", "c", "涨", ""),
        (str(path), 7, "4 cells where the header has 3; quote texts that hold a comma", None, "d,涨,跌,利好", None),
    ]  # fmt: skip


def test_numbers_only_by_a_map_and_floats_of_gappy_columns(tmp_path):
    path = tmp_path / "f.parquet"
    pl.DataFrame({"text": ["涨", "平", "跌", "?"], "label": [2.0, 1.0, 0.0, None]}).write_parquet(path)
    refused = read(path)
    assert refused.frame.height == 0
    assert refused.rejects["reason"][0] == (
        "unknown label '2.0'; allowed 利空/中性/利好 or a word for them; map numbers and other codes by --labels finsa if "
        "they are 0=利空, 1=中性, 2=利好, else by --labels 2.0=…, where … is 利空, 中性 or 利好"
    )
    assert read(path, labels="finsa").frame["label"].to_list() == ["利好", "中性", "利空"]
    assert read(path, labels="0=利好,1=利空,2=中性").frame["label"].to_list() == ["中性", "利空", "利好"]


def test_joined_columns_and_a_files_own_domain(tmp_path):
    rows = [("标题", "正文", "利好", "forum"), ("标题", "", "利空", "")]
    path = csv_file(tmp_path / "f.csv", rows, ("title", "body", "label", "domain"))
    assert read(path, text="title+body").frame["text"].to_list() == ["标题 正文", "标题"]
    assert read(path, text="title+body").frame["domain"].to_list() == ["news", "news"]
    assert read(path, domain=None, text="body").frame["domain"].to_list() == ["forum"]


def test_labels_not_needed(tmp_path):
    path = csv_file(tmp_path / "f.csv", [("1", "涨", "4"), ("2", "", "利好"), ("3", "跌", "利空")])
    table = read(path, need_label=False)
    assert table.frame["label"].to_list() == [None, "利空"]
    assert table.rejects["reason"].to_list() == ["empty text"]
    assert read(csv_file(tmp_path / "g.csv", [("涨",)], ("text",)), need_label=False).frame.height == 1


def test_emoji_alone_is_a_text_and_long_texts_stay_whole(tmp_path):
    long = "涨" * 100_000
    table = read(csv_file(tmp_path / "f.csv", [("1", "😭😭", "利空"), ("2", long, "利好"), ("3", "!!!", "利好")]))
    assert table.frame["text"].to_list() == ["😭😭", long, "!!!"]


def test_a_header_alone_is_no_row(tmp_path):
    table = read(csv_file(tmp_path / "f.csv", []))
    assert (table.rows_in, table.frame.height, table.rejects.height) == (0, 0, 0)


def test_a_table_that_lacks_rows_is_refused_unless_that_is_allowed(tmp_path):
    some = read(csv_file(tmp_path / "some.csv", [("1", "涨", "利好"), ("2", "", "利好"), ("3", "跌", "x")]))
    said = rf"^{tmp_path}/some\.csv, line 3: empty text \(2 of 3 rows cannot be used\); mend it"
    with pytest.raises(DataError, match=said):
        some.check("mend it")
    some.check(allow_rejects=True)
    none = read(csv_file(tmp_path / "none.csv", [("2", "", "利好")]))
    with pytest.raises(DataError, match=r"none\.csv: no row that can be used; name a file of labelled rows"):
        none.check(allow_rejects=True)


def test_a_cell_is_text_whatever_the_row():
    assert [cell((" a ", None, 3, 0), at) for at in (0, 1, 2, 3, 4, None)] == ["a", "", "3", "0", "", ""]


def test_progress_counts_files(tmp_path):
    for name in "abc":
        csv_file(tmp_path / f"{name}.csv", [("1", "涨", "利好")])
    seen = []
    read_rows([tmp_path], Columns(), LabelMap(), "news", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_read_frame_keeps_all_columns_and_refuses_broken_rows(tmp_path):
    path = csv_file(tmp_path / "f.csv", [("1", "涨", "x"), ("2", "", "y")], ("id", "text", "extra"))
    assert read_frame(path).rows() == [("1", "涨", "x"), ("2", "", "y")]
    with path.open("a", encoding="utf-8") as file:
        file.write("3,跌\n")
    with pytest.raises(DataError, match=r"f\.csv, line 4: 2 cells"):
        read_frame(path)
    with pytest.raises(DataError, match="name one file"):
        read_frame(tmp_path)


def test_texts_of_files_with_and_without_the_column_that_is_named(tmp_path):
    own = csv_file(tmp_path / "a.csv", [("1", "甲", "短")], ("id", "headline", "content"))
    other = csv_file(tmp_path / "b.csv", [("1", "乙", "")])
    (tmp_path / "c.txt").write_text("丙\n", encoding="utf-8")
    assert read_texts([own, other, tmp_path / "c.txt"], "headline") == ["甲", "乙", "丙"]
    assert read_texts([own]) == ["短"]
    assert read_texts([], "headline") == []


def test_a_row_nobody_can_read_is_no_text_to_leave_out(tmp_path):
    """Texts held out: what is not read would be learnt. A row without a text holds none."""
    held = csv_file(tmp_path / "held.csv", [("1", "甲", "利好"), ("2", " ", "利好"), ("3", "乙", "")])
    assert read_texts([held]) == ["甲", "乙"]
    with held.open("a", encoding="utf-8") as file:
        file.write("1,利好兑现,大跌,利空\n4,丙,利好\n5,丁\n")
    said = (
        r"held\.csv, line 5: 4 cells where the header has 3; .* \(2 of 6 rows cannot be read, .*\); mend or drop them$"
    )
    with pytest.raises(DataError, match=said):
        read_texts([held])


def lines(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


PLAIN = [{"content": f"第{n}条", "label": "利好"} for n in range(9_000)]


def test_the_columns_of_a_file_stand_whatever_names_come_later(tmp_path):
    path = lines(tmp_path / "f.jsonl", *PLAIN, {"content": "新", "text": "旧", "label": "利空"}, *PLAIN[:100])
    table = read(path)
    assert (table.frame.height, table.rejects.height) == (9_101, 0)
    assert table.frame["text"][9_000] == "新"
    assert table.sources[0].columns == {"text": "content", "label": "label"}


def test_a_column_that_comes_late_is_taken_from_there_on(tmp_path):
    late = [{**row, "mark": "利空", "when": "2026-01-02"} for row in PLAIN[:100]]
    bare = [{"content": row["content"]} for row in PLAIN]
    path = lines(tmp_path / "f.jsonl", *bare, *late)
    table = read(path, label="mark", date="when")
    assert table.rejects["reason"].unique().to_list() == ["missing label"]
    assert (table.frame.height, table.rejects.height) == (100, 9_000)
    assert table.frame["label"].unique().to_list() == ["利空"]
    assert table.frame["date"].unique().to_list() == ["2026-01-02"]
    assert table.sources[0].columns == {"text": "content", "label": "mark", "date": "when"}
    assert read(path).frame.height == 100  # by the usual name


@pytest.mark.parametrize("count", [100, BATCH_ROWS, 9_000])
def test_a_column_that_never_comes_is_an_error(tmp_path, count):
    path = lines(tmp_path / "f.jsonl", *({"content": row["content"]} for row in PLAIN[:count]))
    with pytest.raises(DataError, match=r"f\.jsonl: no label column; columns found: content; name it by --label COL"):
        read(path)
    with pytest.raises(DataError, match="no column 'when'"):
        read(path, date="when", need_label=False)
