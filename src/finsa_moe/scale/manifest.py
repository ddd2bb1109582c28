"""The record of what is done: a JSON line for each finished shard, wholly cut or bad file, after one of settings.

It only ever grows during a run, so that a kill can cost at most its last line; reading it drops such a line. A line
names the files that a run began with, and one at its end those that are not done: what has no such end was stopped. It
does not know how shards are made.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import append, locked, whole_path
from finsa_moe.scale.shard import Entry, unwritable
from finsa_moe.scale.stores import Source

NAME, LOCK, FORMAT = "manifest.jsonl", ".lock", 3
_READ = (1, 2, FORMAT)
"""Formats that are read: in the first, all files had the header's rows of a shard; the first two tell of no end."""
_LINES = {
    "begin": {"unfinished"}, "end": {"unfinished"}, "bad": {"source", "reason"},
    "file": {"source", "stamp", "pieces", "rows"}, "shard": {"shard", "source", "stamp", "rows", "refused", "bytes"},
}  # fmt: skip
"""What every line says at least, by kind."""
PART = f".{NAME}.*.part"
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


@dataclass(frozen=True)
class Standing:
    """How far the runs of an output folder have come.

    Attributes:
        ended: Whether each of its runs has come to its end, or a later one has done what it left; None where the
            manifest does not tell, as of an earlier version.
        unfinished: The files of runs that have not, of which some rows may have no answer, sorted; one that is half
            done stays among them wherever it is.
        bad: Files that were left out as they cannot be read, with the reason.
    """

    ended: bool | None = None
    unfinished: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)


def standing_of(path: Path) -> Standing:
    """What a manifest tells of its folder; of one that cannot be read, nothing."""
    try:
        found = read_manifest(path)
    except (ConfigError, OSError):
        return Standing()
    bad = {name: str(entry["reason"]) for name, entry in found.bad.items()}
    if found.unfinished is None:
        return Standing(None, [], bad)
    return Standing(not found.unfinished, found.unfinished, bad)


def header_of(path: Path) -> Entry:
    """The settings of the run that began a folder, by the first line alone; nothing where that does not tell."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.readline())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Manifest:
    """What an output folder holds; made by `opening.open_manifest`.

    Attributes:
        header: The settings of the run that began it, and until when its model was trained where that is known.
        entries: Finished shards by name.
        files: By the name of a file that was cut to its end: its stamp, pieces and rows.
        bad: By the name of a file that was left out since it cannot be read: its stamp and the reason.
        unfinished: Files of runs that have not come to their end; None where it does not tell.
        shard_rows: Rows of a shard of files that have none yet.
    """

    def __init__(
        self, path: Path, header: dict[str, Any], entries: dict[str, Entry], files: dict[str, Entry],
        bad: dict[str, Entry] | None = None, unfinished: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.path, self.header, self.entries, self.files, self.bad = path, header, entries, files, bad or {}
        self.unfinished = unfinished
        self.shard_rows = int(header.get("shard_rows", 0))
        self._cuts: dict[str, int] = {}

    def begin(self, shard_rows: int, names: Iterable[str]) -> None:
        """Begin with files, those that earlier runs left among them, and write it anew without the end of a run.

        Every file that has shards keeps its cut; the others get `shard_rows`.
        """
        self.unfinished = sorted(names)
        known = (*self.files.values(), *self.entries.values())
        self._cuts = {entry["source"]: int(entry.get("shard_rows", self.header["shard_rows"])) for entry in known}
        self.shard_rows = shard_rows
        self.save()

    def end(self, names: Iterable[str], failed: Iterable[str]) -> None:
        """Record the end of a run of some files: all but the `failed` ones are done, or bad."""
        self.unfinished = sorted({*(self.unfinished or ())} - {*names} | {*failed})
        entries = self.entries.values()
        counts = {name: sum(entry[name] for entry in entries) for name in ("rows", "answered", "refused")}
        shards, bad = len(self.entries), len(self.bad)
        self._append({"kind": "end", "shards": shards, **counts, "bad": bad, "unfinished": self.unfinished})

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

    def untold(self) -> set[str]:
        """Files that have shards, of which no line says that they have all."""
        shards = Counter(str(entry["source"]) for entry in self.entries.values())
        return {name for name, count in shards.items() if self.files.get(name, {}).get("pieces") != count}

    def save(self) -> None:
        """Write all of it anew."""
        lines = [{"kind": "run", "format": FORMAT, **self.header}, {"kind": "begin", "unfinished": self.unfinished}]
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
        try:
            with self.path.open("ab") as file:
                append(file, _line(entry).encode("utf-8"))
        except OSError as error:
            raise unwritable(self.path.parent, error) from error


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
    first = found[0] if found and isinstance(found[0], dict) else {}
    if first.get("kind") != "run" or first.get("format") not in _READ:
        raise ConfigError(f"{path}: no manifest that this version reads; name another --out")
    header = {name: value for name, value in first.items() if name not in ("kind", "format")}
    kinds: dict[str, dict[str, Entry]] = {"shard": {}, "file": {}, "bad": {}}
    unfinished: list[str] | None = None
    for number, entry in enumerate(found[1:], 2):
        kind = str(entry.pop("kind", "")) if isinstance(entry, dict) else ""
        if kind not in _LINES or not entry.keys() >= _LINES[kind]:
            raise ConfigError(
                f"{path}: line {number} is none of a manifest that this version reads; name another --out"
            )
        if kind in ("begin", "end"):
            unfinished = entry["unfinished"]
        else:
            kinds[kind][entry["shard" if kind == "shard" else "source"]] = entry
    return Manifest(path, header, kinds["shard"], kinds["file"], kinds["bad"], unfinished)


def _line(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
