from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.runtime import pipe
from finsa_moe.runtime.pipe import arriving, decoded


@given(st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b)), st.booleans())
def test_lines_are_those_of_the_whole(lines: list[bytes], end: bool) -> None:
    whole = b"\n".join(lines) + (b"\n" if end and lines else b"")
    expected = io.BytesIO(whole).read().split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line for batch in arriving(io.BytesIO(whole)) for line in batch] == expected


def test_long_lines_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "BLOCK", 7)
    lines = [b"a" * 50, b"", b"b", b"c" * 6, b"d" * 8]
    got = [line for batch in arriving(io.BytesIO(b"\r\n".join(lines))) for line in batch]
    assert got == lines


def test_a_line_is_given_before_the_next_is_written() -> None:
    reader, writer = os.pipe()
    go = threading.Event()

    def write() -> None:
        os.write(writer, b"one\ntw")
        assert go.wait(timeout=120)
        os.write(writer, b"o\n")
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as stream:
        batches = arriving(stream)
        assert next(batches) == [b"one"]
        go.set()
        assert next(batches) == [b"two"]
        assert list(batches) == []
    thread.join()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block", [1, 3, 1 << 16])
def test_utf_16_with_its_mark(encoding: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows writes it; a code of one byte 0A or 0D in a character ends no line."""
    monkeypatch.setattr(pipe, "BLOCK", block)
    lines = ["主力砸盘，真想割肉", "", "上海\u0a0d涨停\u0d0a🚀", "公告"]
    whole = ("\ufeff" + "\r\n".join(lines)).encode(encoding)
    assert [decoded(line) for batch in arriving(io.BytesIO(whole)) for line in batch] == lines
    cut = [decoded(line) for batch in arriving(io.BytesIO(whole[:-1])) for line in batch]
    assert cut == [*lines[:-1], None]
    half = "\ufeff涨\ud83d停\n跌".encode(encoding, "surrogatepass")
    assert [decoded(line) for batch in arriving(io.BytesIO(half)) for line in batch] == [None, "跌"]


def test_decoding() -> None:
    assert decoded("\ufeff涨".encode(), first=True) == "涨"
    assert decoded("业绩大涨".encode("gb18030")) == "业绩大涨"
    assert decoded("主力又在砸盘,真想割肉走人".encode()[:-1]) is None  # GB18030 would read other characters
    assert decoded(b"\xff\xff\xff") is None
    assert decoded(b"a\x00b") == "a\x00b"
