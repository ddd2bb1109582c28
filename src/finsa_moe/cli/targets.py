"""Files and folders that a verb is to write, looked at before any work: whether they can be, and what would be lost.

Paths go in; what is wrong with one is an error. It writes nothing: `finsa_moe.files` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from finsa_moe.errors import ConfigError


def check_targets(*paths: Path | None) -> None:
    """Refuse files that cannot be written; None is an option that was not given.

    Raises:
        ConfigError: For a folder where a file is meant, a folder that is not there or may not be written to, and a file
            that is named twice.
    """
    seen: set[str] = set()
    for path in paths:
        if path is None:
            continue
        if wrong := _wrong(path):
            raise ConfigError(f"{path}: {wrong}")
        if (place := os.path.realpath(path)) in seen:
            raise ConfigError(f"{path}: is named for two outputs, which need a file each; name another for one")
        seen.add(place)


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be made or written to, before hours of work for it.

    Raises:
        ConfigError: Naming what stands in the way.
    """
    try:
        there = _nearest(path.absolute())
        wrong = "" if there.is_dir() else f"{there} is no folder"
    except OSError as error:  # too long for a name, say
        raise ConfigError(f"{path}: cannot be a folder: {error.strerror}; name another --out") from None
    if not wrong and not os.access(there, os.W_OK | os.X_OK):
        wrong = f"the folder {there} may not be written to"
    if wrong:
        raise ConfigError(f"{path}: cannot be made or written to: {wrong}; name another --out")


def check_picture(path: Path | None, option: str) -> None:
    """Refuse a picture that is no PNG.

    Raises:
        ConfigError: Naming the option and the file that could be.
    """
    _check_ending(path, option, ".png", "the picture is a PNG")


def check_csv(path: Path | None, option: str) -> None:
    """Refuse a table that is no CSV.

    Raises:
        ConfigError: Naming the option and the file that could be.
    """
    _check_ending(path, option, ".csv", "is written as CSV")


def refuse_inputs(targets: Mapping[str, Path | None], sources: Iterable[Path]) -> None:
    """Refuse to write over a file that is read.

    Args:
        targets: What is to be written, by its option.
        sources: What is read, files or folders.

    Raises:
        ConfigError: Naming the option.
    """
    read = [source for source in sources if source.exists()]
    for option, target in targets.items():
        if target is not None and target.exists() and any(target.samefile(source) for source in read):
            raise ConfigError(f"{option} {target}: is a file that is read here, and would be lost; name another")


def _check_ending(path: Path | None, option: str, ending: str, told: str) -> None:
    if path is not None and path.suffix.lower() != ending:
        raise ConfigError(f"{option} {path}: {told}; call it {path.with_suffix(ending)}")


def _nearest(path: Path) -> Path:
    """The path, or the lowest above it that is there."""
    for place in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            place.lstat()
            return place
    return Path(path.anchor)


def _wrong(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a folder; name a file in it"
        if path.exists() and not path.is_file():
            return "is a device or a pipe; name a file"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}; make it first or name another"
    except OSError as error:  # too long for a name, say
        return f"cannot be a file: {error.strerror}; name another"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"the folder {path.parent} may not be written to; name a file in another"
    return ""
