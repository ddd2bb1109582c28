"""Files and folders in, one table of rows with a known polarity out, beside it every refused row with its reason.

A row is refused when it cannot be read, its text is empty or its label unknown; nothing is guessed and nothing dropped:
rows in = rows kept + rows refused. It does not know of splits, and it leaves the text as written (`text.normalise` is
for whoever compares or models it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.formats import find_files, load_frame, read_batches
from finsa_moe.data.reading.ids import name_rows
from finsa_moe.data.reading.rows import EMPTY
from finsa_moe.data.reading.usable import Source, judged
from finsa_moe.errors import DataError
from finsa_moe.polarity import LabelMap

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Table:
    """The rows of some files.

    Attributes:
        frame: The rows kept: ``id`` (unique), ``given`` (the id that each came with, where any was changed), ``text``
            (as written), ``label`` (利空, 中性 or 利好; null only where none was needed), ``domain``, ``date`` and
            ``source_id`` where a file has them, and ``file`` and ``line`` where the row starts.
        rejects: The rows refused: ``file, line, reason, id, text, label`` as found.
        sources: The files read.
        skipped: Files met in a folder and left out, with the reason.
        ids: How many ids were ``made`` for rows without one, and ``changed`` because another row had the same.
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame
    sources: list[Source]
    skipped: dict[str, str]
    ids: dict[str, int]

    @property
    def rows_in(self) -> int:
        """Rows met in all files; equals the rows kept plus the rows refused."""
        return sum(source.rows for source in self.sources)

    @property
    def first_reject(self) -> str:
        """Where the first refused row stands and why it was refused; empty where none was."""
        return _first(self.rejects) if self.rejects.height else ""

    def check(self, remedy: str = "mend or drop them", *, allow_rejects: bool = False) -> None:
        """Refuse a table without rows, or one that lacks some: a score without them would be of another set.

        Args:
            remedy: What to do about rows that cannot be used.
            allow_rejects: Whether such rows may be missing.

        Raises:
            DataError: Naming the first such row and how many there are.
        """
        if self.rejects.height and not allow_rejects:
            raise DataError(
                f"{self.first_reject} ({self.rejects.height:,} of {self.rows_in:,} rows cannot be used); {remedy}"
            )
        if not self.frame.height:
            files = ", ".join(str(source.path) for source in self.sources)
            raise DataError(f"{files}: no row that can be used; name a file of labelled rows")


def read_rows(
    sources: Sequence[Path],
    columns: Columns,
    labels: LabelMap,
    domain: str | None,
    *,
    need_label: bool = True,
    progress: Progress | None = None,
) -> Table:
    """Read labelled rows from files and folders of any known format.

    Args:
        sources: Files and folders.
        columns: The user's names of the columns.
        labels: The user's spelling of the classes, beside the usual words.
        domain: The rows' domain; None takes a file's own ``domain`` column, null where there is none.
        need_label: Whether a row without a known label is refused; if not, its label is null.
        progress: Called with the files done and the files in all.

    Raises:
        DataError: If a source or a column is missing, or a file cannot be read at all.
    """
    found = find_files(sources)
    read: list[Source] = []
    kept, refused = [], []

    def done(source: Source) -> None:
        read.append(source)
        if progress is not None:
            progress(len(read), len(found.files))

    for part in judged(found.files, columns, labels, done, need_label=need_label):
        kept.append(part.kept)
        refused.append(part.refused)
    frame = pl.concat(kept)
    if domain is not None:
        frame = frame.with_columns(domain=pl.lit(domain))
    frame = frame.drop(name for name in ("date", "source_id", "by") if frame[name].null_count() == frame.height)
    given = frame["id"].str.strip_chars()
    frame, ids = name_rows(frame)
    if ids["changed"]:
        frame = frame.with_columns(given=given)
    named = ("id", "given", "text", "label", "domain", "date", "source_id", "file", "line")
    return Table(
        frame.select(name for name in named if name in frame.columns), pl.concat(refused), read, found.skipped, ids
    )


def read_texts(files: Sequence[Path], text: str | None = None) -> list[str]:
    """The texts of files, labelled or not, as written; none of no file. An empty text is none.

    Args:
        files: Files and folders.
        text: The user's name of their column; a file that has none of that name is read by the usual ones.

    Raises:
        DataError: If a file is missing, has no such column or cannot be read; if a row cannot, as a text held out that
            nobody read would be learnt.
    """
    if not files:
        return []
    table = read_rows(files, Columns(text=text, loose=True), LabelMap(), None, need_label=False)
    unread = table.rejects.filter(pl.col("reason") != EMPTY)
    if unread.height:
        raise DataError(
            f"{_first(unread)} ({unread.height:,} of {table.rows_in:,} rows cannot be read, whose texts would be "
            "missed); mend or drop them"
        )
    texts: list[str] = table.frame["text"].to_list()
    return texts


def _first(rejects: pl.DataFrame) -> str:
    first = rejects.row(0, named=True)
    return f"{first['file']}, line {first['line']}: {first['reason']}"


def read_frame(path: Path) -> pl.DataFrame:
    """All rows and columns of one file, in order: strings, but for Parquet and Arrow, which keep their types.

    Raises:
        DataError: If the file, or any row of it, cannot be read; the message names the first such row.
    """
    found = find_files([path]).files
    if found != [path]:
        raise DataError(f"{path}: a folder; name one file")
    frame = load_frame(path)
    if frame is not None:
        return frame
    parts = []
    for batch in read_batches(path):
        if batch.broken:
            first = batch.broken[0]
            raise DataError(f"{path}, line {first.line}: {first.reason}; mend the row")
        parts.append(pl.DataFrame(batch.rows, schema=dict.fromkeys(batch.names, pl.String), orient="row"))
    return pl.concat(parts, how="diagonal")
