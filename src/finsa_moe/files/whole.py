"""Files and folders that appear whole or not at all: written beside their place under another name, then renamed.

Of two runs that write one the last to end stands. It knows nothing of what is written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from finsa_moe.errors import DataError
from finsa_moe.files.held import locked_folder


def beside(path: Path) -> Path:
    """A name in `path`'s folder that nothing has, for what shall be renamed to `path` when it is whole."""
    # a long name leaves no room for an ending
    return path.with_name(f".{path.name[:40]}.{os.urandom(4).hex()}.part")


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Give the name of a file to write; when the block ends without an error, it takes the place of `path`.

    Args:
        path: The file to make or to replace; where it is a link, the file it leads to.

    Raises:
        DataError: If it cannot be written there.
    """
    real = Path(os.path.realpath(path))  # `resolve` has an error of its own for links that go round
    part = beside(real)
    try:
        yield part
        part.replace(real)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror or error}; make room there, or name another file"
        ) from error
    finally:
        with suppress(OSError):  # what went wrong first is told
            part.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """As `whole_path`, with the file open for bytes.

    Raises:
        DataError: If it cannot be written there.
    """
    with whole_path(path) as part, part.open("xb") as file:
        yield file


def write(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all; words as UTF-8.

    Raises:
        DataError: If it cannot be written.
    """
    with whole_file(path) as file:
        # half an emoji, as scraped posts have them, cannot be written: it becomes a question mark
        file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target` to fill and to rename; where it still is when the block ends, it goes.

    What killed runs left there goes first. A folder that a live run fills is held by it and stays.

    Args:
        target: The folder to come; that it lies in is made.

    Raises:
        OSError: As the block does; one that names no file, as of a full disk, names the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    begins = f".{target.name[:40]}.tmp"  # a long name leaves no room for an ending
    for left in list(target.parent.iterdir()):
        if re.fullmatch(re.escape(begins) + "[0-9a-f]+", left.name) and left.is_dir():
            with locked_folder(left, shared=False) as forsaken:
                if forsaken:
                    shutil.rmtree(left, ignore_errors=True)
    while True:
        working = target.with_name(begins + os.urandom(4).hex())
        working.mkdir()
        with locked_folder(working, shared=True):
            if not working.exists():  # another run took it for one that was left, before it was held
                continue
            try:
                yield working
            except OSError as error:
                error.filename = error.filename or str(target)
                raise
            finally:
                shutil.rmtree(working, ignore_errors=True)
            return


@contextmanager
def whole_folder(target: Path, replaces: Callable[[str], bool] = lambda _: True) -> Iterator[Path]:
    """Give a new folder to fill; when the block ends without an error, it takes the place of `target`.

    Killed at any moment it leaves the old folder or the new one whole: under `target`, or between two renames the old
    one as ``.NAME.old`` beside it, which the next call takes back, or `settle_folder`.

    Args:
        target: The folder to make or to replace.
        replaces: Whether the new folder replaces an entry of an older one, by its name; the others are carried over.

    Raises:
        OSError: As the block does, or the renames; it names the target where it names nothing else.
    """
    target = target.resolve()  # `.` has no name to put another beside
    settle_folder(target, replaces)
    with working_folder(target) as working:
        yield working
        stands_in = target.exists() and target.samefile(".")
        if target.exists():
            target.replace(aside_of(target))
        try:
            working.replace(target)
        finally:
            settle_folder(target, replaces)
    if stands_in:  # or this process would be left in the old one, which is gone
        os.chdir(target)


def settle_folder(target: Path, replaces: Callable[[str], bool] = lambda _: True) -> None:
    """Finish what a killed `whole_folder` left: the old folder comes back, or what is carried over of it moves.

    Raises:
        OSError: If an entry cannot be moved; the next call goes on.
    """
    aside = aside_of(target)
    if not aside.exists():
        return
    if not target.exists():
        aside.replace(target)
        return
    for entry in sorted(aside.iterdir()):
        if not replaces(entry.name) and not (target / entry.name).exists():
            entry.replace(target / entry.name)
    shutil.rmtree(aside)


def aside_of(target: Path) -> Path:
    """Where the folder that `whole_folder` replaces stands between two renames."""
    return target.with_name(f".{target.name}.old")
