"""Which encoding a text file is in: UTF-8 (with a mark or without), UTF-16 with its mark, or GB18030.

The whole file, unpacked where it is packed by gzip, is decoded strictly, block by block, before a row is read, so that
no character is ever guessed or replaced. It knows nothing of rows.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from finsa_moe.data.reading.names import TEXT, named
from finsa_moe.errors import DataError

_BLOCK = 1 << 22
_WINDOW = 1 << 16
_SMALL = 1 << 25
_LINE = 1 << 20
_MIXED = 1_000
"""A file of which one line in so many is Chinese in UTF-8 is not GB18030: of texts in that encoding none among 6,875
happened to be, of cells of two or three characters one in 240,000."""
_ZEROS = 3
"""So many bytes of 0 are no sign of UTF-16, in which half of what is ASCII is such: scraped texts hold some."""
_USUAL = re.compile("[\t\n\r -~\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
"""Characters of Chinese texts; of UTF-8 and GB18030 read as UTF-16 up to eight in ten happen to be such."""
_OTHERS = {
    b"PAR1": "a Parquet file; give it the ending .parquet",
    b"ARROW1": "an Arrow file; give it the ending .arrow",
    b"PK\x03\x04": "an Excel workbook or a zip archive; give a workbook the ending .xlsx, unpack an archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an older Excel (.xls); save it as .xlsx or as CSV UTF-8",
    b"\x1f\x8b": "packed by gzip; put .gz behind its name, as in posts.csv.gz",
}
"""How files begin that are no text."""


def open_text(path: Path) -> TextIO:
    """Open a text file in the encoding it is in; line ends are left as they are.

    Raises:
        DataError: If it is no text, no encoding decodes the whole file, or what is packed is damaged.
    """
    try:
        with _opened(path) as file:
            content = file.read(_SMALL + 1)
        if not content:
            raise DataError(f"{path}: the file is empty")
        # one reading serves as check and as text: a folder holds thousands of such files
        if len(content) <= _SMALL and not _unmarked_utf16(content[:_WINDOW]):
            try:
                return io.StringIO(content.decode("utf-8-sig"), newline="")
            except UnicodeDecodeError:
                pass
        encoding = detect(path)
        return io.TextIOWrapper(_opened(path), encoding=encoding, newline="")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}): damaged, or no gzip; fetch or pack it again") from error


def foreign_encoding(path: Path) -> str | None:
    """The encoding of a text file that is not in UTF-8; None of any other file. Errors as `open_text`."""
    if named(path).ending not in TEXT:
        return None
    with open_text(path) as file:
        return None if file.encoding in (None, "utf-8-sig") else file.encoding


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if named(path).packed else path.open("rb")


def detect(path: Path) -> str:
    """The name of the codec that decodes the whole file strictly, dropping a byte order mark.

    Raises:
        DataError: If none does; the message names the first byte that fails. A file that is UTF-8 but for some broken
            bytes is refused too, though GB18030 would turn it into other characters without a complaint.
    """
    with _opened(path) as file:
        start = file.read(_WINDOW)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins like UTF-16's
        raise DataError(f"{path}: is in UTF-32; save the file as UTF-8")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if (broken := _first_broken(path, "utf-16")) is not None:
            raise DataError(f"{path}: not UTF-16 at byte {broken}; save the file as UTF-8")
        return "utf-16"
    broken, unmarked = _first_broken(path, "utf-8"), _unmarked_utf16(start)
    if broken is None and not unmarked:
        return "utf-8-sig"
    for begin, what in _OTHERS.items():
        if start.startswith(begin):
            raise DataError(f"{path}: is no text but {what}")
    if broken is None or unmarked:
        raise DataError(f"{path}: seems to be UTF-16 without a mark; save it as UTF-8")
    utf8, broken_lines, first = _lines(path)
    mixed = utf8 * _MIXED >= utf8 + broken_lines
    if mixed or start.startswith(codecs.BOM_UTF8) or _mostly_utf8(path, broken):
        remedy = "mend it or save the file anew"
        if mixed and not mostly_utf8(first):
            remedy = (
                f"it seems to mix encodings ({utf8:,} lines are UTF-8, {broken_lines:,} are not); save all as UTF-8"
            )
        raise DataError(f"{path}: UTF-8 with a broken byte at {_byte(path, broken)}; {remedy}")
    other = _first_broken(path, "gb18030")
    if other is not None:
        raise DataError(
            f"{path}: neither UTF-8 (fails at {_byte(path, broken)}) nor GB18030 (fails at {_byte(path, other)}); "
            "save the file as UTF-8"
        )
    if _private(path) and _first_broken(path, "big5hkscs") is None:
        raise DataError(f"{path}: seems to be Big5, of which GB18030 makes characters of no meaning; save it as UTF-8")
    return "gb18030"


def _unmarked_utf16(start: bytes) -> bool:
    """Whether a file that begins with these bytes, no mark before them, is UTF-16: read so it is Chinese and ASCII."""
    if start.count(0) <= _ZEROS:
        return False
    for codec in ("utf-16-le", "utf-16-be"):
        found = start.decode(codec, errors="replace")
        if len(_USUAL.findall(found)) > 0.9 * len(found):
            return True
    return False


def _private(path: Path) -> bool:
    """Whether a file read as GB18030 begins with many characters of private use, which no such text has."""
    with _opened(path) as file:
        found = file.read(_WINDOW).decode("gb18030", errors="ignore")
    beyond = [char for char in found if not char.isascii()]
    return sum("\ue000" <= char <= "\uf8ff" for char in beyond) > 0.05 * len(beyond)


def _first_broken(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0  # of the first byte the decoder has not yet turned into a character
    with _opened(path) as file:
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


def _lines(path: Path) -> tuple[int, int, bytes]:
    """How many lines of a file are Chinese in UTF-8, how many are not UTF-8 at all, and the first of these."""
    utf8, broken = 0, 0
    first = b""
    with _opened(path) as file:
        while line := file.readline(_LINE):
            if line.isascii():
                continue
            try:
                utf8 += any("\u4e00" <= char <= "\u9fff" for char in line.decode("utf-8"))
            except UnicodeDecodeError:
                broken, first = broken + 1, first or line
    return utf8, broken, first


def _mostly_utf8(path: Path, broken: int) -> bool:
    """Whether the bytes round a broken one are."""
    with _opened(path) as file:
        file.seek(max(0, broken - _WINDOW // 2))
        return mostly_utf8(file.read(_WINDOW))


def _byte(path: Path, offset: int) -> str:
    with _opened(path) as file:
        file.seek(offset)
        value = file.read(1)
    return f"byte {offset}" + (f": 0x{value[0]:02x}" if value else ", the end of the file")
