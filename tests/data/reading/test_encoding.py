"""The encoding is found by strict decoding; a broken byte is an error that names its place."""

from __future__ import annotations

import gzip
import io
import zipfile

import polars as pl
import pytest

from finsa_moe.data.reading import encoding
from finsa_moe.data.reading.encoding import detect, foreign_encoding, open_text
from finsa_moe.errors import DataError

WORDS = "text,label\n大盘放量上攻，情绪回暖,利好\n联通,中性\n" * 30


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_texts_come_back_as_they_were(tmp_path, name):
    path = tmp_path / "f.csv"
    path.write_bytes(WORDS.encode(name))
    with open_text(path) as file:
        assert file.read() == WORDS
    with path.open(encoding=detect(path), newline="") as file:
        assert file.read() == WORDS


def test_a_damaged_utf8_file_is_not_taken_for_gb18030(tmp_path):
    path = tmp_path / "f.csv"
    data = WORDS.encode()
    # Two lead bytes of which each takes the byte behind it: GB18030 decodes the result without a complaint.
    broken = data[:300] + b"\xe5\xe5" + data[300:]
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"UTF-8 with a broken byte at byte (29\d|30\d): 0x"):
        detect(path)


def test_what_no_codec_decodes_names_both_places(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(b"text,label\n" + "涨".encode("gbk") * 9 + b"\xff\xff,1\n")
    with pytest.raises(
        DataError, match=r"neither UTF-8 \(fails at byte 11: 0x..\) nor GB18030 \(fails at byte 29: 0xff\)"
    ):
        detect(path)


def test_a_mark_holds_the_file_to_its_word(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "涨跌".encode("gbk"))
    with pytest.raises(DataError, match="broken byte at byte 3"):
        detect(path)
    path.write_bytes(b"\xff\xfe" + "涨".encode("utf-16-le") + b"\x00")
    with pytest.raises(DataError, match="not UTF-16"):
        detect(path)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_offsets_hold_across_blocks(tmp_path, monkeypatch, cut):
    monkeypatch.setattr(encoding, "_BLOCK", 16)
    path = tmp_path / "f.txt"
    good = ("x" * cut + "涨" * 40).encode()
    path.write_bytes(good + b"\xff" + "涨".encode() * 40)
    with pytest.raises(DataError, match=f"byte {len(good)}: 0xff"):
        detect(path)


def test_big5_is_not_taken_for_gb18030(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_bytes("text\n主力又在砸盤,真想割肉走人\n公司淨利潤同比增長三成\n".encode("big5"))
    with pytest.raises(DataError, match=r"posts\.csv: seems to be Big5, .*; save it as UTF-8"):
        detect(path)


def test_utf32_is_not_taken_for_utf16(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_bytes("text\n涨停\n".encode("utf-32"))
    with pytest.raises(DataError, match="is in UTF-32; save the file as UTF-8"):
        detect(path)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "words", ["text,label\n涨停一天,利好\n", "内容,标签\n一一一,利好\n跌,利空\n", "text\nup\n", "大盘放量上攻,情绪回暖。一切向好\n" * 9, WORDS * 2_000]
)  # fmt: skip
def test_utf16_without_a_mark_is_neither_gb18030_nor_utf8(tmp_path, codec, words):
    path = tmp_path / "posts.csv"
    path.write_bytes(words.encode(codec))
    for reading in (open_text, detect, foreign_encoding):
        with pytest.raises(DataError, match=r"posts\.csv: seems to be UTF-16 without a mark; save it as UTF-8"):
            reading(path)


@pytest.mark.parametrize("name", ["utf-8", "gbk"])
def test_bytes_of_zero_here_and_there_are_no_sign_of_utf16(tmp_path, name):
    path = tmp_path / "f.csv"
    for words in (
        WORDS + "涨\x00停\x00,利好\n",
        "text\nit fell by 3.5 %, then rose\x00\n" * 9,
        "text\n一\x00\x00\x00\x00\x00\x00\n涨\x00\x00\x00\x00\n",
        "text\n\x00\n" * 2,
    ):
        path.write_bytes(words.encode(name))
        with open_text(path) as file:
            assert file.read() == words


@pytest.mark.parametrize("others", [1, 20, 400])
@pytest.mark.parametrize("first", ["utf-8", "gbk"])
def test_lines_in_two_encodings_are_not_taken_for_gb18030(tmp_path, first, others):
    path, head = tmp_path / "f.csv", b"id,text\n"
    last = "gbk" if first == "utf-8" else "utf-8"
    path.write_bytes(head + "1,涨停\n".encode(first) + "2,跌停\n".encode(last) * others)
    says = rf"UTF-8 with a broken byte at byte \d+: 0x..; it seems to mix encodings \({others if last == 'utf-8' else 1} lines? .*save all as UTF-8"
    with pytest.raises(DataError, match=says):
        open_text(path)


def test_cells_of_gbk_that_happen_to_be_utf8_are_read(tmp_path):
    """One character in six is two bytes of UTF-8; 锂电方 is two whole characters, which nearly nothing is."""
    path = tmp_path / "f.csv"
    for cells in (["通", "停", "票", "说", "跌停"], ["涨停"] * 1_500 + ["锂电方"]):
        path.write_bytes("\n".join(["text", *cells]).encode("gbk"))
        assert foreign_encoding(path) == "gb18030"
        with open_text(path) as file:
            assert file.read().split("\n") == ["text", *cells]


def test_a_damaged_utf8_file_is_not_said_to_mix_encodings(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(WORDS.encode().replace("情绪".encode(), b"\xff", 1))
    with pytest.raises(DataError, match=r"broken byte at byte .*; mend it or save the file anew"):
        open_text(path)


def test_only_what_is_not_utf8_has_a_foreign_encoding(tmp_path):
    for name, said in (("utf-8", None), ("utf-8-sig", None), ("utf-16", "utf-16"), ("gbk", "gb18030")):
        (tmp_path / "f.csv").write_bytes(WORDS.encode(name))
        assert foreign_encoding(tmp_path / "f.csv") == said
    pl.DataFrame({"text": ["涨"]}).write_parquet(tmp_path / "f.parquet")
    assert foreign_encoding(tmp_path / "f.parquet") is None


def foreign(kind):
    """What such a file begins with, and more of it."""
    out = io.BytesIO()
    if kind == "parquet":
        pl.DataFrame({"text": ["涨停"] * 9}).write_parquet(out)
    elif kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", "涨" * 99)
    elif kind == "xls":
        out.write(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99))
    else:
        out.write(gzip.compress(WORDS.encode()))
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("parquet", r"is no text but a Parquet file; give it the ending \.parquet"),
        ("zip", r"is no text but an Excel workbook or a zip archive; give a workbook the ending \.xlsx"),
        ("xls", "is no text but a workbook of an older Excel"),
        ("gzip", r"is no text but packed by gzip; put \.gz behind its name"),
    ],
)
@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.txt"])
def test_a_file_that_is_no_text_is_named(tmp_path, kind, says, name):
    (tmp_path / name).write_bytes(foreign(kind))
    with pytest.raises(DataError, match=says):
        open_text(tmp_path / name)


@pytest.mark.parametrize("small", [1 << 25, 64])
@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_packed_file_is_read_as_the_plain_one(tmp_path, monkeypatch, name, small):
    """Also one too large to be held, which is unpacked as it is read."""
    monkeypatch.setattr(encoding, "_SMALL", small)
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(WORDS.encode(name)))
    with open_text(path) as file:
        assert isinstance(file, io.StringIO) == (small > 64 and name.startswith("utf-8"))
        assert file.read() == WORDS


@pytest.mark.parametrize("small", [1 << 25, 64])
def test_a_damaged_archive_is_told_before_a_row_is_read(tmp_path, monkeypatch, small):
    monkeypatch.setattr(encoding, "_SMALL", small)
    path, whole = tmp_path / "f.csv.gz", gzip.compress((WORDS * 9).encode())
    spoilt = whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]
    for content in (whole[:-20], spoilt, WORDS.encode(), b"\x1f\x8b"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"f\.csv\.gz: cannot be unpacked \(.*fetch or pack it again") as caught:
            open_text(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match="the file is empty"):
        open_text(path)
