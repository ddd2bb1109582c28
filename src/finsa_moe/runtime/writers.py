"""Rows into a file, CSV, JSON lines or Parquet by its ending: under a temporary name, renamed when all is written.

Column names, then rows of Python values. A run that fails or is interrupted leaves nothing behind, but on a stream. It
does not know what the columns mean; a cell is written as it came, but for numbers of columns that the caller calls its
own.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, TextIO

from finsa_moe.data.reading.rows import as_text
from finsa_moe.data.reading.typed import Instant
from finsa_moe.errors import ConfigError, DataError, require
from finsa_moe.files import beside

JSON_LINES = (".jsonl", ".ndjson")
ENDINGS = (".csv", ".tsv", *JSON_LINES, ".parquet")
DIGITS = 6
Types = dict[str, Any]


class Sink(Protocol):
    """What takes the rows of one format."""

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows; each has a value for every column."""
        ...

    def close(self, *, whole: bool) -> None:
        """End the file, or leave it where not all rows are in."""
        ...


class Writer:
    """A context manager: the file gets its name only if the block ends without an error and `commit` was called.

    Args:
        path: Where the rows go; an older file of that name is replaced, of a link the file it leads to.
        names: The columns.
        types: What Parquet shall hold in a column, if not text: a Python or a polars type, by name. Python's ``float``
            says that the numbers are the caller's own: as text they get `DIGITS` digits.
        bom: Whether CSV starts with a byte order mark, which Excel needs to see UTF-8.

    Raises:
        ConfigError: If the ending is none of `ENDINGS`.
        DataError: If the folder is not there or cannot be written.
    """

    def __init__(self, path: Path, names: Sequence[str], types: Types | None = None, *, bom: bool = False) -> None:
        check_ending(path)
        self._real = Path(os.path.realpath(path))  # `resolve` has an error of its own for links that go round
        self.path = path
        self.part = beside(self._real)
        self._whole = False
        try:
            if not path.parent.is_dir():
                raise DataError(f"{path}: there is no folder {path.parent}; make it first or name another")
            self._sink = self._open(list(names), types or {}, bom)
        except OSError as error:
            raise self._unwritable(error) from error

    def _open(self, names: list[str], types: Types, bom: bool) -> Sink:
        ending = self.path.suffix.lower()
        if ending == ".parquet":
            return _Parquet(self.part, names, types)
        # lone surrogates, which JSON can spell and UTF-8 cannot hold, are dropped, as the readers do
        encoding = "utf-8-sig" if bom and ending in (".csv", ".tsv") else "utf-8"
        file = self.part.open("w", encoding=encoding, errors="ignore", newline="")
        return lines_into(file, names, ending, types)

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows; each has a value for every column.

        Raises:
            DataError: If the disk takes no more.
        """
        try:
            self._sink.write(rows)
        except OSError as failed:
            raise self._unwritable(failed) from failed

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.path} cannot be written: {error.strerror or error}")

    def commit(self) -> None:
        """Say that all rows are in, so that leaving the block puts the file into place."""
        self._whole = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            whole = self._whole and kind is None
            self._sink.close(whole=whole)
            if whole:
                self.part.replace(self._real)
        except OSError as failed:
            if kind is None:  # else what went wrong first is told
                raise self._unwritable(failed) from failed
        finally:
            self.part.unlink(missing_ok=True)


class Streamed:
    """Rows onto a stream as they come, with nothing before the first or, where there is none, before `commit`.

    Args:
        stream: Takes bytes; it is left open.
        ending: Names the format, one of lines: ``".csv"``, ``".tsv"`` or ``".jsonl"``.
        names: The columns.
        types: As for `Writer`.
        bom: As for `Writer`.
    """

    def __init__(
        self, stream: BinaryIO, ending: str, names: Sequence[str], types: Types | None = None, *, bom: bool = False
    ) -> None:
        self._stream, self._text = stream, io.StringIO(newline="")
        if bom and ending in (".csv", ".tsv"):
            self._text.write("\ufeff")
        self._sink = lines_into(self._text, list(names), ending, types or {})

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows; each has a value for every column."""
        self._sink.write(rows)
        if rows:
            self.commit()

    def commit(self) -> None:
        """Hand on what has been written so far."""
        self._stream.write(self._text.getvalue().encode("utf-8", "ignore"))
        self._stream.flush()
        self._text.seek(0)
        self._text.truncate()


def lines_into(file: TextIO, names: list[str], ending: str, types: Types) -> Sink:
    """Rows as lines of CSV, TSV or JSON, written to an open file as they come; the head, if any, is written at once.

    `types` as for `Writer`.
    """
    own = [types.get(name) is float for name in names]
    if ending[1] in "ct":
        return _Delimited(file, names, own, "\t" if ending == ".tsv" else ",")
    return _Lines(file, names, own)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format rows can be written in here.

    Raises:
        ConfigError: Naming the endings allowed.
        MissingExtra: For Parquet, if polars is not installed.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{path}: unknown ending {path.suffix!r}; name a file ending in {', '.join(ENDINGS)}")
    if ending == ".parquet":
        require("polars", "data", "writing Parquet")


class _Delimited:
    """Cells quoted where needed, lines ended by a bare line feed.

    Python's own writer, told to end lines so, leaves a carriage return within a cell unquoted: readers end the row
    there.
    """

    def __init__(self, file: TextIO, names: list[str], own: list[bool], delimiter: str) -> None:
        self.file, self.own = file, own
        self.delimiter = delimiter
        self.special = re.compile(f'[{delimiter}"\r\n]')
        self.write([names])

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        for row in rows:
            self.file.write(self.delimiter.join(map(self._quoted, _rounded(row, self.own))) + "\n")

    def _quoted(self, value: object) -> str:
        cell = _cell(value) or ""
        return '"' + cell.replace('"', '""') + '"' if self.special.search(cell) else cell

    def close(self, *, whole: bool) -> None:
        self.file.close()


class _Lines:
    def __init__(self, file: TextIO, names: list[str], own: list[bool]) -> None:
        self.file, self.names, self.own = file, names, own

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        for row in rows:
            entry = dict(zip(self.names, _rounded(row, self.own), strict=True))
            self.file.write(_json(entry) + "\n")

    def close(self, *, whole: bool) -> None:
        self.file.close()


class _Parquet:
    """Gathers everything first: polars writes a Parquet file in one go."""

    def __init__(self, path: Path, names: list[str], types: Types) -> None:
        self.polars: Any = require("polars", "data", "writing Parquet")
        known: dict[type, Any] = {str: self.polars.String, float: self.polars.Float64, bool: self.polars.Boolean}
        self.path = path
        asked = {name: types.get(name, str) for name in names}
        self.schema = {name: known.get(kind, kind) for name, kind in asked.items()}
        self.frames: list[Any] = []
        path.touch()

    def write(self, rows: Sequence[Sequence[object]]) -> None:
        made = [_text if kind == self.polars.String else _number for kind in self.schema.values()]
        cells = [[make(value) for value, make in zip(row, made, strict=True)] for row in rows]
        self.frames.append(self.polars.DataFrame(cells, schema=self.schema, orient="row"))

    def close(self, *, whole: bool) -> None:
        if not whole:
            return
        frames = self.frames or [self.polars.DataFrame(schema=self.schema)]
        try:
            self.polars.concat(frames).write_parquet(self.path)
        except self.polars.exceptions.PolarsError as error:  # as which it tells of a full disk
            raise OSError(" ".join(str(error).split())) from error


def _rounded(row: Sequence[object], own: list[bool]) -> list[object]:
    return [
        round(value, DIGITS) if ours and isinstance(value, float) else value
        for value, ours in zip(row, own, strict=True)
    ]


def _number(value: object) -> object:
    """A value as a column of its own type takes it: an instant by its number."""
    return value.number if isinstance(value, Instant) else value


def _cell(value: object) -> str | None:
    """A value as `data.reading.rows.as_text` has it, but that infinities are kept, and NaN within a list is null."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else str(value)
    return _json(value) if isinstance(value, dict | list) else as_text(value)


def _json(value: object) -> str:
    """As JSON; numbers that it does not know, which are NaN and the infinities, as null."""
    try:
        return json.dumps(value, ensure_ascii=False, default=as_text, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=as_text)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str | None:
    cell = _cell(value)
    return cell if cell is None or cell.isascii() else cell.encode("utf-8", "ignore").decode("utf-8")
