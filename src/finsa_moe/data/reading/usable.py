"""Files in, frames out: the rows that can be used with their polarity, and the rows refused with the reason.

Thousands of small files make few frames, and a file of millions of rows makes many. It knows which cell means what, and
nothing of duplicates or splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.columns import Columns, Resolved, resolve
from finsa_moe.data.reading.formats import read_batches
from finsa_moe.data.reading.rows import BATCH_ROWS, EMPTY, Batch, Broken
from finsa_moe.data.text import normalise
from finsa_moe.polarity import NAMES, LabelMap

REJECTS = pl.Schema(
    {"file": pl.String, "line": pl.Int64, "reason": pl.String, "id": pl.String, "text": pl.String, "label": pl.String}
)
CELLS = ("id", "text", "label", "domain", "date", "source_id", "by")
_RAW = pl.Schema({"file": pl.String} | dict.fromkeys(CELLS, pl.String) | {"line": pl.Int64, "row": pl.Int64})


@dataclass(frozen=True)
class Source:
    """One file read: how many rows it holds and which of its columns were taken."""

    path: Path
    rows: int
    columns: dict[str, str]


@dataclass(frozen=True)
class Usable:
    """Some rows of some files: those kept (`CELLS`, ``file``, ``line``, ``row``) and those refused (`REJECTS`)."""

    kept: pl.DataFrame
    refused: pl.DataFrame


def judged(
    files: Sequence[Path],
    columns: Columns,
    labels: LabelMap,
    done: Callable[[Source], None],
    *,
    need_label: bool = True,
    rows: int = BATCH_ROWS,
) -> Iterator[Usable]:
    """Read files one after another and judge their rows, some `rows` at a time; the last frames may be empty.

    Args:
        files: The files.
        columns: The user's names of the columns.
        labels: The user's spelling of the classes.
        done: Called with each file once it is read to its end.
        need_label: Whether a row without a known label is refused; if not, its label is null.
        rows: How many make a frame.

    Raises:
        DataError: If a column is missing or a file cannot be read at all.
    """
    chunk = _Chunk()
    for path in files:
        met = broken = 0
        where: Resolved | None = None
        taken: dict[str, str] = {}
        for batch in read_batches(path):
            if batch.rows or where is not None:  # the last batch, empty or not, is told whether a column is missing
                where = resolve(batch.names, columns, path, need_label=need_label, before=where, more=batch.more)
                taken = _taken(where, batch.names)
                batch.set_apart(where.text)
                chunk.add(str(path), batch, where, met)
            chunk.broken.extend((str(path), row) for row in batch.broken)
            met, broken = met + len(batch.rows), broken + len(batch.broken)
            if len(chunk) >= rows:
                yield chunk.judged(labels, need_label=need_label)
                chunk = _Chunk()
        done(Source(path, met + broken, taken))
    yield chunk.judged(labels, need_label=need_label)


@dataclass
class _Chunk:
    """Cells gathered from any number of files, so that thousands of small files make few frames."""

    files: list[tuple[str, int]] = field(default_factory=list)
    cells: dict[str, list[str | None]] = field(default_factory=lambda: {name: [] for name in CELLS})
    lines: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    broken: list[tuple[str, Broken]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines) + len(self.broken)

    def add(self, file: str, batch: Batch, where: Resolved, done: int) -> None:
        self.files.append((file, len(batch.rows)))
        self.lines += batch.lines
        self.rows += range(done + 1, done + 1 + len(batch.rows))
        parts = map(itemgetter(*where.text), batch.rows)
        if len(where.text) == 1:
            self.cells["text"] += parts
        else:
            self.cells["text"] += [" ".join(cell or "" for cell in cells).strip() for cells in parts]
        for name, position in where.single().items():
            absent = repeat(None, len(batch.rows))
            self.cells[name] += absent if position is None else map(itemgetter(position), batch.rows)

    def judged(self, labels: LabelMap, *, need_label: bool) -> Usable:
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
        reason: pl.Expr = pl.when(_empty(raw["text"])).then(pl.lit(EMPTY))
        if need_label:
            wrong = pl.when(pl.col("label").is_null()).then(pl.lit("missing label"))
            reason = pl.coalesce(reason, wrong, _mapped("label", reasons))
        raw = raw.with_columns(reason=reason, known=_mapped("label", known))
        kept = raw.filter(pl.col("reason").is_null()).with_columns(label="known").drop("known", "reason")
        refused = raw.filter(pl.col("reason").is_not_null()).select(list(REJECTS))
        return Usable(kept, pl.concat([refused, self._broken_rows()]) if self.broken else refused)

    def _broken_rows(self) -> pl.DataFrame:
        rows = [(file, broken.line, broken.reason, None, broken.text, None) for file, broken in self.broken]
        return pl.DataFrame(rows, schema=REJECTS, orient="row")


def _mapped(column: str, values: dict[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(values, default=None, return_dtype=pl.String)


def _label_reason(value: str) -> str:
    if not value.strip():
        return "missing label"
    shown = value.strip()[:40]
    finsa = LabelMap.parse("finsa")
    usual = ", ".join(f"{number}={polarity.chinese}" for number, polarity in finsa.entries.items())
    preset = f"--labels finsa if they are {usual}, else by " if finsa.given(value) is not None else ""
    return (
        f"unknown label {shown!r}; allowed {'/'.join(NAMES)} or a word for them; map numbers and other codes by "
        f"{preset}--labels {shown}=…, where … is {', '.join(NAMES[:-1])} or {NAMES[-1]}"
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
