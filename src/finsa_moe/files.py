"""Files and folders that no other run can spoil: those that appear whole or not at all, and those held while they grow.

A whole one is written beside its target under a name of its own and renamed at the end, so that of two runs the last
to end stands. Of formats it knows one: what says of a folder what it is, a JSON object.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from finsa_moe.errors import DataError, FinSAError, ModelError

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says of a write that there is no room for; Windows knows no quotas."""


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
            with _locked_folder(left, shared=False) as forsaken:
                if forsaken:
                    shutil.rmtree(left, ignore_errors=True)
    while True:
        working = target.with_name(begins + os.urandom(4).hex())
        working.mkdir()
        with _locked_folder(working, shared=True):
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


@contextmanager
def _locked_folder(folder: Path, *, shared: bool) -> Iterator[bool]:
    """Lock a folder for the block, and say whether it surely is: `shared` with others that do, else alone or not."""
    try:
        place = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, not ours, or on Windows
        yield False
        return
    try:
        yield _lock(place, shared=shared, wait=shared) is True
    finally:
        os.close(place)


def hold(file: BinaryIO, *, wait: bool = False) -> bool:
    """Take an open file for this run alone, until it is closed or the process ends; False if another run holds it.

    Where nobody can tell, as on Windows, it is taken.

    Args:
        file: Open, its content looked at only once it is held.
        wait: Wait until nobody else holds it.
    """
    return _lock(file.fileno(), wait=wait) is not False


def locked(path: Path, taken: FinSAError) -> BinaryIO:
    """Open a file, made if need be, and `hold` it until it is closed.

    Who takes the file away does so before closing it: let go first, another run could hold what is gone then.

    Args:
        path: The file.
        taken: Raised where another run holds it, or has just taken it away.

    Returns:
        The file, to be read from its start and written at its end.

    Raises:
        OSError: If it cannot be opened.
    """
    file = path.open("a+b")
    if hold(file) and path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return file
    file.close()
    raise taken


def _lock(place: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file or folder until it is closed: whether it is locked now; None where nobody can tell."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    try:
        fcntl.flock(place, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, as some clusters have
        return None
    return True


def read_json(
    path: Path,
    remedy: str = "restore it from where the folder was made",
    *,
    absent: dict[str, Any] | None = None,
    error: type[FinSAError] = ModelError,
) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: The file.
        remedy: What to do where it cannot be read, told in the error.
        absent: What it is where there is no such file; None: an error.
        error: Of which kind the error is.

    Raises:
        FinSAError: As `error` says, if it is missing or no JSON object.
    """
    return _read_json(path, remedy, absent, error)[0]


def read_json_and_sha256(path: Path, remedy: str) -> tuple[dict[str, Any], str]:
    """As `read_json`, with the SHA-256 of the same bytes, in hexadecimal, whoever replaces the file meanwhile.

    Raises:
        ModelError: If it is missing or no JSON object.
    """
    value, content = _read_json(path, remedy, None, ModelError)
    return value, hashlib.sha256(content).hexdigest()


def _read_json(
    path: Path, remedy: str, absent: dict[str, Any] | None, error: type[FinSAError]
) -> tuple[dict[str, Any], bytes]:
    """What `read_json` gives, and the bytes that it was read from."""
    try:
        content = path.read_bytes()
        value = json.loads(content.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if absent is not None:
            return absent, b""
        raise error(f"{path}: missing; {remedy}") from None
    except OSError as refused:
        raise error(f"{path}: cannot be read ({refused.strerror}); {remedy}") from None
    except ValueError as damage:  # no JSON, or no UTF-8
        raise error(f"{path}: damaged, no JSON object ({damage}); {remedy}") from None
    if not isinstance(value, dict):
        raise error(f"{path}: damaged, no JSON object but a {type(value).__name__}; {remedy}")
    return value, content


def sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal, read piece by piece.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
