"""The rows of a file to be answered, with every column it has, in batches of bounded size.

Delimited files and workbooks come through the data room's readers as text; JSON and Parquet keep the types of their
values, so that they can be written again as they were. It does not know which column is the text, and answers nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from finsa_moe.data.reading.delimited import sniff
from finsa_moe.data.reading.encoding import open_text
from finsa_moe.data.reading.formats import find_files, load_frame, read_batches
from finsa_moe.data.reading.json_rows import json_portions, json_values
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.rows import BATCH_ROWS, Batch
from finsa_moe.data.reading.typed import portions
from finsa_moe.errors import DataError, require

JSON = (".json", ".jsonl", ".ndjson")
TYPED = (".parquet", ".arrow")


def read(path: Path, most_columns: int | None = None) -> Iterator[Batch]:
    """Yield the rows of one file; at least one batch, even of no rows.

    Args:
        path: The file.
        most_columns: How many columns it may have, told before that many cells are made; None takes any number.

    Raises:
        DataError: If the file is missing, empty, of an unknown ending, damaged as a whole or of too many columns.
    """
    with _readable(path):
        yield from _read(path, most_columns)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the system refuses, in one line; a wrong name is told before anything is loaded."""
    try:
        if path.is_dir():
            raise DataError(f"{path}: a folder; name one file")
        find_files([path])
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path, most_columns: int | None) -> Iterator[Batch]:
    ending = named(path).ending
    if ending in JSON:
        yield from _json(path, most_columns)
    elif ending in TYPED:
        yield from _typed(path, most_columns)
    else:
        if most_columns is not None and ending in (".csv", ".tsv"):
            _check_width(_header_width(path), most_columns, str(path))
        yield from read_batches(path)


def columns(path: Path) -> dict[str, Any]:
    """All columns of a file with their polars types, None for text and what JSON has.

    JSON is read to its end for this, as any row may bring a new key; of Parquet no row is.
    """
    if named(path).ending == ".parquet":
        with _readable(path):
            return _schema(path)
    found: dict[str, Any] = {}
    for batch in read(path) if named(path).ending in JSON else islice(read(path), 1):
        found = {name: batch.types.get(name) for name in batch.names}
    return found


def too_wide(found: int, most: int) -> str:
    """What is said of a file of too many columns."""
    return f"{found:,} columns; up to {most:,} are taken; leave some out"


def _check_width(found: int, most: int | None, where: str) -> None:
    if most is not None and found > most:
        raise DataError(f"{where}: {too_wide(found, most)}")


def _header_width(path: Path) -> int:
    with open_text(path) as file:
        header = next((line for line in file if line.strip()), "")
    return len(next(csv.reader([header], delimiter=sniff(header)), []))


def _json(path: Path, most: int | None) -> Iterator[Batch]:
    def watch(columns: int, line: int) -> None:
        _check_width(columns, most, f"{path}: by line {line}")

    yield from json_portions(json_values(path), BATCH_ROWS, watch)


def _schema(path: Path) -> dict[str, Any]:
    """The columns of a Parquet file and their types, by its footer alone."""
    polars = require("polars", "data", "reading .parquet")
    try:
        return dict(polars.scan_parquet(path, glob=False).collect_schema())
    except polars.exceptions.PolarsError:
        frame = load_frame(path)  # tells what is wrong
        assert frame is not None
        return dict(frame.schema)


def _typed(path: Path, most: int | None) -> Iterator[Batch]:
    frame = load_frame(path)
    assert frame is not None
    _check_width(frame.width, most, str(path))
    for rows, lines in portions(frame, BATCH_ROWS):
        yield Batch(list(frame.columns), rows, lines, types=dict(frame.schema))
