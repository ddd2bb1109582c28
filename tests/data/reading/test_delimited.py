"""Rows of delimited files: what the standard library wrote comes back, and nothing of a broken file is lost."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.reading import delimited
from finsa_moe.data.reading.delimited import read_delimited, read_txt, sniff
from finsa_moe.data.reading.rows import BATCH_ROWS

NASTY = st.text(st.sampled_from('",\t;\n\r\x00\u2028 ab1涨跌，；😀\x1c\x85'), max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)


def read(path):
    batches = list(read_delimited(path))
    rows = [(line, list(row)) for batch in batches for line, row in zip(batch.lines, batch.rows, strict=True)]
    return batches[0].names, rows, [broken for batch in batches for broken in batch.broken]


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def line_of(text, position):
    """The line at a place of a text, counted as an editor does, on its own."""
    return 1 + len(re.findall(r"\r\n|\r|\n", text[:position]))


@given(
    st.lists(st.tuples(NASTY, NASTY, NASTY), max_size=12),
    st.sampled_from(",\t;"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
)
@settings(max_examples=300, deadline=None)
def test_what_csv_writes_comes_back_with_its_line(tmp_path_factory, rows, delimiter, ending, encoding):
    buffer, starts = io.StringIO(newline=""), []
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerow(["id", "text", "label"])
    for row in rows:
        starts.append(buffer.tell())
        writer.writerow(row)
    text = buffer.getvalue()
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_bytes(text.encode(encoding))
    names, found, broken = read(path)
    assert names == ["id", "text", "label"]
    assert broken == []
    assert found == [(line_of(text, start), list(row)) for start, row in zip(starts, rows, strict=True)]


@given(st.text(st.sampled_from('"",,\n\n\rab涨跌 \x00'), max_size=80), st.integers(1, 5))
@settings(max_examples=500, deadline=None)
def test_no_letter_of_a_broken_file_is_lost(tmp_path_factory, body, block):
    path = written(tmp_path_factory.mktemp("csv") / "f.csv", "id,text,label\n" + body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_LINES", block)
        _, rows, broken = read(path)
    found = Counter("".join(cell for _, row in rows for cell in row) + "".join(one.text for one in broken))
    expected = Counter(body)
    for letter in "ab涨跌\x00":
        assert found[letter] == expected[letter]
    lines = [line for line, _ in rows] + [one.line for one in broken]
    assert len(set(lines)) == len(lines)
    assert all(len(row) == 3 for _, row in rows)


@given(st.lists(st.tuples(NASTY, NASTY), max_size=20), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_size_of_blocks_changes_nothing(tmp_path_factory, rows, block):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([("text", "label"), *rows])
    path = written(tmp_path_factory.mktemp("csv") / "f.csv", buffer.getvalue() + '"stray" x,y\n"open,z\n1,2\n')
    whole = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_LINES", block)
        assert read(path) == whole


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("id,text,label", ","), ("id\ttext\tlabel", "\t"), ("id;text;label", ";"), ('"编号,号";"文本";"标签"', ";"), ("text", ","),
        ("文本，内容\t标签", "\t"),
    ],
)  # fmt: skip
def test_the_header_alone_says_the_delimiter(header, delimiter):
    assert sniff(header) == delimiter


def test_commas_within_texts_do_not_fool_it(tmp_path):
    path = written(tmp_path / "f.tsv", "text\tlabel\n涨,跌,平;再涨\t利好\n")
    assert read(path)[1] == [(2, ["涨,跌,平;再涨", "利好"])]
    path = written(tmp_path / "one.csv", "text\n涨,跌,平\n再涨\n")
    assert read(path)[1] == [(2, ["涨,跌,平"]), (3, ["再涨"])]


def test_ragged_rows_are_kept_as_broken_with_their_line(tmp_path):
    path = written(tmp_path / "f.csv", "id,text,label\n1,涨,跌,利好\n\n2,利空\n   \n3,平,中性,,\n4,涨,利好\n")
    _, rows, broken = read(path)
    assert rows == [(6, ["3", "平", "中性"]), (7, ["4", "涨", "利好"])]
    assert [(one.line, one.reason, one.text) for one in broken] == [
        (2, "4 cells where the header has 3; quote texts that hold a comma", "1,涨,跌,利好"),
        (4, "2 cells where the header has 3", "2,利空"),
    ]


def test_a_quote_never_closed_costs_its_own_line_only(tmp_path):
    body = '1,"没有收口,利好\n2,涨,利好\n3,"两行\n文本",利空\n4,"又没有收口,利空\n5,跌,利空\n'
    _, rows, broken = read(written(tmp_path / "f.csv", "id,text,label\n" + body))
    assert rows == [(3, ["2", "涨", "利好"]), (4, ["3", "两行\n文本", "利空"]), (7, ["5", "跌", "利空"])]
    assert [(one.line, one.text) for one in broken] == [(2, '1,"没有收口,利好'), (6, '4,"又没有收口,利空')]


def test_stray_quotes_on_one_line_are_plain_characters(tmp_path):
    _, rows, broken = read(written(tmp_path / "f.csv", 'id,text,label\n1,他说"涨"了,利好\n2,"早"盘涨,利好\n'))
    assert [row[1] for _, row in rows] == ['他说"涨"了', "早盘涨"]
    assert broken == []


def test_many_unclosed_quotes_do_not_cost_the_square_of_the_file(tmp_path):
    body = "".join(f'{number},"没有收口,利好\n' for number in range(20_000))
    _, rows, broken = read(written(tmp_path / "f.csv", "id,text,label\n" + body))
    assert (rows, len(broken)) == ([], 20_000)


@pytest.mark.parametrize("end", ["", 'b"\n', '"y"z,w\n'], ids=["open", "too many cells", "not a quote's place"])
def test_every_line_is_read_a_few_times_whatever_opens_quotes(tmp_path, monkeypatch, end):
    """Each line here closes the quote of the one before and opens another, so that every record runs to the end."""
    scanned, reader = [], delimited._reader

    def counting(lines, *arguments, **more):
        return reader((scanned.append(1) or line for line in lines), *arguments, **more)

    monkeypatch.setattr(delimited, "_reader", counting)
    body = 'b","x\n' * 5_000 + end
    _, rows, broken = read(written(tmp_path / "f.csv", "text,label\n" + body))
    assert len(rows) + len(broken) == 5_000 + bool(end)
    assert len(broken) >= 4_999
    assert len(scanned) < 25_000


def test_a_sound_row_of_several_lines_is_read_behind_a_stray_quote(tmp_path):
    body = '1,"没有收口,利好\n' + '2,"两行\n文本",利空\n3,"他说""涨""\n,""跌""",利好\n' * 3
    _, rows, broken = read(written(tmp_path / "f.csv", "id,text,label\n" + body))
    assert [one.line for one in broken] == [2]
    assert rows[:2] == [(3, ["2", "两行\n文本", "利空"]), (5, ["3", '他说"涨"\n,"跌"', "利好"])]
    assert len(rows) == 6


def test_a_stray_quote_holds_back_neither_batches_nor_the_file(monkeypatch):
    """Batches stay as small as promised, and only so much of the file is in memory as a row may be long."""
    read_on = 0

    def lines():
        nonlocal read_on
        yield "id,text,label\n"
        for read_on in range(30_000):
            yield f'{read_on},"涨,利好\n' if read_on == 1 else f"{read_on},涨,利好\n"

    monkeypatch.setattr(delimited, "LONGEST", 100_000)
    batches = delimited._with_header(lines(), start=1)
    first = next(batches)
    assert read_on < 14_000
    rest = list(batches)
    assert max(len(batch.rows) + len(batch.broken) for batch in [first, *rest]) <= BATCH_ROWS
    assert [row[0] for batch in [first, *rest] for row in batch.rows] == [str(n) for n in range(30_000) if n != 1]
    assert [one.line for one in first.broken] == [3]


def test_clean_and_careful_blocks_together_keep_to_the_size_of_a_batch(tmp_path):
    body = "".join(f'{n},"两行\n文本"\n' if n % 9_000 == 1 else f"{n},涨\n" for n in range(30_000))
    batches = list(read_delimited(written(tmp_path / "f.csv", "id,text\n" + body)))
    assert max(len(batch.rows) for batch in batches) <= BATCH_ROWS
    assert sum(len(batch.rows) for batch in batches) == 30_000


def test_long_cells_header_spaces_and_repeated_names(tmp_path):
    long = "涨" * 200_000
    names, rows, _ = read(written(tmp_path / "f.csv", f"\n\ufeff id , text,text,\n1,{long},x,y\n"))
    assert names == ["id", "text", "text_2", "column_4"]
    assert rows == [(3, ["1", long, "x", "y"])]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_and_none_at_the_end(tmp_path, ending):
    path = written(tmp_path / "f.csv", ending.join(["id,text", "1,涨", "2,跌"]))
    assert read(path)[1] == [(2, ["1", "涨"]), (3, ["2", "跌"])]


def test_a_txt_is_one_text_a_line_unless_its_first_line_is_a_header(tmp_path):
    plain = written(tmp_path / "a.txt", "大盘涨了,跟上\n\n 再等等 \n")
    (batch,) = read_txt(plain)
    assert (batch.names, batch.rows, batch.lines) == (["text"], [("大盘涨了,跟上",), ("再等等",)], [1, 3])
    (batch,) = read_txt(written(tmp_path / "b.txt", "标签\t文本\n利好\t涨\n"))
    assert (batch.names, batch.rows, batch.lines) == (["标签", "文本"], [["利好", "涨"]], [2])
