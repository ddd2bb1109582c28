"""Files to be scored, wherever they lie: a local path, or a URL of any store that pyarrow or fsspec reads.

Names go in, `Source`s come out, each with a stamp that changes when its file does; opened, they are byte streams. It
does not know what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from finsa_moe.data.reading.formats import KNOWN, READERS, find_files
from finsa_moe.data.reading.names import named
from finsa_moe.errors import DataError, require

EXTRA = "scale"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_URL = re.compile(r"^[a-z0-9+.-]{2,}:", re.IGNORECASE)  # one letter and a colon is a drive of Windows


@dataclass(frozen=True)
class Source:
    """One file of rows.

    Attributes:
        name: Its absolute path or URL: what the manifest knows it by.
        root: The URL of its store; empty for this machine's own files.
        path: Its path within the store.
        size: Bytes.
        stamp: Size and time of change; another stamp means that the file is another.
        parts: The folders called ``key=value``, its columns that its writer put there: those below the one that was
            named, that one, and those right above it.
    """

    name: str
    root: str
    path: str
    size: int
    stamp: str
    parts: tuple[tuple[str, str | None], ...] = ()

    @property
    def ending(self) -> str:
        """The ending that says the format: of a packed file that of its content."""
        return named(Path(self.path)).ending

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return PurePosixPath(self.path).stem

    @property
    def key(self) -> str:
        """What its shards are called by: the stem, and a digest of the whole name, since folders repeat stems."""
        digest = hashlib.sha256(self.name.encode("utf-8")).hexdigest()[:8]
        plain = re.sub(r"[^-.\w]+", "_", self.stem)[:40]
        return f"{plain}-{digest}"

    @property
    def part_names(self) -> list[str]:
        """The columns that its path holds."""
        return [name for name, _ in self.parts]

    def open(self) -> Any:
        """The bytes, as a seekable pyarrow file.

        Raises:
            DataError: If the store cannot give them.
        """
        try:
            return _filesystem(self.root)[0].open_input_file(self.path)
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read: {_said(error)}") from error

    def fetched(self, folder: Path) -> Path:
        """A local path with the same bytes and endings: the file itself, or a copy in `folder`.

        Raises:
            DataError: If the store cannot give them; an OSError comes from writing the copy.
        """
        if not self.root:
            return Path(self.path)
        copy = folder / f"{self.key}{self.ending}{'.gz' if named(Path(self.path)).packed else ''}"
        with self.open() as stream, copy.open("wb") as file:
            while block := self._block(stream):
                file.write(block)
        return copy

    def _block(self, stream: Any) -> Any:
        try:
            return stream.read(1 << 22)
        except Exception as error:  # stores of fsspec raise errors of their own kinds
            raise DataError(
                f"{self.name}: cannot be read: {_said(error)}; run the same command again: finished shards are kept"
            ) from error


def find_sources(names: Sequence[str], out: Path) -> tuple[list[Source], dict[str, str]]:
    """The files that paths and URLs stand for, sorted, folders searched to the bottom; and those left out, with why.

    Args:
        names: Paths and URLs.
        out: The folder of the answers; what lies in it is never an input.

    Raises:
        DataError: If one is not there, none holds a file of a known ending, or two lead to one file by links, each
            with columns of its folders that the other has not.
    """
    found: dict[str, Source] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if (top := local_path(name)) is None:
            here, left = _remote(name)
        else:
            files = find_files([top])
            inside = [path for path in files.files if not path.resolve().is_relative_to(out)]
            here, left = [_local(path, top) for path in inside], files.skipped
        for source in here:
            found[source.name] = _fuller(found.get(source.name, source), source)
        skipped |= left
    if not found:
        raise DataError(f"{', '.join(names)}: no file to score here; known endings: {KNOWN}")
    return [found[name] for name in sorted(found)], skipped


def local_path(name: str) -> Path | None:
    """The path on this machine that a path or a URL of ``file:`` means; None of any other URL."""
    if not _URL.match(name):
        return Path(name)
    url = urlsplit(name)
    return Path(url2pathname(url.path)) if url.scheme == "file" and url.netloc in ("", "localhost") else None


def is_gone(name: str, roots: Iterable[str]) -> bool:
    """Whether a file of an earlier run that this run has not found is no longer where it was.

    Args:
        name: `Source.name`.
        roots: The URLs that this run has searched: of a store, no more is known than what lies under them.
    """
    if (path := local_path(name)) is None:
        return any(name.startswith(f"{root.rstrip('/')}/") for root in roots)
    return not os.access(named(path).file, os.F_OK)


def _local(path: Path, top: Path) -> Source:
    place, facts = path.resolve(), named(path).file.stat()
    # without `..`, which is no folder, and with links, whose names may be columns
    written, named_top = (Path(os.path.abspath(each)) for each in (path, top))  # noqa: PTH100
    parts = _parts(written, named_top)
    return Source(str(place), "", str(place), facts.st_size, f"{facts.st_size}-{facts.st_mtime_ns}", parts)


def _parts(path: PurePath, top: PurePath) -> tuple[tuple[str, str | None], ...]:
    """What the folders of a path say, as Hive, Spark and pyarrow write columns into them.

    Whether a part of such a tree is named or all of it, a file has the same columns.
    """
    pairs = [folder.partition("=") for folder in path.parts[:-1]]
    begin = min(len(top.parts), len(pairs))
    while begin and pairs[begin - 1][0] and pairs[begin - 1][1]:
        begin -= 1
    return tuple(
        (key, None if value == _NULL else unquote(value)) for key, equals, value in pairs[begin:] if key and equals
    )


def _fuller(one: Source, other: Source) -> Source:
    """Of a file that two names lead to, that with more columns of its folders."""
    less, more = sorted((one, other), key=lambda source: len(source.parts))
    if {*less.parts} <= {*more.parts}:
        return more
    first, second = (", ".join(f"{key}={value}" for key, value in source.parts) for source in (one, other))
    raise DataError(f"{one.name}: is named twice, in folders {first} and {second}, by a link; name it by one of them")


def _remote(url: str) -> tuple[list[Source], dict[str, str]]:
    fs = require("pyarrow.fs", EXTRA, "reading a store")
    try:
        store, path = _filesystem(url)
        (entry,) = store.get_file_info([path])
        if entry.type == fs.FileType.Directory:
            entries = store.get_file_info(fs.FileSelector(path, recursive=True))
            known = [e for e in entries if e.type == fs.FileType.File and not _hidden(e.path, path)]
        elif entry.type == fs.FileType.File:
            known = [entry]
        else:
            raise DataError(f"{url}: no such file or folder")
    except OSError as error:
        raise DataError(f"{url}: cannot be read: {_said(error)}") from error
    sources, skipped = [], {}
    for e in known:
        name = url if len(known) == 1 and e.path == path else f"{url.rstrip('/')}/{e.path[len(path) :].lstrip('/')}"
        stamp = f"{e.size}-{e.mtime_ns if e.mtime_ns is not None else ''}"
        parts = _parts(PurePosixPath(e.path), PurePosixPath(path))
        source = Source(name, url, e.path, int(e.size), stamp, parts)
        if source.ending in READERS:
            sources.append(source)
            continue
        if e is entry:
            raise DataError(f"{url}: unknown ending; known: {KNOWN}")
        skipped[name] = "unknown ending"
    return sources, skipped


def _hidden(path: str, root: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path[len(root) :]).parts)


@cache  # a store of fsspec closes its files when nobody holds it, and connecting takes time
def _filesystem(url: str) -> tuple[Any, str]:
    """A pyarrow file system and the path in it; fsspec's where pyarrow knows no such scheme."""
    fs = require("pyarrow.fs", EXTRA, "reading Parquet in parts")
    if not url:
        return fs.LocalFileSystem(), ""
    try:
        store, path = fs.FileSystem.from_uri(url)
        return store, str(path)
    except ValueError:  # ArrowInvalid is one: an unknown scheme
        fsspec = require("fsspec", EXTRA, f"reading {url.partition(':')[0]}")
    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise DataError(f"{url}: {_said(error)}; name a path or a URL whose store is installed") from error
    return fs.PyFileSystem(fs.FSSpecHandler(store)), str(path)


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
