"""One piece answered: its rows in, a shard of the same rows with the answers beside them out, or no file at all.

A shard and its rejects are written under temporary names; renaming the shard is the moment the piece is done. It knows
a predictor and a piece, and nothing of other pieces.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finsa_moe.data.reading.columns import find_column, find_text
from finsa_moe.data.reading.rows import EMPTY, as_text, no_text, text_of
from finsa_moe.errors import DataError, require
from finsa_moe.runtime.bulk import REJECT_COLUMNS
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names
from finsa_moe.runtime.predictor import WINDOW, Predictor
from finsa_moe.runtime.repeats import Repeats
from finsa_moe.runtime.writers import Writer
from finsa_moe.scale.job import Job
from finsa_moe.scale.pieces import LINE, OWN, RAW, REASON, Piece
from finsa_moe.scale.stores import EXTRA

Entry = dict[str, Any]
Reject = tuple[str, int, str, str, str]
COUNTS = ("answered", "refused", "truncated", "uncertain", "strange")


class BadPieceError(DataError):
    """A part of a file that cannot be read; the others can."""


def score_piece(predictor: Predictor, piece: Piece, job: Job) -> tuple[Path, Entry]:
    """Answer a piece into a temporary file beside its rejects.

    Returns:
        The temporary shard, for `commit`, and what the manifest says of it.

    Raises:
        BadPieceError: If the piece cannot be read.
        DataError: If the answers cannot be written.
    """
    pa = require("pyarrow", EXTRA, "writing shards")
    pq = require("pyarrow.parquet", EXTRA, "writing shards")
    began = time.perf_counter()
    tally = dict.fromkeys(COUNTS, 0)
    parts: list[Any] = []
    refused: list[Reject] = []
    repeats = Repeats()  # of this shard alone: whoever answers it, and whenever, its bytes are the same
    for table in _windows(piece):
        part, bad = _answered(pa, predictor, table, piece, job, tally, repeats)
        parts.append(part)
        refused += bad
    table = pa.concat_tables(parts)
    if table.num_rows + len(refused) != piece.rows:
        raise BadPieceError(
            f"{piece.place}: {table.num_rows + len(refused):,} rows found, {piece.rows:,} planned; it changed"
        )
    temporary = job.temporary / f"{piece.name}.{os.getpid()}.parquet"
    rejects = job.rejects_of(piece.name)
    try:
        if refused:
            with Writer(rejects, REJECT_COLUMNS) as out:
                out.write(refused)
                out.commit()
        else:
            rejects.unlink(missing_ok=True)
        pq.write_table(table, temporary, compression="zstd")
        with temporary.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(job.out, error) from error
    entry: Entry = {
        "shard": f"{piece.name}.parquet", "source": piece.source.name, "stamp": piece.source.stamp,
        "parts": piece.source.part_names,
        "piece": piece.number, "first_row": piece.first + 1, "rows": piece.rows,
        "row_groups": list(piece.groups) if piece.groups else None, **tally,
        "bytes": temporary.stat().st_size, "sha256": digest, "model": job.model_id,
        "seconds": round(time.perf_counter() - began, 3),
    }  # fmt: skip
    return temporary, entry


def commit(temporary: Path, entry: Entry, job: Job) -> None:
    """Give a shard its name: from here on it is done."""
    try:
        temporary.replace(job.scores / entry["shard"])
    except OSError as error:
        raise unwritable(job.out, error) from error


def unwritable(out: Path, error: OSError) -> DataError:
    """The error for a disk that takes no more."""
    said = error.strerror or " ".join(str(error).split())[:160]
    return DataError(
        f"{out}: cannot be written ({said}); make room and run the same command again: finished shards are kept"
    )


def _windows(piece: Piece) -> Iterator[Any]:
    """The piece's rows as tables of at most a predictor's window."""
    pa = require("pyarrow", EXTRA, "reading Parquet in parts")
    pq = require("pyarrow.parquet", EXTRA, "reading Parquet in parts")
    left, skip = piece.rows, piece.skip if piece.staged is None else 0
    try:
        with piece.source.open() if piece.staged is None else pa.OSFile(str(piece.staged)) as stream:
            file = pq.ParquetFile(stream)
            groups = list(range(*piece.groups)) if piece.groups and piece.staged is None else None
            for batch in file.iter_batches(batch_size=WINDOW, row_groups=groups):
                kept = batch.slice(skip, left)
                skip -= batch.num_rows - kept.num_rows if skip else 0
                skip = max(0, skip)
                if kept.num_rows:
                    left -= kept.num_rows
                    yield pa.Table.from_batches([kept])
                if not left:
                    return
    except (pa.ArrowException, OSError, DataError) as error:
        said = " ".join(str(error).split())[:160]
        raise BadPieceError(f"{piece.place}: cannot be read ({said}); write the file again") from error


def _answered(
    pa: Any, predictor: Predictor, table: Any, piece: Piece, job: Job, tally: dict[str, int], repeats: Repeats
) -> tuple[Any, list[Reject]]:
    """The rows of one window that could be answered, with the answers, and those that could not."""
    names = [name for name in table.column_names if name not in OWN]
    text_at = find_text(names, job.text, piece.source.name)
    id_at = find_column(names, "id", job.id, piece.source.name)
    if piece.groups is not None:
        first = piece.first + 1 + tally["answered"] + tally["refused"]
        lines, raw, faults = list(range(first, first + table.num_rows)), None, _faults(pa, table)
        reasons = [faults.get(at) for at in range(table.num_rows)]
    else:
        lines, reasons, raw = (table[name].to_pylist() for name in (LINE, REASON, RAW))
        table = table.select(names)
    parts = list(zip(*(_cells(pa, table, at) for at in text_at), strict=True))
    unfit = [next(filter(None, map(no_text, row)), None) for row in parts]
    reasons = [reason or why for reason, why in zip(reasons, unfit, strict=True)]
    every = range(len(text_at))
    asked = ["" if reason else text_of(row, every) for row, reason in zip(parts, reasons, strict=True)]
    answers = predictor.attempt(asked, job.domain, bulk=True, repeats=repeats)
    front = id_at is None and "id" not in names
    made = [f"{piece.source.key}-{line}" for line in lines]  # folders repeat stems
    own = made if id_at is None else _cells(pa, table, id_at)
    keys = [as_text(key) or given for key, given in zip(own, made, strict=True)]
    kept: list[int] = []
    found: list[Prediction] = []
    bad: list[Reject] = []
    for at, (answer, reason) in enumerate(zip(answers, reasons, strict=True)):
        if isinstance(answer, Prediction):
            kept.append(at)
            found.append(answer)
        elif reason is not None and raw is not None and raw[at] is not None:
            bad.append((piece.source.name, lines[at], reason, "", raw[at]))
        else:
            said = " ".join([as_text(cell) or "" for cell in parts[at]]).strip()  # with the bytes that are no text
            bad.append((piece.source.name, lines[at], reason or EMPTY, keys[at], said))
    if bad:
        table = table.take(pa.array(kept, pa.int64()))
    if front:
        table = table.add_column(0, "id", pa.array([keys[at] for at in kept], pa.string()))
    for name, value in piece.source.parts:
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * len(kept), pa.string()))
    domains = predictor.engine.domains
    # the network's numbers are float32: nothing is lost
    kinds = {str: pa.string(), float: pa.float32(), bool: pa.bool_()}
    called = free_names(list(answer_columns(domains)), table.column_names)
    cells = [answer.answers() for answer in found]
    for name, kind in answer_columns(domains).items():
        table = table.append_column(called[name], pa.array([cell[name] for cell in cells], kinds[kind]))
    tally["answered"] += len(found)
    tally["refused"] += len(bad)
    for name in ("truncated", "uncertain", "strange"):
        tally[name] += sum(getattr(answer, name) for answer in found)
    return table, bad


def _cells(pa: Any, table: Any, at: int) -> list[Any]:
    """A column's values; strings as bytes where any of them are not UTF-8."""
    column = table.column(at)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
    return values


def _faults(pa: Any, table: Any) -> dict[int, str]:
    """Rows whose strings are not all UTF-8, with the reason: Parquet holds what its writer took for text, unchecked."""
    found: dict[int, str] = {}
    for name in table.column_names:
        try:
            table[name].validate(full=True)
        except pa.ArrowInvalid:
            for at, cell in enumerate(table[name]):
                try:
                    cell.as_py()
                except UnicodeDecodeError:
                    found.setdefault(at, f"column {name!r} is not UTF-8; write it as UTF-8")
    return found


def empty_error(entries: list[Entry]) -> DataError:
    """The error for a run in which no row at all could be answered."""
    rows = sum(entry["rows"] for entry in entries)
    return DataError(
        f"none of the {rows:,} rows can be answered; see rejects, and that --text names the column of texts"
    )


__all__ = ["COUNTS", "Entry", "commit", "empty_error", "score_piece", "unwritable"]
