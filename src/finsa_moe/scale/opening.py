"""A folder of answers at the start of a run: its manifest held against the disk and this run's files, or a new one.

Settings and sources go in; a manifest that tells what is left to do comes out. It cuts and answers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import sha256
from finsa_moe.scale.earlier import check_keys, check_urls, gone_files, no_longer_there, with_parts_begun
from finsa_moe.scale.job import Job
from finsa_moe.scale.manifest import LOCK, NAME, PART, Manifest, read_manifest
from finsa_moe.scale.shard import Entry
from finsa_moe.scale.stores import Source


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
        ConfigError: If the folder holds answers of other settings, or something else, if a file has moved since, lacks
            a column of its path, or if shards of two files would have one name.
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
    check_urls(manifest, sources)
    check_keys(manifest, sources)
    with_parts_begun(manifest, sources)  # before anything is written
    gone = gone_files(manifest, sources)
    for folder in (job.scores, job.rejects, job.temporary):
        folder.mkdir(exist_ok=True)
    for part in (*job.temporary.iterdir(), *job.out.glob(PART)):  # left by a run that was killed
        part.unlink()
    stamps = {source.name: source.stamp for source in sources}
    begun = {str(entry["source"]) for entry in manifest.entries.values()}
    changed = {
        entry["source"]
        for entry in (*manifest.entries.values(), *manifest.files.values())
        if stamps.get(entry["source"], entry["stamp"]) != entry["stamp"]
    }
    manifest.files = {name: entry for name, entry in manifest.files.items() if name not in changed}
    lost = {
        name: str(entry["source"])
        for name, entry in manifest.entries.items()
        if entry["source"] in changed
        or not _whole(job.scores / name, entry, verify=verify)
        # of a file that is not named they could not be made again, and the answers are right
        or (entry["refused"] and entry["source"] in stamps and not job.rejects_of(name).exists())
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
            for stale in (job.scores / name, job.rejects_of(name)):
                stale.unlink(missing_ok=True)
    # a manifest of before tells of no end: what has all its shards for sure is done, of the others nobody knows
    left = {*lost.values(), *(manifest.untold() if manifest.unfinished is None else manifest.unfinished)}
    away = no_longer_there({*left, *manifest.bad}, sources)  # what is not there cannot be read again
    manifest.bad = {name: entry for name, entry in manifest.bad.items() if name not in stamps and name not in away}
    # of a file that is half done, rows are missing wherever it is; one without a shard may have moved and be named anew
    manifest.begin(shard_rows, left - (away - begun) | stamps.keys())
    return manifest, len(changed), gone


def _ours(entry: Path, job: Job) -> bool:
    """Whether a first start that ended before it had a manifest may have left this."""
    if entry in (job.scores, job.rejects, job.temporary):
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name == LOCK or entry.match(PART)


def _whole(shard: Path, entry: Entry, *, verify: bool) -> bool:
    try:
        if shard.stat().st_size != entry["bytes"]:
            return False
        if not verify:
            return True
        return sha256(shard) == str(entry["sha256"])
    except OSError:
        return False


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) < 40 else f"{words[:13]}…"
