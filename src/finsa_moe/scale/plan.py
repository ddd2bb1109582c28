"""What there is to do: how many rows the files have, whether each can be read, and the pieces that have no shard yet.

Files and the record of what is done go in, pieces come out one after another as they are asked for. It answers nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from finsa_moe.data.reading.names import named
from finsa_moe.errors import DataError
from finsa_moe.scale.job import Job
from finsa_moe.scale.manifest import NAME, Manifest, read_manifest
from finsa_moe.scale.pieces import (
    Piece,
    check_columns,
    copied_pieces,
    parquet_groups,
    parquet_pieces,
    staged_pieces,
)
from finsa_moe.scale.shard import unwritable
from finsa_moe.scale.stores import Source

_PROBE = 1 << 16


@dataclass
class Look:
    """Files as they were met.

    Attributes:
        groups: Rows of the row groups of each Parquet file, by name.
        rows: Rows of all files, estimated where counting takes reading.
        bad: Files that cannot be read or have no such column, with the reason.
    """

    groups: dict[str, list[int]] = field(default_factory=dict)
    rows: int = 0
    bad: dict[str, str] = field(default_factory=dict)


def look_at(found: Sequence[Source], job: Job, *, skip_bad: bool) -> Look:
    """Look at every file that is not answered as it is; with `skip_bad` what cannot be read is kept apart.

    Raises:
        ConfigError: If the folder's manifest is damaged.
        DataError: If a file, or with `skip_bad` every file, cannot be read or has no such column.
    """
    look = Look()
    path = job.out / NAME
    before = read_manifest(path) if path.exists() else None
    for source in found:
        try:
            if source.ending == ".parquet":
                look.groups[source.name] = parquet_groups(source, job.text, job.id)
                look.rows += sum(look.groups[source.name])
            elif before is not None and before.has(source):  # checked and counted when it was answered
                look.rows += int(before.files[source.name]["rows"])
            else:
                look.rows += _rows_about(source, job)
        except DataError as error:
            if not skip_bad:
                raise
            look.bad[source.name] = reason_of(source, error)
    if look.bad and len(look.bad) == len(found):
        name, reason = next(iter(look.bad.items()))
        raise DataError(f"{name}: {reason}; none of the {len(found):,} files can be scored")
    return look


def reason_of(source: Source, error: DataError) -> str:
    """What is wrong with a file, without its name."""
    return str(error).removeprefix(f"{source.name}: ")


def missing_pieces(
    job: Job, sources: Sequence[Source], groups: dict[str, list[int]], manifest: Manifest,
    leave_out: Callable[[Source, DataError], None], *, copy: bool = True,
) -> Iterator[Piece]:  # fmt: skip
    """The pieces that have no shard yet, cut one after another as they are asked for.

    A file that turns out bad is handed to `leave_out`. With `copy` a row group of a store that is cut into several is
    fetched once, here; else every worker reads the whole group for each of its pieces.

    Raises:
        DataError: If the disk takes no more.
    """
    for source in sources:
        if source.name in groups:
            cut = parquet_pieces(source, groups[source.name], manifest.cut(source.name))
            missing = (piece for piece in cut if f"{piece.name}.parquet" not in manifest.entries)
            for _, some in groupby(missing, attrgetter("groups")):
                pieces = list(some)
                yield from _copied(pieces, job) if copy and source.root and len(pieces) > 1 else pieces
        elif not manifest.has(source):
            yield from _cut(job, source, manifest, leave_out)


def _copied(pieces: Sequence[Piece], job: Job) -> Iterator[Piece]:
    try:
        yield from copied_pieces(pieces, job.temporary)
    except OSError as error:
        raise unwritable(job.out, error) from error


def _cut(
    job: Job, source: Source, manifest: Manifest, leave_out: Callable[[Source, DataError], None]
) -> Iterator[Piece]:
    def wanted(name: str) -> bool:
        return f"{name}.parquet" not in manifest.entries

    count = rows = 0
    local: Path | None = None
    try:
        local = source.fetched(job.temporary)
        most = manifest.cut(source.name)
        for piece in staged_pieces(source, local, most, job.temporary, wanted, job.text, job.id):
            count, rows = count + 1, rows + piece.rows
            if piece.staged is not None:
                yield piece
    except OSError as error:
        raise unwritable(job.out, error) from error
    except DataError as error:
        said = str(error) if local is None else str(error).replace(str(local), source.name)  # a copy's name is ours
        leave_out(source, DataError(said))
        return
    manifest.finish_file(source, count, rows)
    if source.root:
        local.unlink(missing_ok=True)


def _rows_about(source: Source, job: Job) -> int:
    """Rows of a file of text, estimated from its first ones, whose columns are checked on the way."""
    if source.root:
        return max(1, source.size // 200)  # unread: the copy is fetched when its turn comes
    path = Path(source.path)
    check_columns(source, path, job.text, job.id)
    with named(path).file.open("rb") as file:
        probe = file.read(_PROBE)
    lines, read = probe.count(b"\n"), len(probe)
    if named(path).packed:
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
        lines = unpacked.decompress(probe).count(b"\n")
        read -= len(unpacked.unused_data)
    return max(1, source.size * max(1, lines) // max(1, read))
