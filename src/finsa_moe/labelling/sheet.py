"""The rows of a file that people label, or have labelled: whole, with columns that are found once.

A file in, its rows out; one that cannot be used is an error, as a row that is left out would be missed. It knows
nothing of labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.data.reading.columns import Columns, Resolved, resolve
from finsa_moe.data.reading.rows import Batch, cell, text_of
from finsa_moe.errors import DataError
from finsa_moe.runtime.rows import read

_SHOWN = ("guess", "confidence", "expert", "novelty", "why", "date")


@dataclass(frozen=True)
class Row:
    """A row to be labelled: its id, its text, and what a sample says of it by column."""

    id: str
    text: str
    told: dict[str, str]


def read_sheet(source: Path, text: str | None = None, id: str | None = None) -> list[Row]:  # noqa: A002
    """The rows of a file, in its order.

    Args:
        source: A file in any format the data room reads.
        text: The text column, or several as ``"title+body"``; None finds it by its usual names.
        id: The id column, likewise; without one rows are named by file and line.

    Raises:
        DataError: If the file cannot be read, has no text column, an empty text or an id twice.
    """
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for batch, at in sound_batches(source, Columns(text=text, id=id), need_label=False):
        told_at = {name: batch.names.index(name) for name in _SHOWN if name in batch.names}
        for row, line in zip(batch.rows, batch.lines, strict=True):
            words = text_of(row, at.text)
            name = cell(row, at.id) or f"{source.stem}-{line}"
            if not words:
                raise DataError(f"{source}, line {line}: the text is empty; drop the row")
            if name in seen:
                raise DataError(
                    f"{source}, line {line}: id {name!r} stands in line {seen[name]} as well; give every row its own, "
                    "or name another column by --id"
                )
            seen[name] = line
            rows.append(Row(name, words, {key: cell(row, place) for key, place in told_at.items()}))
    if not rows:
        raise DataError(f"{source}: no row to label")
    return rows


def sound_batches(path: Path, columns: Columns, *, need_label: bool = True) -> Iterator[tuple[Batch, Resolved]]:
    """The rows of a file in batches, each with where its columns are; one that was found stays the same to the end.

    Of JSON all but the text may come late.

    Raises:
        DataError: If the file cannot be read or lacks a column; of the first row that is broken, or whose text is none
            (`data.reading.rows.no_text`).
    """
    at = None
    for batch in read(path):
        at = resolve(batch.names, columns, path, need_label=need_label, before=at, more=batch.more)
        batch.set_apart(at.text)
        if batch.broken:
            first = min(batch.broken, key=lambda one: one.line)
            raise DataError(f"{path}, line {first.line}: {first.reason}; mend or drop the row")
        yield batch, at
