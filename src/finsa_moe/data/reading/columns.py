"""Which columns of a file hold the text, the label, the id and the date.

A user's own names come first, then the usual ones (`usual`). It sees column names only, never a cell, and guesses
nothing: a column that is not found is an error that lists what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.data.reading.excel import other_sheets
from finsa_moe.data.reading.header import remedy
from finsa_moe.data.reading.usual import USUAL, fold
from finsa_moe.errors import DataError, closest


class MissingColumn(DataError):  # noqa: N818 - what is missing, not what went wrong
    """A column that a file does not have.

    Attributes:
        names: The columns that it has.
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = list(names)


@dataclass(frozen=True)
class Columns:
    """The user's own names of the columns; None leaves one to the usual names.

    Attributes:
        text: Column of the text, or several joined by a space: ``"title+body"``.
        label: Column of the label.
        id: Column of the row's id.
        date: Column of the row's date or time.
        by: Column whose equal values keep their rows together; there is no usual name for it.
        loose: Whether a file without a column named here is read by the usual names: for files that stand beside
            those it was named for.
    """

    text: str | None = None
    label: str | None = None
    id: str | None = None
    date: str | None = None
    by: str | None = None
    loose: bool = False


@dataclass(frozen=True)
class Resolved:
    """Positions of the columns of one file; None where the file has no such column."""

    text: tuple[int, ...]
    label: int | None
    id: int | None
    date: int | None
    domain: int | None
    source_id: int | None
    by: int | None

    def single(self) -> dict[str, int | None]:
        """The positions of all kinds but the text, by kind."""
        return {
            "label": self.label, "id": self.id, "date": self.date, "domain": self.domain,
            "source_id": self.source_id, "by": self.by,
        }  # fmt: skip


def find_column(
    names: Sequence[str], kind: str, given: str | None, path: Path | str, *, loose: bool = False
) -> int | None:
    """Position of the column of one kind among a file's column names.

    Args:
        names: The file's column names, in order.
        kind: One of `USUAL`.
        given: The user's own name for it, if any; matched exactly, else whatever the case.
        path: The file, for the error.
        loose: Whether a usual name does where the given one is no column.

    Returns:
        The position, or None when no name was given and no usual one is there.

    Raises:
        MissingColumn: If the given name is no column of the file.
    """
    folded = [fold(name) for name in names]
    usual = next((folded.index(usual) for usual in USUAL[kind] if usual in folded), None)
    if given is None:
        return usual
    if given in names:
        return list(names).index(given)
    if fold(given) in folded:
        return folded.index(fold(given))
    if loose and usual is not None:
        return usual
    near = closest(given, list(names))
    raise MissingColumn(f"{path}: no column {given!r}{near}; {_remedy(names, kind, path)}", names)


def find_text(names: Sequence[str], given: str | None, path: Path | str, *, loose: bool = False) -> tuple[int, ...]:
    """Positions of the columns whose cells, joined by a space, are the text.

    Where a part of a joined name is no column, `loose` takes a usual name for the whole.

    Raises:
        MissingColumn: If there is no such column.
    """
    if given is not None and given not in names and "+" in given and given.strip(" +"):
        parts = [part.strip() for part in given.split("+")]
        try:
            found = [find_column(names, "text", part, path) for part in parts if part]
        except DataError:
            usual = find_column(names, "text", None, path) if loose else None
            if usual is None:
                raise
            found = [usual]
    else:
        found = [find_column(names, "text", given, path, loose=loose)]
    return tuple(_need(position, names, "text", path) for position in found)


def resolve(
    names: Sequence[str], columns: Columns, path: Path | str, *, need_label: bool = True,
    before: Resolved | None = None, more: bool = False,
) -> Resolved:  # fmt: skip
    """Positions of all columns of one file.

    Args:
        names: The file's column names, in order.
        columns: The user's names of the columns.
        path: The file, for the error.
        need_label: Whether there must be a label.
        before: What was found among fewer of the names: it stands, and only what was not there is looked for.
        more: Whether further names may come, so that only the text must be there.

    Raises:
        MissingColumn: If the text, or a needed label, or a column named by the user, is not there.
    """
    loose, known = columns.loose, before.single() if before else {}

    def find(kind: str, given: str | None = None, *, loose: bool = False, need: bool = False) -> int | None:
        if (place := known.get(kind)) is not None:
            return place
        try:
            place = find_column(names, kind, given, path, loose=loose)
            return _need(place, names, kind, path) if need else place
        except DataError:
            if more:
                return None
            raise

    return Resolved(
        text=before.text if before else find_text(names, columns.text, path, loose=loose),
        label=find("label", columns.label, loose=loose, need=need_label),
        id=find("id", columns.id, loose=loose),
        date=find("date", columns.date, loose=loose),
        domain=find("domain"),
        source_id=find("source_id"),
        by=find("by", columns.by),
    )


def _need(position: int | None, names: Sequence[str], kind: str, path: Path | str) -> int:
    if position is None:
        raise MissingColumn(f"{path}: no {kind} column; {_remedy(names, kind, path)}", names)
    return position


def _remedy(names: Sequence[str], kind: str, path: Path | str) -> str:
    file = Path(path)
    return f"columns found: {listed(names) or 'none'}; {remedy(names, kind, file)}{other_sheets(file)}"


def listed(names: Sequence[str]) -> str:
    """Column names for an error: a file without a header shows whole sentences here, so they are cut short."""
    shown = [name if len(name) <= 24 else name[:23] + "…" for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
