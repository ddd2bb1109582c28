"""One annotator's desk: the rows of a file, what has been said of them, and the file of labels that comes of it.

Keys come in as calls, what the page shows goes out as plain dicts; every call leaves journal and labels on disk. It
knows nothing of HTTP.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from finsa_moe.data.reading.rows import cell
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import locked
from finsa_moe.labelling.journal import Journal
from finsa_moe.labelling.sheet import Row
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.rows import read
from finsa_moe.runtime.writers import Writer

COLUMNS = ("id", "text", "label", "note", "annotator", "labelled_at")
"""Of the file of labels."""
NOTE = 2_000
"""Characters of the longest note."""
_KEEP = "the file would be replaced: rename it to keep it, start again, and give on the page what was changed by hand"


class Desk:
    """Labels as they are given; safe to share between threads.

    Args:
        source: The file the rows are from; the names of journal and labels are made from it.
        rows: Its rows.
        annotator: Whose labels these are; None where nobody else labels this file.
        out: The file of labels, CSV, TSV, JSON lines or Parquet; None: beside the source, ``F.labels.csv`` or
            ``F.labels.NAME.csv``.
        bom: Whether CSV starts with a byte order mark.

    Raises:
        ConfigError: If the annotator's name cannot be part of a file's name.
        DataError: If there is a journal of other rows or of another annotator, or another desk writes it; if the file
            of labels was changed by hand, or cannot be written.
    """

    def __init__(
        self, source: Path, rows: Sequence[Row], annotator: str | None = None, out: Path | None = None, *,
        bom: bool = False,
    ) -> None:  # fmt: skip
        if annotator is not None and not re.fullmatch(r"[\w-]{1,40}", annotator):
            raise ConfigError(f"--annotator {annotator!r}: allowed are up to 40 letters, digits, '_' and '-'")
        self.source, self.rows, self.annotator = source, list(rows), annotator
        self._bom = bom
        name = f"{source.stem}.labels" + (f".{annotator}" if annotator else "")
        self.out = out or source.with_name(f"{name}.csv")
        if source.exists() and self.out.exists() and self.out.samefile(source):
            raise ConfigError(f"{self.out}: --out is the file to be labelled itself; name another")
        journal = self.out.with_suffix(".journal")
        self._held, self._began = _hold(journal), journal
        try:
            self.journal = Journal(journal, {row.id: row.text for row in rows}, annotator or "")
            if self.out.exists() and not journal.stat().st_size:
                raise DataError(
                    f"{self.out}: labels stand there without the journal they were made with ({journal.name}), and "
                    "would be replaced; name another --out"
                )
            if self.out.exists() and self.out.stat().st_size:
                _check_given(self.out, self.journal)
            self._save()  # a crash may have come between the journal's line and this file
        except DataError:
            self._leave()
            raise
        self._place = {row.id: at for at, row in enumerate(self.rows)}
        self._lock = threading.Lock()
        self._unsaved = ""
        self._again = False  # whether the skipped rows are gone through once more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave()

    def act(self, do: str, row: str = "", label: str = "", note: str = "") -> dict[str, object]:
        """Do what a key asks for, and tell what to show next.

        A label or a skip goes on to the next row that has neither, after this one first, and after ``again``, where
        there is none, to the next that was skipped; an undo shows its row again.
        Where the journal took the key and the file of labels cannot be written, ``warning`` says so.

        Args:
            do: ``label``, ``skip``, ``note``, ``undo``; or what changes nothing: ``show``, and ``again``, which goes
                through the skipped rows once more.
            row: Id of the row it speaks of; of ``show``, any row, or empty for the next that has no label.
            label: 利空, 中性 or 利好.
            note: A note of up to `NOTE` characters.

        Raises:
            DataError: If row, label or note cannot be, or the journal cannot be written; then nothing has changed.
        """
        with self._lock:
            if do not in ("undo", "again") and not (do == "show" and not row) and row not in self._place:
                raise DataError(f"no row {row!r} in {self.source.name}")
            if do == "label" and label not in NAMES:
                raise DataError(f"{label!r} is no label; allowed are {', '.join(NAMES)}")
            if len(note) > NOTE:
                raise DataError(f"a note of {len(note):,} characters; allowed are {NOTE:,}")
            if do in ("show", "again"):
                self._again = do == "again"
                return self._view(self._place[row] if row else self._next(-1))
            if do == "label":
                self.journal.add("label", row, label=label)
            elif do == "skip":
                self.journal.add("skip", row)
            elif do == "note":
                self.journal.add("note", row, note=" ".join(note.split()))
            elif do == "undo":
                undone = self.journal.add("undo")
                if undone is None:
                    return self._view(self._next(-1))
            else:
                raise DataError(f"{do!r} is nothing to do")
            self._try_save()
            if do == "undo" and undone is not None:
                return self._view(self._place[undone.id])
            return self._view(self._place[row] if do == "note" else self._next(self._place[row]))

    @property
    def labelled(self) -> int:
        """Rows that have a label."""
        return sum(bool(mark.label) for mark in self.journal.marks.values())

    @property
    def skipped(self) -> int:
        """Rows passed over."""
        return len(self.journal.marks) - self.labelled

    @property
    def kept(self) -> str:
        """What stands on disk, in a sentence."""
        if self._unsaved:
            return self._unsaved
        if self.labelled:
            return f"labels in {self.out}: {self.labelled:,}"
        if not self.journal.path.stat().st_size:
            return "no label was given; nothing was written"
        notes = len(self.journal.notes)
        return (
            f"no label stands; {self.skipped:,} skipped rows and {notes:,} notes are kept in {self.journal.path}, and "
            "the same command goes on with them"
        )

    def _leave(self) -> None:
        """Let others at the journal, which goes where nothing stands in it."""
        with self._held, suppress(OSError):  # an open file cannot be taken away on Windows
            if not self._began.stat().st_size:
                self._began.unlink()

    def _next(self, after: int) -> int | None:
        """The first row past one, round the end, of which nothing has been said; None when there is none.

        While the skipped rows are gone through, the next of them instead.
        """
        marks, later = self.journal.marks, range(after + 1, len(self.rows))
        found = next((at for at in (*later, *range(after + 1)) if self.rows[at].id not in marks), None)
        if found is None and self._again:
            found = next((at for at in later if not marks[self.rows[at].id].label), None)
            self._again = found is not None
        return found

    def _view(self, at: int | None) -> dict[str, object]:
        counts = {
            "total": len(self.rows), "labelled": self.labelled, "skipped": self.skipped, "file": self.source.name,
            "annotator": self.annotator or "", "out": self.out.name, "path": shlex.quote(str(self.out)),
            "warning": self._unsaved,
        }  # fmt: skip
        if at is None:
            return {"done": True, "last": self.rows[-1].id, **counts}
        row = self.rows[at]
        mark = self.journal.marks.get(row.id)
        after = self.rows[at + 1].id if at + 1 < len(self.rows) else ""
        near = {"before": self.rows[at - 1].id if at else "", "after": after}
        said = {"label": mark.label if mark else "", "passed": bool(mark and not mark.label)}
        return {
            "done": False, "row": row.id, "text": row.text, "place": at + 1, "note": self.journal.notes.get(row.id, ""),
            "told": row.told, **said, **near, **counts,
        }  # fmt: skip

    def _try_save(self) -> None:
        """The labels, if their file can be written; else they are safe in the journal."""
        try:
            self._save()
            self._unsaved = ""
        except DataError as error:
            self._unsaved = (
                f"{error}; every key is safe in {self.journal.path.name}, and the labels are written at the next one, "
                "or when the same command is started again"
            )

    def _save(self) -> None:
        """The labels as a file that `finsa prepare` takes as it is: rows without a label are left out.

        Where there is neither a label nor a file, none is made.
        """
        if not self.labelled and not self.out.exists():
            return
        with Writer(self.out, COLUMNS, bom=self._bom) as out:
            marks, notes = self.journal.marks, self.journal.notes
            for row in self.rows:
                mark = marks.get(row.id)
                if mark is not None and mark.label:
                    out.write([[row.id, row.text, mark.label, notes.get(row.id), self.annotator, mark.time]])
            out.commit()


def _check_given(out: Path, journal: Journal) -> None:
    """Refuse a file of labels that was changed by hand, as it would be replaced by what was given on the page.

    That is one with another column, with a label or a note that was never given, or without a row whose label is older
    than one that stands there; a crash leaves out the latest alone.
    """
    there: set[str] = set()
    last = ""
    for batch in read(out):
        if added := [name for name in batch.names if name not in COLUMNS]:
            raise DataError(f"{out}: column {added[0]!r} is none of {', '.join(COLUMNS)}; {_KEEP}")
        at = {name: batch.names.index(name) for name in COLUMNS if name in batch.names}
        told = [(one.line, one.reason) for one in batch.broken]
        for row, line in zip(batch.rows, batch.lines, strict=True):
            name = cell(row, at.get("id"))
            there.add(name)
            last = max(last, cell(row, at.get("labelled_at")))
            for do in ("label", "note"):
                value = cell(row, at.get(do))
                if value and (do, name, value) not in journal.given:
                    told.append((line, f"{do} {value[:40]!r} of row {name!r} was not given on the page"))
        if told:
            line, what = min(told)
            raise DataError(f"{out}, line {line}: {what}; {_KEEP}")
    for name, mark in journal.marks.items():
        if mark.label and mark.time < last and name not in there:
            raise DataError(f"{out}: row {name!r}, which has the label {mark.label}, is not there; {_KEEP}")


def _hold(journal: Path) -> BinaryIO:
    """Keep other processes from a journal for as long as the file returned is open, or the process lives."""
    taken = f"{journal}: another `finsa label` is at work on it; use its page, or label under another --annotator"
    try:
        return locked(journal, DataError(taken))
    except OSError as error:
        raise DataError(f"{journal}: cannot be written: {error.strerror or error}; name another --out") from error
