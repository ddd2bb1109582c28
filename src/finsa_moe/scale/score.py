"""Files into shards of answers: every row once, each shard whole or absent, and a run that was stopped goes on.

It finds the files, hands what is missing (`plan`) to workers (`pool`, or Ray) and keeps the manifest. It knows neither
how a piece is answered nor how workers run.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime import cores
from finsa_moe.scale import pool
from finsa_moe.scale.earlier import with_parts_begun
from finsa_moe.scale.job import Job, make_job
from finsa_moe.scale.manifest import NAME, Manifest, alone_in
from finsa_moe.scale.opening import open_manifest
from finsa_moe.scale.pieces import Piece
from finsa_moe.scale.plan import look_at, missing_pieces, reason_of
from finsa_moe.scale.shard import COUNTS, Entry, commit, empty_error
from finsa_moe.scale.stores import Source, find_sources
from finsa_moe.scale.worker import Outcome

LEAST, MOST, SHARE = 1_024, 50_000, 8
"""Rows of a shard: its bounds, and how many a worker gets at least, so that none waits long for the last."""
Progress = Callable[[int, int, int], None]


@dataclass
class RunReport:
    """What became of a run; `rows` = `answered` + `refused`, over the whole folder.

    Attributes:
        shards: In the folder, `kept` of them from before.
        unplaced: Of the rows refused, those whose file of rejects is gone and was not made again.
        new_rows: Rows of this run.
        changed: Files that have changed since they were scored and were scored again.
        gone: Files of earlier runs that are no longer there; their answers stay.
        cut_before: Files of this run that keep other rows of a shard than were asked for, since they have shards.
        fewer_parts: Files of this run that keep to fewer columns of their folders, as they have shards, and which lack.
        failed: Parts that could not be read: the file's name, and the reason.
        unfinished: Files that earlier runs began and this one did not name, of which some rows may have no answer.
        skipped: Files met in folders and left out, with the reason, and files without a row.
        bad: Files that cannot be read or have no such column and were left out, with the reason.
        seconds: Wall time of this run.
        answering: Of that, from when a worker began with the first piece, its model loaded, to the last one back.
    """

    rows: int = 0
    answered: int = 0
    refused: int = 0
    truncated: int = 0
    uncertain: int = 0
    strange: int = 0
    shards: int = 0
    kept: int = 0
    unplaced: int = 0
    new_rows: int = 0
    changed: int = 0
    gone: list[str] = field(default_factory=list)
    cut_before: dict[str, int] = field(default_factory=dict)
    fewer_parts: dict[str, list[str]] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    answering: float = 0.0


def score(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    model: Path | None = None,
    workers: int | None = 1,
    backend: str = "pool",
    ray_address: str | None = None,
    shard_rows: int | None = None,
    verify: bool = False,
    skip_bad_files: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RunReport:
    """Answer every row of files into ``out/scores/*.parquet``, with ``out/rejects/*.csv`` and ``out/manifest.jsonl``.

    Args:
        sources: Paths and URLs of files and folders.
        out: A folder on this machine or one that all workers share.
        model: An exported model; None is the default model.
        workers: Processes, one core each; None takes every core of this machine, or of the cluster but one.
        backend: ``"pool"`` or ``"ray"``.
        ray_address: The cluster; None starts Ray on this machine.
        shard_rows: Rows of a shard; None settles it by how many there are. A file that has shards keeps its own.
        verify: Whether shards of earlier runs are compared with their checksums.
        skip_bad_files: Whether a file that cannot be read, or lacks the column, is left out, which the report tells; it
            stops the run otherwise.
        progress: Called with the rows done of these files, all that they have (estimated where that takes reading),
            and those that were there before.
        settings: `scale.job.Job`'s ``text``, ``id``, ``domain``, ``engine``, ``dtype``, ``batch_tokens``,
            ``abstain_below``.

    Raises:
        ConfigError: For settings outside what is allowed, a folder that another run holds or began differently, or a
            file that was moved since it was scored.
        DataError: If a file, or with `skip_bad_files` every file, cannot be read or has no text column, or the disk
            takes no more.
        ModelError: If the model is missing, damaged or replaced while the run is under way.
    """
    began = time.perf_counter()
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; it must be 1 or more")
    if shard_rows is not None and shard_rows < 1:
        raise ConfigError(f"shard_rows is {shard_rows}; it must be 1 or more")
    job = make_job(Path(out), model, **settings)
    found, skipped = find_sources([str(source) for source in sources], job.out)
    look = look_at(found, job, skip_bad=skip_bad_files)
    bad, names = look.bad, {source.name for source in found}
    good = [source for source in found if source.name not in bad]
    workers = workers or _cores(backend, ray_address)
    with alone_in(job.out):
        most = shard_rows or min(MOST, max(LEAST, -(-look.rows // (workers * SHARE))))
        manifest, changed, gone = open_manifest(job, found, most, verify=verify)
        report = RunReport(kept=len(manifest.entries), changed=changed, gone=gone, skipped=skipped, bad=bad)
        if shard_rows is not None:
            cuts = {source.name: manifest.cut(source.name) for source in good}
            report.cut_before = {name: cut for name, cut in cuts.items() if cut != shard_rows}
        named, good = good, with_parts_begun(manifest, good)
        report.fewer_parts = {
            now.name: [name for name in now.part_names if name not in kept.part_names]
            for now, kept in zip(named, good, strict=True)
            if now.parts != kept.parts
        }
        before = sum(entry["rows"] for entry in manifest.entries.values() if entry["source"] in names)

        def tell() -> None:
            if progress is not None:
                done = before + report.new_rows
                progress(done, max(look.rows, done), before)

        def leave_out(source: Source, error: DataError) -> None:
            if not skip_bad_files:
                raise error
            bad[source.name] = reason_of(source, error)
            manifest.leave_out(source, bad[source.name])

        try:
            for source in found:
                if source.name in bad:
                    manifest.leave_out(source, bad[source.name])
            pieces = missing_pieces(job, good, look.groups, manifest, leave_out, copy=backend == "pool")
            _run(pieces, job, manifest, report, backend, workers, ray_address, tell)
            manifest.end(names, {name for name, _ in report.failed})
        finally:
            shutil.rmtree(job.temporary, ignore_errors=True)
        entries = list(manifest.entries.values())
        report.unfinished = [name for name in manifest.unfinished or () if name not in names]
    for source in good:
        groups = look.groups.get(source.name)
        if (manifest.files.get(source.name, {}).get("rows") if groups is None else sum(groups)) == 0:
            report.skipped[source.name] = "no row in it"
    report.rows = sum(entry["rows"] for entry in entries)
    report.unplaced = sum(e["refused"] for e in entries if e["refused"] and not job.rejects_of(e["shard"]).exists())
    for name in COUNTS:
        setattr(report, name, sum(entry[name] for entry in entries))
    report.shards, report.seconds = len(entries), time.perf_counter() - began
    if report.failed:
        more = f"; and {len(report.failed) - 1} more such parts" if len(report.failed) > 1 else ""
        more += f"; {len(bad)} files were left out, as {job.out / NAME} says" if bad else ""
        raise DataError(
            f"{report.failed[0][1]}{more}; the other {report.answered:,} rows are answered: run again when it is mended"
        )
    if report.refused and not report.answered:
        raise empty_error(entries)
    return report


def _run(
    pieces: Iterator[Piece], job: Job, manifest: Manifest, report: RunReport, backend: str, workers: int,
    address: str | None, tell: Callable[[], object],
) -> None:  # fmt: skip
    begin: float | None = None
    tell()
    for outcome in _outcomes(pieces, job, backend, workers, address):
        now = time.perf_counter()
        if outcome.entry is not None:
            started = now - outcome.entry["seconds"]  # before that, processes were started and the model was loaded
            begin = started if begin is None else min(begin, started)
            report.answering = now - begin
        if outcome.entry is not None and outcome.temporary is not None:
            _keep(outcome.temporary, outcome.entry, job, manifest)
            report.new_rows += outcome.entry["rows"]
        elif outcome.fatal and outcome.error is not None:
            raise outcome.error
        else:
            report.failed.append((outcome.piece.source.name, str(outcome.error)))
        if outcome.piece.staged is not None:
            outcome.piece.staged.unlink(missing_ok=True)
        tell()


def _keep(temporary: Path, entry: Entry, job: Job, manifest: Manifest) -> None:
    """Record a shard, then name it: a kill in between leaves a record without a shard, which the next run drops."""
    manifest.add(entry)
    commit(temporary, entry, job)


def _cores(backend: str, address: str | None) -> int:
    if backend == "pool" or address is None:
        return cores()
    from finsa_moe.scale import on_ray

    return on_ray.cores_of(address)


def _outcomes(pieces: Iterator[Piece], job: Job, backend: str, workers: int, address: str | None) -> Iterator[Outcome]:
    if backend == "pool":
        return pool.run(job, pieces, workers)
    from finsa_moe.scale import on_ray

    return on_ray.run(job, pieces, workers, address)
