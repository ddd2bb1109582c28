"""What an annotator did, key by key, in a file that only grows; the labels are what it comes to.

An action is on disk before it counts: one line of JSON, flushed to the device. A line that a crash cut short is dropped
when the journal is opened again. It knows ids and labels, and nothing of texts or pages.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from finsa_moe.errors import DataError
from finsa_moe.files import append
from finsa_moe.polarity import NAMES

Do = Literal["label", "skip", "note", "undo"]
_BEGINNING = b'{"do": "'


@dataclass(frozen=True)
class Action:
    """One key pressed.

    Attributes:
        do: ``label``, ``skip`` and ``note`` speak of a row; ``undo`` takes back the last of the first two that stands.
        id: The row's id; of an undo, that of the row it gives back.
        label: With ``label``: 利空, 中性 or 利好.
        note: With ``note``: its text; an empty one takes the note away.
        time: UTC, ISO 8601, whole seconds.
        text: A short hash of the row's text, so that a label never moves to another text of the same id.
        annotator: Who pressed it; empty where nobody was named.
    """

    do: Do
    id: str
    label: str = ""
    note: str = ""
    time: str = ""
    text: str = ""
    annotator: str = ""


@dataclass(frozen=True)
class Mark:
    """What a row has come to: its label (empty for a skipped one) and when."""

    label: str
    time: str


class Journal:
    """The actions of one annotator on one file.

    Args:
        path: The journal; made when the first action is added.
        known: Texts of the file's rows by their id.
        annotator: Whose actions they are; empty where nobody is named. A journal that names nobody is anybody's.

    Raises:
        DataError: If it cannot be read, is damaged or another annotator's, or speaks of rows or texts that the file
            does not have.
    """

    def __init__(self, path: Path, known: Mapping[str, str], annotator: str = "") -> None:
        self.path, self.annotator = path, annotator
        self._hashes = {name: _hash(text) for name, text in known.items()}
        self.marks: dict[str, Mark] = {}
        self.notes: dict[str, str] = {}
        # ``label`` or ``note``, the row, what; also what stands no longer
        self.given: set[tuple[str, str, str]] = set()
        self._before: list[tuple[str, Mark | None]] = []
        for line, action in enumerate(self._read(), 1):
            if action.annotator and action.annotator != annotator:
                raise DataError(
                    f"{path}, line {line}: these are {action.annotator}'s labels; name another --out, or --annotator "
                    f"{action.annotator} to go on with them"
                )
            if action.id not in self._hashes:
                raise DataError(
                    f"{path}, line {line}: no row {action.id!r} in the file to be labelled; it belongs to another file "
                    "or the file has changed: name the right one, or move this journal away to begin anew"
                )
            if action.text and action.text != self._hashes[action.id]:
                raise DataError(
                    f"{path}, line {line}: row {action.id!r} had another text; the file to be labelled has changed: "
                    "bring the old one back, or move this journal away to begin anew"
                )
            if action.do == "undo" and not self._before:
                raise DataError(f"{path}, line {line}: nothing to undo; name another file")
            self._apply(action)

    def add(self, do: Do, row: str = "", *, label: str = "", note: str = "") -> Action | None:
        """Do something, on disk first.

        Args:
            do: What.
            row: Id of the row; not used by an undo.
            label: See `Action`.
            note: See `Action`.

        Returns:
            The action; None for an undo where nothing is left to take back.

        Raises:
            DataError: If it cannot be written; then nothing has changed.
        """
        if do == "undo":
            if not self._before:
                return None
            row = self._before[-1][0]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        action = Action(do, row, label, note, now, self._hashes.get(row, ""), self.annotator)
        words = {name: value for name, value in asdict(action).items() if value}
        line = json.dumps(words, ensure_ascii=False) + "\n"
        self._append(line.encode("utf-8", "ignore"))
        self._apply(action)
        return action

    def _append(self, line: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                append(file, line)
        except OSError as error:
            said = error.strerror or error
            raise DataError(f"{self.path}: cannot be written: {said}; this key was not saved") from error

    def _apply(self, action: Action) -> None:
        self.given.add((action.do, action.id, action.label or action.note))
        if action.do == "note":
            if action.note:
                self.notes[action.id] = action.note
            else:
                self.notes.pop(action.id, None)
        elif action.do == "undo":
            row, before = self._before.pop()
            if before is None:
                self.marks.pop(row, None)
            else:
                self.marks[row] = before
        else:
            self._before.append((action.id, self.marks.get(action.id)))
            self.marks[action.id] = Mark(action.label, action.time)

    def _read(self) -> list[Action]:
        if not self.path.exists():
            return []
        try:
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            found = [_parsed(line, at, self.path) for at, line in enumerate(content[:whole].splitlines(), 1)]
            if torn := content[whole:]:
                # Only a line of ours is cut off: the file may be another program's.
                if torn[: len(_BEGINNING)] != _BEGINNING[: len(torn)]:
                    where = f"{self.path}, line {len(found) + 1}"
                    raise DataError(f"{where}: not a line of a labelling journal; name another file")
                os.truncate(self.path, whole)
            return found
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}") from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "ignore")).hexdigest()[:12]


def _parsed(line: bytes, at: int, path: Path) -> Action:
    try:
        action = Action(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}, line {at}: not a line of a labelling journal ({error}); name another file") from None
    if action.do not in ("label", "skip", "note", "undo") or (action.do == "label" and action.label not in NAMES):
        raise DataError(f"{path}, line {at}: {action.do} {action.label!r} is no action; mend or move the journal away")
    return action
