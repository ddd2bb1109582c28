"""CSV and its kin: a file with a header and a comma, tab or semicolon between cells, or one text a line.

Text in the encoding found comes in, batches of rows go out; a row is never lost and never joined to its neighbour
unseen: too few or too many cells, or a quote that swallows the lines after it, make a broken row of that one line.
It does not know which column is which.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from finsa_moe.data.reading.encoding import open_text
from finsa_moe.data.reading.rows import BATCH_ROWS, Batch, Broken, unique_names
from finsa_moe.data.reading.usual import USUAL

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon"}
LONGEST = 1 << 22
"""Characters of a row of several lines; a quote still open after so many is one that nobody closed."""
_BLOCK_LINES = 2_000


def read_delimited(path: Path) -> Iterator[Batch]:
    """Yield the rows of a file with a header line, in batches; at least one batch, even of no rows.

    The cells follow RFC 4180. Quotes within an unquoted cell are plain characters, and a line break within quotes
    belongs to the cell, in rows of up to `LONGEST` characters; blank lines are no rows.

    Raises:
        DataError: If no encoding decodes the whole file.
    """
    with open_text(path) as file:
        yield from _with_header(iter(file), start=1)


def read_txt(path: Path) -> Iterator[Batch]:
    """Yield the rows of a ``.txt`` file: delimited if its first line names a usual column, else one text a line."""
    with open_text(path) as file:
        first = next(file, "")
        usual = {name for names in USUAL.values() for name in names}
        if usual.intersection(name.casefold() for name in unique_names(header_cells(first))):
            yield from _with_header(chain([first], file), start=1)
            return
        batch = Batch(["text"])
        for line, text in enumerate(chain([first], file), 1):
            if stripped := text.strip():
                batch.rows.append((stripped,))
                batch.lines.append(line)
            if batch.full:
                yield batch
                batch = Batch(["text"])
        yield batch


def header_cells(line: str) -> list[str]:
    """The cells of a line that may be a header."""
    return _cells(line, sniff(line))


def sniff(header: str) -> str:
    """The delimiter of a header line: the one that makes most columns of it, the comma if all make one.

    Only the header is asked: texts are full of commas, and their number says nothing.
    """
    return max(DELIMITERS, key=lambda delimiter: len(_cells(header, delimiter)))


def _with_header(lines: Iterator[str], start: int) -> Iterator[Batch]:
    header, line = "", start
    for header in lines:
        line += 1
        if header.strip():
            break
    delimiter = sniff(header)
    names = unique_names(_cells(header.rstrip("\r\n"), delimiter))
    if len(names) == 1:  # a lone column: commas in its texts are plain characters
        delimiter = "\x1f"
    batch = Batch(names)
    while block := list(islice(lines, _BLOCK_LINES)):
        if (rows := _clean_rows(block, delimiter, len(names))) is not None:
            if len(batch.rows) + len(batch.broken) + len(rows) > BATCH_ROWS:
                yield batch
                batch = Batch(names)
            batch.rows += rows
            batch.lines += range(line, line + len(rows))
            line += len(block)
            continue
        records, end = _Records(deque(block), lines, line, delimiter, len(names)), line + len(block)
        while _add_with_care(batch, records, end):
            yield batch
            batch = Batch(names)
        line = records.line
    yield batch


def _clean_rows(block: list[str], delimiter: str, width: int) -> list[list[str]] | None:
    """The rows of a block in which every line is one whole row, read at the speed of C; None if any is not."""
    try:
        rows = list(_reader(block, delimiter, strict=True))
    except csv.Error:
        return None
    return rows if len(rows) == len(block) and set(map(len, rows)) == {width} else None


def _add_with_care(batch: Batch, records: _Records, end: int) -> bool:
    """Add the rows that start before line `end`, reading on where a cell runs over it, until the batch is full."""
    width = records.width
    while (records.line < end or records.pending) and not batch.full:
        start = records.line
        cells = records.next()
        if cells is None:
            break
        if isinstance(cells, Broken):
            batch.broken.append(cells)
        elif len(cells) == width or (len(cells) > width and not any(cells[width:])):
            batch.rows.append(cells[:width])  # spreadsheets leave delimiters at the end of a line
            batch.lines.append(start)
        elif len(cells) > 1 or "".join(cells).strip():  # a line of spaces is as blank as an empty one
            reason = _count_reason(len(cells), width, records.delimiter)
            batch.broken.append(Broken(start, reason, records.delimiter.join(cells)))
    return batch.full


@dataclass(slots=True)
class _Records:
    """Reads one record at a time and hands back the lines that a stray quote swallowed.

    A quote left open on such a line would run to where the scan before it ended, and fail as that one did; so the lines
    before `alone` are read one at a time, and no line more than a few times, however many quotes are stray. No sound
    row is missed: its first line has an odd number of quotes, and where a scan passed within quotes the number is even.
    """

    pending: deque[str]
    lines: Iterator[str]
    line: int
    delimiter: str
    width: int
    alone: int = 0

    def next(self) -> list[str] | Broken | None:
        seen: list[str] = []  # the physical lines of this record
        try:
            cells = next(_reader(self._remembered(seen), self.delimiter, strict=True), None)
            if cells is None:
                return None
            whole = len(seen) == 1 or len(cells) == self.width
        except csv.Error as error:  # a stray quote, harmless on a line of its own
            cells = next(_reader(seen[:1], self.delimiter))
            whole = len(seen) == 1 and "end of data" not in str(error) and not cells[-1].endswith(("\n", "\r"))
        if whole:
            self.line += len(seen)
            return cells
        self.alone = max(self.alone, self.line + len(seen) - 1)
        self.line += 1
        self.pending.extendleft(reversed(seen[1:]))
        return Broken(self.line - 1, "a quote opens here and is not closed as it should be", seen[0].rstrip("\r\n"))

    def _remembered(self, seen: list[str]) -> Iterator[str]:
        room = LONGEST
        while room > 0 and (text := self.pending.popleft() if self.pending else next(self.lines, None)) is not None:
            seen.append(text)
            room = 0 if self.line < self.alone else room - len(text)
            yield text


def _count_reason(found: int, width: int, delimiter: str) -> str:
    name = DELIMITERS.get(delimiter, "separator")
    remedy = f"; quote texts that hold a {name}" if found > width else ""
    return f"{found} {'cell' if found == 1 else 'cells'} where the header has {width}{remedy}"


def _cells(line: str, delimiter: str) -> list[str]:
    return next(iter(_reader([line], delimiter)), [])


def _reader(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,072 characters
    return csv.reader(lines, delimiter=delimiter, strict=strict)
