"""Rows of any number of files put on disk in columns, beside what splitting needs, by as many processes as asked.

Files go in; `Staged` comes out: the narrow columns in memory, the texts in Arrow files read one at a time. So the
memory grows with the number of rows but not with their length. It knows nothing of splits.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.duplicates.grams import Banding, Sketches, sketched
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.hashing import numbers
from finsa_moe.data.keys import duplicate_keys
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.formats import Found
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.usable import REJECTS, Source, judged
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap

PART_ROWS = 65_536
_UNITS = 16  # portions of files for each process, so that none is left alone with much at the end
_ALONE = 1 << 24  # of files that are not worth a second process
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is done to every file.

    Attributes:
        columns: The user's names of the columns.
        labels: The user's spelling of the classes.
        domain: The domain written into every row.
        held_out: Rows equal or near to one of these are refused; None for no such texts.
        banding: How MinHash signatures are cut; None computes none.
        n: Length of an n-gram, characters.
    """

    columns: Columns
    labels: LabelMap
    domain: str
    held_out: HeldOut | None
    banding: Banding | None
    n: int


@dataclass(frozen=True)
class Staged:
    """Rows on disk.

    Attributes:
        rows: One row for each row kept, with ``id, label, domain, date, source_id, by, file, line, row`` and ``key``, a
            number that is equal for equal texts; a column that no file has is null throughout.
        rejects: The rows refused.
        sources: The files read.
        skipped: Files met in a folder and left out, with the reason.
        parts: The Arrow files of the rows kept, texts and all, in the order of `rows`; beside each ``.npy`` its
            sketches, where the plan asked for them.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    sources: list[Source]
    skipped: dict[str, str]
    parts: list[Path]

    @property
    def rows_in(self) -> int:
        """Rows met in all files; equals the rows kept plus the rows refused."""
        return sum(source.rows for source in self.sources)

    def values(self, column: str, rows: NDArray[np.int64]) -> list[str]:
        """What some rows, named in ascending order, hold in a column of text; one part is read at a time."""
        found: list[str] = []
        start = end = 0
        for part in self.parts:
            some = read_part(part, [column])[column]
            stop = int(np.searchsorted(rows, end + len(some)))
            found += some.gather(pl.Series(rows[start:stop] - end, dtype=pl.UInt32)).to_list()
            start, end = stop, end + len(some)
        return found

    def sketches(self, rows: NDArray[np.int64], cut: Banding) -> Sketches:
        """The sketches of some rows, in their order; one part is read at a time."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        found = np.empty((len(rows), cut.width), dtype=np.uint32)
        start = end = 0
        for part in self.parts:
            some = np.load(part.with_suffix(".npy"))
            stop = int(np.searchsorted(ascending, end + len(some)))
            found[order[start:stop]] = some[ascending[start:stop] - end]
            start, end = stop, end + len(some)
        return Sketches(found, cut)


def stage(found: Found, folder: Path, plan: Plan, *, processes: int = 1, progress: Progress | None = None) -> Staged:
    """Read files and put their rows into a folder.

    Args:
        found: The files.
        folder: An empty folder, to be removed by the caller.
        plan: What is done to every file.
        processes: How many read at once; files of a few megabytes in all are read by this one.
        progress: Called with the files done and the files in all.

    Raises:
        DataError: If a column is missing, a file cannot be read at all, or a process that reads is killed.
    """
    size = sum(named(path).file.stat().st_size for path in found.files)
    alone = processes == 1 or size < _ALONE or len(found.files) == 1
    units, done = list(_units(found.files, size if alone else size // (_UNITS * processes))), 0
    results: dict[int, _Unit] = {}
    with _pool(1 if alone else processes) as submit:
        waiting = {submit(_stage, files, folder / str(at), plan): at for at, files in enumerate(units)}
        for future in as_completed(waiting):
            results[waiting[future]] = unit = future.result()
            done += len(unit.sources)
            if progress is not None:
                progress(done, len(found.files))
    ordered = [results[at] for at in range(len(units))]
    parts = [part for unit in ordered for part in unit.parts]
    narrow = [name for name in pl.read_ipc_schema(parts[0]) if name not in ("text", "key_text")] if parts else []
    rows = [read_part(part, narrow) for part in parts]
    return Staged(
        rows=pl.concat(rows).rechunk(),
        rejects=pl.concat([unit.rejects for unit in ordered]),
        sources=[source for unit in ordered for source in unit.sources],
        skipped=found.skipped,
        parts=parts,
    )


def read_part(part: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """A part file, or some of its columns; opened here, as polars takes a path that holds ``[`` for a pattern."""
    with part.open("rb") as file:
        return pl.read_ipc(file, columns=columns)


@dataclass(frozen=True)
class _Unit:
    parts: list[Path]
    rejects: pl.DataFrame
    sources: list[Source]


def _units(files: Sequence[Path], portion: int) -> Iterator[list[Path]]:
    unit: list[Path] = []
    size = 0
    for path in files:
        unit.append(path)
        size += named(path).file.stat().st_size
        if size >= portion:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit


def _stage(files: list[Path], folder: Path, plan: Plan) -> _Unit:
    """Put the rows of some files into a folder of part files; runs in a process of its own."""
    folder.mkdir()
    sources: list[Source] = []
    parts: list[Path] = []
    rejects = [pl.DataFrame(schema=REJECTS)]
    for some in judged(files, plan.columns, plan.labels, sources.append, rows=PART_ROWS):
        kept, near = _without(some.kept, plan.held_out)
        rejects += [some.refused, near]
        keys = duplicate_keys(kept["text"].to_list())
        part = folder / f"{len(parts)}.arrow"
        kept.with_columns(
            domain=pl.lit(plan.domain),
            key=pl.Series(numbers(keys), dtype=pl.UInt64),
            key_text=pl.Series(keys, dtype=pl.String),
        ).write_ipc(part, compression="uncompressed")
        if plan.banding is not None:
            np.save(part.with_suffix(".npy"), sketched(keys, plan.n, plan.banding).table)
        parts.append(part)
    return _Unit(parts, pl.concat(rejects), sources)


def _without(kept: pl.DataFrame, held_out: HeldOut | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are near to no held-out text, and those that are, refused."""
    if held_out is None:
        return kept, pl.DataFrame(schema=REJECTS)
    found = [held_out.match(text) for text in kept["text"]]
    near = pl.Series([match is not None for match in found], dtype=pl.Boolean)
    reasons = [f"near to a held-out text (Jaccard {match.similarity:.2f})" for match in found if match]
    refused = kept.filter(near).with_columns(reason=pl.Series(reasons, dtype=pl.String))
    return kept.filter(~near), refused.select(list(REJECTS))


Submit = Callable[..., "Future[_Unit]"]


@contextmanager
def _pool(processes: int) -> Iterator[Submit]:
    if processes <= 1:
        yield _here
        return
    # Not forked: a forked child of a process in which polars has threads may wait for ever.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches every process of the terminal; only the first is to speak of it.
    quietly = (signal.SIGINT, signal.SIG_IGN)
    pool: Executor = ProcessPoolExecutor(processes, mp_context=context, initializer=signal.signal, initargs=quietly)
    try:
        yield pool.submit
    except BrokenProcessPool:
        raise DataError(
            f"one of {processes} processes that read the files was killed, perhaps for want of memory; free some, cut "
            "large files in parts, or read by one process: taskset -c 0 finsa prepare …"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _here(work: Callable[..., _Unit], *arguments: object) -> Future[_Unit]:
    future: Future[_Unit] = Future()
    future.set_result(work(*arguments))
    return future
