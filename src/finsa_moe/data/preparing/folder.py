"""An output folder that appears whole or not at all, and replaces an older one without touching what others put there.

The files are written into a hidden sibling, which takes the folder's place by renaming at the end. It knows the names
of the files it may replace and nothing of what they hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from finsa_moe.errors import DataError


@contextmanager
def written_whole(out: Path, ours: Collection[str]) -> Iterator[Path]:
    """Give a fresh folder to write into; when the block ends without an error, it becomes `out`.

    Args:
        out: The folder to make or to replace. Entries of an older `out` that are not in `ours` are carried over.
        ours: Names of the files that the block writes.

    Raises:
        DataError: If the folder cannot be made there.
    """
    out = out.resolve()
    partial, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    try:
        _recover(out, old, ours)
        shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
        partial.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    try:
        yield partial
        if out.exists():
            out.rename(old)
        try:
            partial.rename(out)
        finally:
            _recover(out, old, ours)
    except OSError as error:
        stands = f"the next run ends what stands in {old}" if old.exists() else "nothing was replaced"
        raise DataError(f"{out}: cannot be written: {error.strerror or error}; {stands}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _recover(out: Path, old: Path, ours: Collection[str]) -> None:
    """Finish a swap: what was not ours in the old folder moves to the new one; without a new one the old comes back."""
    if not old.exists():
        return
    if not out.exists():
        old.rename(out)
        return
    for entry in sorted(old.iterdir()):
        if entry.name in ours:
            entry.unlink()
        else:
            entry.rename(out / entry.name)
    old.rmdir()
