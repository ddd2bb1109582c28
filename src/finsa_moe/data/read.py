"""Files and folders in, one table of rows with a known polarity out, beside it every refused row with its reason.

A row is refused when it cannot be read, its text is empty or its label unknown; nothing is guessed and nothing dropped:
rows in = rows kept + rows refused. It does not know of splits, and it leaves the text as written (`text.normalise` is
for whoever compares or models it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from pathlib import Path

import polars as pl

from finsa_moe.data.columns import Columns, Resolved, resolve
from finsa_moe.data.formats import find_files, load_frame, read_batches
from finsa_moe.data.ids import name_rows
from finsa_moe.data.rows import BATCH_ROWS, Batch, Broken
from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
from finsa_moe.polarity import NAMES, LabelMap

__all__ = ["REJECTS", "Columns", "LabelMap", "Source", "Table", "read_frame", "read_rows", "read_texts"]

Progress = Callable[[int, int], None]

REJECTS = pl.Schema(
    {"file": pl.String, "line": pl.Int64, "reason": pl.String, "id": pl.String, "text": pl.String, "label": pl.String}
)
_CELLS = ("id", "text", "label", "domain", "date")
_RAW = pl.Schema({"file": pl.String} | dict.fromkeys(_CELLS, pl.String) | {"line": pl.Int64, "row": pl.Int64})


@dataclass(frozen=True)
class Source:
    """One file read: how many rows it holds and which of its columns were taken."""

    path: Path
    rows: int
    columns: dict[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of some files.

    Attributes:
        frame: The rows kept: ``id`` (unique), ``text`` (as written), ``label`` (利空, 中性 or 利好; null only where
            none was needed), ``domain``, ``date`` where a file has one, and ``file`` and ``line`` where the row starts.
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
    chunk, parts, read = _Chunk(), [], []
    for done, path in enumerate(found.files, 1):
        rows = broken = 0
        taken: dict[str, str] = {}
        for batch in read_batches(path):
            if batch.rows:
                where = resolve(batch.names, columns, path, need_label=need_label)
                taken = taken or _taken(where, batch.names)
                chunk.add(str(path), batch, where, rows)
            chunk.broken.extend((str(path), row) for row in batch.broken)
            rows, broken = rows + len(batch.rows), broken + len(batch.broken)
            if len(chunk) >= BATCH_ROWS:
                parts.append(chunk.judged(labels, need_label=need_label))
                chunk = _Chunk()
        read.append(Source(path, rows + broken, taken))
        if progress is not None:
            progress(done, len(found.files))
    parts.append(chunk.judged(labels, need_label=need_label))
    frame = pl.concat([kept for kept, _ in parts])
    if domain is not None:
        frame = frame.with_columns(domain=pl.lit(domain))
    if frame["date"].null_count() == frame.height:
        frame = frame.drop("date")
    frame, ids = name_rows(frame)
    order = [name for name in ("id", "text", "label", "domain", "date", "file", "line") if name in frame.columns]
    return Table(frame.select(order), pl.concat([refused for _, refused in parts]), read, found.skipped, ids)


def read_texts(files: Sequence[Path]) -> list[str]:
    """The texts of files, labelled or not, as written; none of no file."""
    if not files:
        return []
    texts: list[str] = read_rows(files, Columns(), LabelMap(), None, need_label=False).frame["text"].to_list()
    return texts


@dataclass
class _Chunk:
    """Cells gathered from any number of files, so that thousands of small files make few frames."""

    files: list[tuple[str, int]] = field(default_factory=list)
    cells: dict[str, list[str | None]] = field(default_factory=lambda: {name: [] for name in _CELLS})
    lines: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    broken: list[tuple[str, Broken]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines) + len(self.broken)

    def add(self, file: str, batch: Batch, where: Resolved, done: int) -> None:
        self.files.append((file, len(batch.rows)))
        self.lines += batch.lines
        self.rows += range(done + 1, done + 1 + len(batch.rows))
        if len(where.text) == 1:
            self.cells["text"] += map(itemgetter(where.text[0]), batch.rows)
        else:
            self.cells["text"] += [" ".join(row[i] or "" for i in where.text).strip() for row in batch.rows]
        for name, position in where.single().items():
            absent = repeat(None, len(batch.rows))
            self.cells[name] += absent if position is None else map(itemgetter(position), batch.rows)

    def judged(self, labels: LabelMap, *, need_label: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows kept, with their polarity, and the rows refused, with the reason."""
        files = [pl.repeat(file, count, dtype=pl.String, eager=True) for file, count in self.files]
        raw = pl.DataFrame(
            {"file": pl.concat(files) if files else [], **self.cells, "line": self.lines, "row": self.rows}, schema=_RAW
        ).with_columns(pl.col("text").str.replace_all("\x00", "", literal=True))
        reasons: dict[str, str] = {}
        known: dict[str, str] = {}
        for value in raw["label"].unique().drop_nulls().to_list():
            polarity = labels(value)
            if polarity is None:
                reasons[value] = _label_reason(value)
            else:
                known[value] = polarity.chinese
        reason: pl.Expr = pl.when(_empty(raw["text"])).then(pl.lit("empty text"))
        if need_label:
            wrong = pl.when(pl.col("label").is_null()).then(pl.lit("missing label"))
            reason = pl.coalesce(reason, wrong, _mapped("label", reasons))
        raw = raw.with_columns(reason=reason, known=_mapped("label", known))
        kept = raw.filter(pl.col("reason").is_null()).with_columns(label="known").drop("known", "reason")
        refused = raw.filter(pl.col("reason").is_not_null()).select(list(REJECTS))
        return kept, pl.concat([refused, self._broken_rows()]) if self.broken else refused

    def _broken_rows(self) -> pl.DataFrame:
        rows = [(file, broken.line, broken.reason, None, broken.text, None) for file, broken in self.broken]
        return pl.DataFrame(rows, schema=REJECTS, orient="row")


def _mapped(column: str, values: dict[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(values, default=None, return_dtype=pl.String)


def _label_reason(value: str) -> str:
    if not value.strip():
        return "missing label"
    shown = value.strip()[:40]
    return (
        f"unknown label {shown!r}; allowed {'/'.join(NAMES)} or a word for them; "
        f"map numbers and other codes by --labels {shown}={NAMES[-1]}"
    )


def _empty(texts: pl.Series) -> pl.Series:
    """Which texts have nothing left after `normalise`; only those without a letter or digit need asking."""
    bare = (~texts.str.contains(r"[\p{L}\p{N}]")).fill_null(value=True)
    for position in bare.arg_true().to_list():
        if normalise(texts[position] or ""):
            bare[position] = False
    return bare


def _taken(where: Resolved, names: Sequence[str]) -> dict[str, str]:
    taken = {kind: names[position] for kind, position in where.single().items() if position is not None}
    return {"text": "+".join(names[position] for position in where.text), **taken}


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
