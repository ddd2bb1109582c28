"""A prepared folder as a model notes it: its path as typed, and a mark of its rows, by which it is known again.

Such a path may lead elsewhere from another working folder, or to a folder that was made anew since; the mark tells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.files import sha256


def mark_of(folder: Path) -> str:
    """16 hexadecimal digits of SHA-256 over what is learnt from and chosen by: ``train.csv`` and ``valid.csv``.

    Empty where one of them is missing.
    """
    files = [folder / f"{split}.csv" for split in ("train", "valid")]
    if not all(file.is_file() for file in files):
        return ""
    return hashlib.sha256(b"".join(bytes.fromhex(sha256(file)) for file in files)).hexdigest()[:16]


@dataclass(frozen=True)
class Noted:
    """What a model says of a folder it was trained on.

    Attributes:
        folder: As its user typed it.
        rows: The mark of its rows then; None in models that noted the folder alone.
    """

    folder: Path
    rows: str | None

    @classmethod
    def of(cls, folder: Path) -> Noted:
        """The note of a folder as it stands now."""
        return cls(folder, mark_of(folder))

    @classmethod
    def read(cls, note: object) -> Noted:
        """A note as it stands in JSON: an object, or the path alone."""
        if isinstance(note, dict):
            return cls(Path(str(note.get("folder", ""))), note.get("rows"))
        return cls(Path(str(note)), None)

    def as_dict(self) -> dict[str, str | None]:
        """The note for JSON."""
        return {"folder": str(self.folder), "rows": self.rows}

    def lost(self) -> str | None:
        """Why no rows can be taken from there for those trained on; None where they can."""
        if not self.folder.is_dir():
            return "no such folder here"
        return "other rows now" if self.rows is not None and self.rows != mark_of(self.folder) else None
