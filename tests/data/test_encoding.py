"""The encoding is found by strict decoding; a broken byte is an error that names its place."""

from __future__ import annotations

import pytest

from finsa_moe.data import encoding
from finsa_moe.data.encoding import detect, open_text
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
