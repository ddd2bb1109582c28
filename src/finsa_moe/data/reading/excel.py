"""Excel workbooks: the first sheet, or the one named as in ``posts.xlsx#Sheet2``, in batches of raw rows.

The first row that is not blank has the column names. Cells come as text: what was typed as text as it is (a ticker
keeps its zeros), whole numbers without a point, dates in ISO form. Where cells of a column are merged below the header,
each row that holds anything else has what they say. It does not know which column is which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.rows import BATCH_ROWS, Batch, unique_names
from finsa_moe.errors import DataError, closest, require


def read_workbook(path: Path) -> Iterator[Batch]:
    """Yield the rows of one sheet, in batches; blank rows are none. At least one batch, even of no rows.

    Raises:
        DataError: If it is no workbook or damaged, or has no such sheet.
        MissingExtra: If python-calamine is not installed.
    """
    rows = enumerate(_rows(path), 1)
    header = next((row for _, row in rows if any(row)), [])
    batch = Batch(unique_names(header))
    for line, row in rows:
        if any(row):
            batch.rows.append(row)
            batch.lines.append(line)
        if len(batch.rows) >= BATCH_ROWS:
            yield batch
            batch = Batch(batch.names)
    yield batch


def other_sheets(path: Path) -> str:
    """For an error on a workbook of several sheets of which none was named: which was read, and how to name another.

    Empty for any other file.
    """
    meant = named(path)
    if meant.ending != ".xlsx" or meant.sheet is not None or not meant.file.is_file():
        return ""
    calamine: Any = require("python_calamine", "excel", "reading .xlsx")
    with calamine.load_workbook(str(path)) as book:
        first, *others = book.sheet_names
    return f"; read: sheet {first}; others: {', '.join(others)}, as in {path.name}#{others[0]}" if others else ""


def _rows(path: Path) -> Iterator[list[str]]:
    calamine: Any = require("python_calamine", "excel", "reading .xlsx")
    meant = named(path)
    try:
        with calamine.load_workbook(str(meant.file)) as book:
            names = book.sheet_names
            wanted = meant.sheet if meant.sheet is not None else names[0]
            if wanted not in names:
                raise DataError(
                    f"{path}: no sheet {wanted!r}{closest(wanted, names)}; sheets found: {', '.join(names)}"
                )
            sheet = book.get_sheet_by_name(wanted)
            # rows above the first that holds something count: a row's number is the one that Excel shows
            rows = [list(map(_text, row)) for row in sheet.to_python(skip_empty_area=False)]
            _fill(rows, sheet.merged_cell_ranges or [])
            yield from rows
    except calamine.PasswordError as error:
        raise DataError(f"{path}: is kept by a password; save it without one, or as CSV UTF-8") from error
    except (calamine.CalamineError, OSError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a readable workbook: {reason}; save it anew as .xlsx or as CSV UTF-8") from error


def _fill(rows: list[list[str]], merged: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """Give merged cells their value in every row, as Excel has it in the first alone; not the header, not blank rows.

    Args:
        rows: All rows of a sheet, from its first cell on.
        merged: First and last cell of each range, as row and column from 0.
    """
    header = next((at for at, row in enumerate(rows) if any(row)), 0)
    for (top, left), (bottom, _) in merged:
        if header < top < len(rows) and left < len(rows[top]):
            for row in rows[top + 1 : bottom + 1]:
                if any(row):
                    row[left] = rows[top][left]


def _text(value: object) -> str:
    """A cell as CSV would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():  # Excel knows no other numbers
        return str(int(value))
    return str(value)
