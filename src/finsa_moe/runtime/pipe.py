"""Lines of a byte stream as they arrive: whole lines together, never waiting for more than has been written.

Bytes in, lists of lines out, and the text of a line. It knows neither texts' meaning nor where answers go.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import BinaryIO

from finsa_moe.data.reading.encoding import mostly_utf8

BLOCK = 1 << 16
FULL = BLOCK * 3 // 4
"""Bytes of lines that a full read brings at least: the rest is line ends, a last line cut in two, and what a writer of
single lines leaves free of a pipe's pages."""
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HALVES = {mark[:1] for mark in _MARKS}


def arriving(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines that one read brought, without their line ends; a last line may lack one.

    A read waits for the first byte and takes what is there: one line from a slow writer, a block's worth from a fast
    one, which is then answered as one batch. Memory is bounded by the block and the longest line. A stream that begins
    with the mark of UTF-16 comes as UTF-8.
    """
    held: list[bytes] = []
    for block in _blocks(getattr(stream, "read1", stream.read)):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*held, whole[0]])
            held = []
            yield [line.removesuffix(b"\r") for line in whole]
        if rest:
            held.append(rest)
    if held:
        yield [b"".join(held).removesuffix(b"\r")]


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """What each read brings; of UTF-16, what is broken as bytes that are not UTF-8."""
    block = read(BLOCK)
    while block in _HALVES and (more := read(BLOCK)):
        block += more
    if not block.startswith(_MARKS):
        while block:
            yield block
            block = read(BLOCK)
        return
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    while block:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
        block = read(BLOCK)
    if decoder.getstate()[0]:
        yield b"\xff"


def decoded(line: bytes, *, first: bool = False) -> str | None:
    """The text of a line in UTF-8 or else GB18030; None if it is neither, or UTF-8 with a broken byte.

    A mark on the `first` line is dropped.
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError:
            if mostly_utf8(line):  # GB18030 would make other characters of it without a complaint
                return None
            continue
        return text.removeprefix("\ufeff") if first else text
    return None
