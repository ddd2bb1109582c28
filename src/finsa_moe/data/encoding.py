"""Which encoding a text file is in: UTF-8 (with a mark or without), UTF-16 with its mark, or GB18030.

The whole file is decoded strictly, block by block, before a row is read, so that no character is ever guessed or
replaced. It knows nothing of rows.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import TextIO

from finsa_moe.errors import DataError

_BLOCK = 1 << 22
_WINDOW = 1 << 16
_SMALL = 1 << 25


def open_text(path: Path) -> TextIO:
    """Open a text file in the encoding it is in; line ends are left as they are.

    Raises:
        DataError: If no encoding decodes the whole file.
    """
    if path.stat().st_size <= _SMALL:  # one reading serves as check and as text: a folder holds thousands of such files
        try:
            return io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
        except UnicodeDecodeError:
            pass
    return path.open(encoding=detect(path), newline="")


def detect(path: Path) -> str:
    """The name of the codec that decodes the whole file strictly, dropping a byte order mark.

    Raises:
        DataError: If none does; the message names the first byte that fails. A file that is UTF-8 but for some broken
            bytes is refused too, though GB18030 would turn it into other characters without a complaint.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins like UTF-16's
        raise DataError(f"{path}: is in UTF-32; save the file as UTF-8")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if (broken := _first_broken(path, "utf-16")) is not None:
            raise DataError(f"{path}: not UTF-16 at byte {broken}; save the file as UTF-8")
        return "utf-16"
    broken = _first_broken(path, "utf-8")
    if broken is None:
        return "utf-8-sig"
    if start.startswith(codecs.BOM_UTF8) or _mostly_utf8(path, broken):
        raise DataError(f"{path}: UTF-8 with a broken byte at {_byte(path, broken)}; mend it or save the file anew")
    other = _first_broken(path, "gb18030")
    if other is not None:
        raise DataError(
            f"{path}: neither UTF-8 (fails at {_byte(path, broken)}) nor GB18030 (fails at {_byte(path, other)}); "
            "save the file as UTF-8"
        )
    if _private(path) and _first_broken(path, "big5hkscs") is None:
        raise DataError(f"{path}: seems to be Big5, of which GB18030 makes characters of no meaning; save it as UTF-8")
    return "gb18030"


def _private(path: Path) -> bool:
    """Whether a file read as GB18030 begins with many characters of private use, which no such text has."""
    with path.open("rb") as file:
        found = file.read(_WINDOW).decode("gb18030", errors="ignore")
    beyond = [char for char in found if not char.isascii()]
    return sum("\ue000" <= char <= "\uf8ff" for char in beyond) > 0.05 * len(beyond)


def _first_broken(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0  # of the first byte the decoder has not yet turned into a character
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return offset - held + error.start
            offset += len(block)
            if not block:
                return None


def mostly_utf8(found: bytes) -> bool:
    """Whether bytes that are no UTF-8 as a whole are mostly that: more characters of three bytes than broken ones.

    Chinese characters take three bytes in UTF-8. Of GB18030 text six in seven characters are no UTF-8, and what happens
    to be is nearly always of two bytes.
    """
    decoded = found.decode("utf-8", errors="replace")
    lost = decoded.count("\ufffd")
    return lost < sum(char > "\u07ff" for char in decoded) - lost


def _mostly_utf8(path: Path, broken: int) -> bool:
    """Whether the bytes round a broken one are."""
    with path.open("rb") as file:
        file.seek(max(0, broken - _WINDOW // 2))
        return mostly_utf8(file.read(_WINDOW))


def _byte(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        value = file.read(1)
    return f"byte {offset}" + (f": 0x{value[0]:02x}" if value else ", the end of the file")
