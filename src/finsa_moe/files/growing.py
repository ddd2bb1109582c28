"""Files that only grow, by whole lines that outlive a crash.

It knows nothing of what the lines say, nor who may write them: what is at the end of a file that a crash cut short is
for its owner to judge.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says of a write that there is no room for; Windows knows no quotas."""


def append(file: BinaryIO, content: bytes) -> None:
    """Put lines at a file's end: on disk when this returns, or not there at all where it raises.

    Killed on the way it leaves a part of them, the torn end.

    Args:
        file: Open to append (``"ab"``), with nothing of its own to be flushed; none other writes to it meanwhile.
        content: The lines.

    Raises:
        OSError: If they cannot be written.
    """
    place = file.fileno()
    size = os.fstat(place).st_size
    try:
        rest = memoryview(content)
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(place, rest) :]
        os.fsync(place)
        if not size:  # whoever made the file has not yet made the folder's entry sure
            _sync(Path(file.name).parent)
    except OSError:
        with suppress(OSError):
            os.ftruncate(place, size)
        raise


def _sync(folder: Path) -> None:
    if os.name == "posix":  # a folder cannot be opened elsewhere
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
