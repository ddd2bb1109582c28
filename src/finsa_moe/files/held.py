"""Files and folders that one run holds while they grow, so that no other spoils them.

Where nobody can tell, as on Windows, all are taken as free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from finsa_moe.errors import FinSAError


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


@contextmanager
def locked_folder(folder: Path, *, shared: bool) -> Iterator[bool]:
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
