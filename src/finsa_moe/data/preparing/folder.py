"""An output folder that appears whole or not at all, with errors that speak of ``--out``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from finsa_moe.errors import DataError
from finsa_moe.files import aside_of, whole_folder


def refuse_mount(out: Path) -> None:
    """Refuse a folder to make that is a mount point.

    Raises:
        DataError: If it is one, or a link to one.
    """
    if out.resolve().is_mount():
        raise DataError(f"--out {out}: a mount point, which no folder can replace; name a folder within it")


@contextmanager
def written_whole(out: Path, replaces: Callable[[str], bool]) -> Iterator[Path]:
    """As `files.whole_folder`, with what cannot be written told as a fault of the choice of `out`.

    Args:
        out: The folder to make or to replace.
        replaces: Whether the new folder replaces an entry of an older one, by its name; the others are carried over.

    Raises:
        DataError: If the folder cannot be made there.
    """
    begun = False
    try:
        with whole_folder(out, replaces) as folder:
            begun = True
            yield folder
    except OSError as error:
        if not begun:
            stands = "choose another --out"
        else:
            old = aside_of(out.resolve())
            stands = f"the next run ends what stands in {old}" if old.exists() else "nothing was replaced"
        raise DataError(f"{out}: cannot be written: {error.strerror or error}; {stands}") from error


def made_by(folder: Path) -> object:
    """Which command a folder's ``report.json`` says has made it; None where none says so."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report.get("made_by") if isinstance(report, dict) else None
