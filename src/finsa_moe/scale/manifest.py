"""The record of what is done: a JSON line for each finished shard, wholly cut or bad file, after one of settings.

It only ever grows during a run, so that a kill can cost at most its last line; opening it drops such a line, and what
no longer matches the disk. It does not know how shards are made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import locked, sha256, whole_path
from finsa_moe.scale.earlier import check_keys, check_parts, gone_files
from finsa_moe.scale.job import Job
from finsa_moe.scale.shard import Entry, unwritable
from finsa_moe.scale.stores import Source

NAME, LOCK, FORMAT = "manifest.jsonl", ".lock", 2
_READ = (1, FORMAT)
"""Formats that are read: in the first, all files had the header's rows of a shard."""
_UNFINISHED = f".{NAME}.*.part"
"""What a kill within `Manifest.save` leaves."""


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Hold an output folder alone; the system lets go of it when the process ends, however it ends.

    On Windows nothing is held (`finsa_moe.files.hold`): there it is the user who starts no second run.

    Raises:
        ConfigError: If another run holds it.
        DataError: If the folder cannot be made there.
    """
    lock = out / LOCK
    try:
        out.mkdir(parents=True, exist_ok=True)
        who = lock.read_text(encoding="ascii", errors="replace").strip() if lock.exists() else ""
        taken = f"another run (process {who or 'unknown'}) is writing there; wait for its end, or name another --out"
        file = locked(lock, ConfigError(f"{out}: {taken}"))
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    with file:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield


class Manifest:
    """What an output folder holds; made by `open_manifest`.

    Attributes:
        header: The settings of the run that began it, and until when its model was trained where that is known.
        entries: Finished shards by name.
        files: By the name of a file that was cut to its end: its stamp, pieces and rows.
        bad: By the name of a file that was left out since it cannot be read: its stamp and the reason.
        shard_rows: Rows of a shard of files that have none yet.
    """

    def __init__(
        self, path: Path, header: dict[str, Any], entries: dict[str, Entry], files: dict[str, Entry],
        bad: dict[str, Entry] | None = None,
    ) -> None:  # fmt: skip
        self.path, self.header, self.entries, self.files, self.bad = path, header, entries, files, bad or {}
        self.shard_rows = int(header.get("shard_rows", 0))
        self._cuts: dict[str, int] = {}

    def begin(self, shard_rows: int) -> None:
        """Keep the cut of every file that has shards, and take `shard_rows` for the others."""
        known = (*self.files.values(), *self.entries.values())
        self._cuts = {entry["source"]: int(entry.get("shard_rows", self.header["shard_rows"])) for entry in known}
        self.shard_rows = shard_rows

    def cut(self, name: str) -> int:
        """Rows of a shard of a file: those it was begun with."""
        return self._cuts.get(name, self.shard_rows)

    def add(self, entry: Entry) -> None:
        """Record a finished shard."""
        entry = {**entry, "shard_rows": self.cut(entry["source"])}
        self._append({"kind": "shard", **entry})
        self.entries[entry["shard"]] = entry

    def finish_file(self, source: Source, pieces: int, rows: int) -> None:
        """Record that a file has so many pieces and no more."""
        entry = {
            "source": source.name, "stamp": source.stamp, "pieces": pieces, "rows": rows,
            "shard_rows": self.cut(source.name),
        }  # fmt: skip
        self.files[source.name] = entry
        self._append({"kind": "file", **entry})

    def leave_out(self, source: Source, reason: str) -> None:
        """Record that a file cannot be read."""
        entry = {"source": source.name, "stamp": source.stamp, "reason": reason}
        self.bad[source.name] = entry
        self._append({"kind": "bad", **entry})

    def has(self, source: Source) -> bool:
        """Whether every piece of a file as it is now is done."""
        known = self.files.get(source.name)
        return (
            known is not None
            and known["stamp"] == source.stamp
            and all(f"{source.key}-{number:05d}.parquet" in self.entries for number in range(known["pieces"]))
        )

    def save(self) -> None:
        """Write all of it anew."""
        lines = [{"kind": "run", "format": FORMAT, **self.header}]
        lines += [{"kind": "file", **entry} for entry in self.files.values()]
        lines += [{"kind": "bad", **entry} for entry in self.bad.values()]
        lines += [{"kind": "shard", **entry} for entry in self.entries.values()]
        try:
            with whole_path(self.path) as part:
                part.write_text("".join(map(_line, lines)), encoding="utf-8")
        except DataError as error:
            if isinstance(error.__cause__, OSError):
                raise unwritable(self.path.parent, error.__cause__) from error
            raise

    def _append(self, entry: Entry) -> None:
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(_line(entry).encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            os.truncate(self.path, size)
            raise unwritable(self.path.parent, error) from error


def open_manifest(
    job: Job, sources: Sequence[Source], shard_rows: int, *, verify: bool = False
) -> tuple[Manifest, int, list[str]]:
    """The manifest of a run that goes on, or of a new one.

    Args:
        job: The settings; they must be those that the folder was begun with.
        sources: The inputs of this run; shards of a file that has changed since are dropped, to be made again.
        shard_rows: Rows of a shard of new files; one that has shards keeps the cut that it was begun with.
        verify: Whether finished shards are compared with their SHA-256, not only their size.

    Returns:
        The manifest, how many files have changed, and those of earlier runs that are no longer there.

    Raises:
        ConfigError: If the folder holds answers of other settings, or something else, if a file has moved since, has
            other columns in its path, or if shards of two files would have one name.
        DataError: If a shard is damaged whose file this run does not name, so that it cannot be made again.
    """
    path = job.out / NAME
    noted = {} if job.trained_until is None else {"trained_until": job.trained_until}
    header = {**job.settings(), "shard_rows": shard_rows}
    if not path.exists():
        strangers = sorted(entry.name for entry in job.out.iterdir() if not _ours(entry, job))
        if strangers:
            raise ConfigError(f"{job.out}: holds {strangers[0]} and no {NAME}; name an empty folder for the answers")
        manifest = Manifest(path, header, {}, {})
    else:
        manifest = read_manifest(path)
        for name, value in job.settings().items():
            if manifest.header.get(name) != value:
                raise ConfigError(
                    f"{job.out}: was begun with {name} {_short(manifest.header.get(name))}, now it is {_short(value)}; "
                    "run with the old one, or name another --out"
                )
    manifest.header |= noted
    check_keys(manifest, sources)
    check_parts(manifest, sources)
    gone = gone_files(manifest, sources)
    for folder in (job.scores, job.rejects, job.temporary):
        folder.mkdir(exist_ok=True)
    for left in (*job.temporary.iterdir(), *job.out.glob(_UNFINISHED)):  # by a run that was killed
        left.unlink()
    stamps = {source.name: source.stamp for source in sources}
    changed = {
        entry["source"]
        for entry in (*manifest.entries.values(), *manifest.files.values())
        if stamps.get(entry["source"], entry["stamp"]) != entry["stamp"]
    }
    manifest.files = {name: entry for name, entry in manifest.files.items() if name not in changed}
    manifest.bad = {name: entry for name, entry in manifest.bad.items() if name not in stamps}  # they are tried again
    lost = {
        name: str(entry["source"])
        for name, entry in manifest.entries.items()
        if entry["source"] in changed or not _whole(job.scores / name, entry, verify=verify)
    }
    for name, source in lost.items():
        # without its record, its rows would count once more when their file is moved and named anew
        if source not in stamps and (job.scores / name).exists():
            raise DataError(
                f"{job.scores / name}: is damaged; name {source} again to have it made anew, or remove the shard"
            )
    for name, source in lost.items():
        del manifest.entries[name]
        if source in stamps:  # it is made again; until then none of that name may pass for it
            for stale in (job.scores / name, job.rejects / f"{name.removesuffix('.parquet')}.csv"):
                stale.unlink(missing_ok=True)
    manifest.begin(shard_rows)
    manifest.save()
    return manifest, len(changed), gone


def _ours(entry: Path, job: Job) -> bool:
    """Whether a first start that ended before it had a manifest may have left this."""
    if entry in (job.scores, job.rejects, job.temporary):
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name == LOCK or entry.match(_UNFINISHED)


def _whole(shard: Path, entry: Entry, *, verify: bool) -> bool:
    try:
        if shard.stat().st_size != entry["bytes"]:
            return False
        if not verify:
            return True
        return sha256(shard) == str(entry["sha256"])
    except OSError:
        return False


def read_manifest(path: Path) -> Manifest:
    """The manifest as it was left, whatever has become of the shards.

    Raises:
        ConfigError: If it is damaged, or of another version.
    """
    lines = path.read_bytes().split(b"\n")
    found: list[Entry] = []
    for line in lines[:-1]:  # what follows the last line end was cut short by a kill, or is nothing
        try:
            found.append(json.loads(line))
        except ValueError:
            raise ConfigError(f"{path}: line {len(found) + 1} is damaged; name another --out") from None
    if not found or found[0].get("kind") != "run" or found[0].get("format") not in _READ:
        raise ConfigError(f"{path}: no manifest that this version reads; name another --out")
    header = {name: value for name, value in found[0].items() if name not in ("kind", "format")}
    kinds: dict[str, dict[str, Entry]] = {"shard": {}, "file": {}, "bad": {}}
    for entry in found[1:]:
        kind = entry.pop("kind")
        kinds[kind][entry["shard" if kind == "shard" else "source"]] = entry
    return Manifest(path, header, kinds["shard"], kinds["file"], kinds["bad"])


def _line(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) < 40 else f"{words[:13]}…"
