"""For an error on a missing column: whether the first row of a file is no header, but a title or a row already.

A file's first rows go in, words come out; what was read stays as it was, and nothing is guessed for the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from finsa_moe.data.reading.days import day
from finsa_moe.data.reading.delimited import header_cells
from finsa_moe.data.reading.encoding import open_text
from finsa_moe.data.reading.excel import read_workbook
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.usual import USUAL, fold
from finsa_moe.polarity import parse_word

_DELIMITED, _WORKBOOK = (".csv", ".tsv"), ".xlsx"
_LOOKED_AT = 20
_LONG = 24
_SENTENCE = re.compile("[，。！？；,!?;]")


def remedy(names: Sequence[str], kind: str, path: Path) -> str:
    """What to do about a column that was not found: to name it, unless the row that names the columns is none.

    Args:
        names: The column names that were read.
        kind: One of `USUAL`.
        path: The file; of one whose format keeps names apart from rows no row is doubted.
    """
    naming = f"name it by --{kind} COL"
    meant = named(path)
    if meant.ending not in (*_DELIMITED, _WORKBOOK) or any(fold(name) in USUAL["text"] for name in names):
        return naming
    if meant.file.is_file():
        for line, cells in _first_rows(path, meant.ending):
            if _names_columns(cells):
                return f"line {line} seems to be the header ({', '.join(cells)}): delete the lines above it"
    if len(names) == 1 or any(map(_like_data, names)):
        return f"if the first line is a row already, write column names above it, as in text,label; else {naming}"
    return naming


def _first_rows(path: Path, ending: str) -> Iterator[tuple[int, list[str]]]:
    """Line and filled cells of the first rows, the one read as the header left out where it is a workbook's."""
    if ending == _WORKBOOK:
        batch = next(read_workbook(path))
        lines, rows = batch.lines[:_LOOKED_AT], [list(map(str, row)) for row in batch.rows[:_LOOKED_AT]]
    else:
        with open_text(path) as file:
            rows = [header_cells(line) for line in islice(file, _LOOKED_AT)]
        lines = list(range(1, len(rows) + 1))
    for line, row in zip(lines, rows, strict=True):
        yield line, [cell.strip() for cell in row if cell.strip()]


def _names_columns(cells: Sequence[str]) -> bool:
    """Whether they are names of columns, a text's among them: two of the usual ones, or no others."""
    usual = [cell for cell in cells if any(fold(cell) in known for known in USUAL.values())]
    return any(fold(cell) in USUAL["text"] for cell in usual) and (len(usual) > 1 or len(usual) == len(cells))


def _like_data(name: str) -> bool:
    """Whether a column's name is rather a class, a day or a sentence."""
    return (
        parse_word(name) is not None or day(name) is not None or len(name) > _LONG or _SENTENCE.search(name) is not None
    )
