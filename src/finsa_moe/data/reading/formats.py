"""Files and folders in, batches of raw rows out, whatever the format: a file's name says which (`names`).

CSV, TSV and TXT go to `delimited`, JSON to `json_rows`, workbooks to `excel`; Parquet and Arrow (as `datasets` saves
it) are read here. It does not know which column is which, and it refuses what it cannot read rather than skip it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from finsa_moe.data.reading.delimited import read_delimited, read_txt
from finsa_moe.data.reading.excel import read_workbook
from finsa_moe.data.reading.json_rows import read_json
from finsa_moe.data.reading.names import TEXT, named
from finsa_moe.data.reading.rows import BATCH_ROWS, Batch, Row, as_text, unique_names
from finsa_moe.data.reading.typed import portions
from finsa_moe.errors import DataError, require

if TYPE_CHECKING:
    import polars as pl

# What `datasets` and `finsa prepare` write beside their rows.
_NOT_ROWS = {"dataset_info.json", "state.json", "dataset_dict.json", "report.json", "rejects.csv"}


@dataclass(frozen=True)
class Found:
    """The files of some sources: those to read, in order, and those met in a folder and left out, with the reason."""

    files: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def find_files(sources: Sequence[Path]) -> Found:
    """List the files that sources stand for; a folder is searched to the bottom, sorted, hidden files left out.

    So are those that Office keeps beside a file that is open (``~$posts.xlsx``). Folders that are links are followed.

    Raises:
        DataError: If a source is not there, a folder cannot be read, a named file is of an unknown format or empty, or
            no file is left to read.
    """
    found, seen = Found(), set()
    for source in sources:
        if not named(source).file.exists():
            raise DataError(f"{source}: no such file or folder")
        for path in _walk(source) if source.is_dir() else [source]:
            if (place := path.resolve()) in seen:
                continue
            seen.add(place)
            reason = _unreadable(path, is_named=path == source)
            if reason is None:
                found.files.append(path)
            elif path == source:
                raise DataError(f"{path}: {reason}")
            else:
                found.skipped[str(path)] = reason
    if not found.files:
        where = ", ".join(str(source) for source in sources)
        raise DataError(f"{where}: no file to read here; known endings: {KNOWN}")
    return found


def read_batches(path: Path) -> Iterator[Batch]:
    """Yield the rows of one file in batches of at most `BATCH_ROWS`; at least one batch, even of no rows.

    Raises:
        DataError: If the file cannot be read, is empty, or is not what its ending says.
    """
    if (reason := _unreadable(path, is_named=True)) is not None:
        raise DataError(f"{path}: {reason}")
    try:
        yield from READERS[named(path).ending](path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _walk(folder: Path) -> Iterator[Path]:
    """Linked folders come last and none twice: what lies here itself keeps its own path, and no link goes round."""
    waiting, seen = [folder], set()
    for top in waiting:
        for parent, folders, names in os.walk(top, onerror=_refuse):
            if (place := os.path.realpath(parent)) in seen:
                folders.clear()
                continue
            seen.add(place)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += [path for name in folders if (path := Path(parent, name)).is_symlink()]
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith((".", "~$")))


def _refuse(error: OSError) -> None:
    said = error.strerror or error
    raise DataError(f"{error.filename}: cannot be read: {said}; make it readable or move it away") from error


def _unreadable(path: Path, *, is_named: bool) -> str | None:
    meant = named(path)
    if meant.ending not in READERS:
        remedy = "unpack it" if meant.ending in _ARCHIVES else "save it as UTF-8 CSV"
        return f"unknown ending {path.suffix!r}; known: {KNOWN}; {remedy}"
    if not is_named and path.name in _NOT_ROWS:
        return "not a file of rows: it describes the folder"
    if not meant.file.is_file():
        return "not a file"
    return "the file is empty" if meant.file.stat().st_size == 0 else None


def load_frame(path: Path) -> pl.DataFrame | None:
    """A Parquet or Arrow file as it is, types and all; None for any other ending.

    Raises:
        DataError: If the file is damaged.
    """
    ending = path.suffix.lower()
    if ending not in (".parquet", ".arrow"):
        return None
    polars = require("polars", "data", f"reading {ending}")
    try:
        # a name is no pattern: posts[1].parquet is not posts1.parquet
        frame: pl.DataFrame = (
            polars.read_parquet(path, glob=False) if ending == ".parquet" else _load_arrow(path, polars)
        )
    except polars.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: not a readable {ending} file: {reason}; write it again") from error
    return frame


def _load_arrow(path: Path, polars: ModuleType) -> Any:
    try:
        return polars.read_ipc_stream(path)  # what `datasets` writes
    except polars.exceptions.PolarsError:
        with path.open("rb") as file:  # of a path it would make a pattern
            return polars.read_ipc(file)


def _read_table(path: Path) -> Iterator[Batch]:
    frame = load_frame(path)
    assert frame is not None
    names = unique_names(frame.columns)
    for rows, lines in portions(frame, BATCH_ROWS):
        cells: list[Row] = [tuple(map(as_text, row)) for row in rows]
        yield Batch(names, cells, lines)


READERS: dict[str, Callable[[Path], Iterator[Batch]]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_txt,
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".parquet": _read_table,
    ".arrow": _read_table,
    ".xlsx": read_workbook,
}
KNOWN = f"{', '.join(READERS)}, and {', '.join(f'{ending}.gz' for ending in TEXT)}"
_ARCHIVES = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".tgz")
