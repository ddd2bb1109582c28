"""A service's own folders under the system's temporary one: held while it lives, else removed by a later start.

Nothing here knows what lies in them.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from finsa_moe.files import locked_folder

SPOOL, COUNTS = "finsa-serve-", "finsa-counts-"
YOUNG = 60.0
"""Seconds for which a folder that nobody holds may be one that somebody is about to hold."""


@contextmanager
def own_folder(prefix: str) -> Iterator[str]:
    """A new folder for the block, held against `remove_dead`."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name, locked_folder(Path(name), shared=True):
        yield name


def remove_dead() -> None:
    """Remove what services that were killed have left: clients' files and counts.

    A folder stays where nobody can tell whether it is held; another user's does, as the system has it.
    """
    for folder in Path(tempfile.gettempdir()).iterdir():
        if not folder.name.startswith((SPOOL, COUNTS)):
            continue
        with suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < YOUNG:
                continue
            with locked_folder(folder, shared=False) as alone:
                if alone:
                    shutil.rmtree(folder, ignore_errors=True)
