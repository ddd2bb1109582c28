"""Files of a run beside those of earlier ones: what keeps them from standing in one folder of answers, what is gone.

A manifest and sources go in; it changes neither, and opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from finsa_moe.errors import ConfigError
from finsa_moe.scale.stores import Source, is_gone, local_path

if TYPE_CHECKING:
    from finsa_moe.scale.manifest import Manifest


def check_keys(manifest: Manifest, sources: Sequence[Source]) -> None:
    """Refuse two files whose shards would have one name; digests of eight digits meet among many thousands of files."""
    owners = {name.rpartition("-")[0]: str(entry["source"]) for name, entry in manifest.entries.items()}
    for source in sources:
        if (owner := owners.setdefault(source.key, source.name)) != source.name:
            raise ConfigError(f"{source.name}: its shards would be called as those of {owner}; rename one of the two")


def check_urls(manifest: Manifest, sources: Sequence[Source]) -> None:
    """Refuse a local file that an earlier version has scored by its URL, as by its path its rows would count twice."""
    here = {source.name for source in sources}
    for name in {str(entry["source"]) for entry in manifest.entries.values()}:
        if (path := local_path(name)) is None or str(path) == name:
            continue
        if (place := str(path.resolve())) in here:
            raise ConfigError(
                f"{manifest.path.parent}: holds the answers to {name}, by an earlier version that did not know it for "
                f"{place}: its rows would count twice; name another --out"
            )


def with_parts_begun(manifest: Manifest, sources: Sequence[Source]) -> list[Source]:
    """Files with the columns of their folders that their shards have: some would have others.

    In a manifest of the first format no shard has any, and earlier versions took those below what is named alone.

    Raises:
        ConfigError: If a file would now lack one.
    """
    begun = {(entry["source"], entry["stamp"]): entry.get("parts", []) for entry in manifest.entries.values()}
    kept = []
    for source in sources:
        then: list[str] = begun.get((source.name, source.stamp), source.part_names)
        if {*then} - {*source.part_names}:
            before, after = (", ".join(names) or "no column" for names in (then, source.part_names))
            raise ConfigError(
                f"{manifest.path.parent}: its answers to {source.name} have {before} of the file's folders, now they "
                f"would have {after}; name the folder that was named before, or another --out"
            )
        kept.append(replace(source, parts=tuple(part for part in source.parts if part[0] in then)))
    return kept


def no_longer_there(names: Iterable[str], sources: Sequence[Source]) -> set[str]:
    """Those of some files of earlier runs, not among the sources, that are no longer where they were."""
    here = {source.name for source in sources}
    roots = {source.root for source in sources if source.root}
    return {name for name in names if name not in here and is_gone(name, roots)}


def gone_files(manifest: Manifest, sources: Sequence[Source]) -> list[str]:
    """Files of earlier runs that are no longer there.

    A file that is scored and then put away is a use of this; one that is named anew would count twice.

    Raises:
        ConfigError: If one has the same size and time as a new file: it has moved.
    """
    known = {entry["source"]: entry["stamp"] for entry in (*manifest.entries.values(), *manifest.files.values())}
    gone = sorted(no_longer_there(known, sources))
    new = {source.stamp: source.name for source in sources if not source.root and source.name not in known}
    for name in gone:
        if known[name] in new:
            raise ConfigError(
                f"{manifest.path.parent}: holds the answers to {name}, which is now {new[known[name]]} (same size and "
                "time): its rows would count twice; move it back, or name another --out"
            )
    return gone
