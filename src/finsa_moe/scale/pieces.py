"""What one worker does at a time: some rows of one file, small enough to hold, always cut at the same places.

Parquet is cut by its row groups without being read. Other formats are read once by the driver, which stages their rows
as small Parquet files, lines and broken rows kept; so a worker meets one format only. It answers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from finsa_moe.data.reading.columns import find_column, find_text, listed
from finsa_moe.data.reading.formats import load_frame, read_batches
from finsa_moe.data.reading.rows import Broken, Row
from finsa_moe.errors import DataError, require
from finsa_moe.scale.stores import EXTRA, Source

LINE, REASON, RAW = "finsa:line", "finsa:reason", "finsa:raw"
"""Columns of a staged file beside the rows' own: where a row stood; why it could not be read, and its raw text."""
OWN = (LINE, REASON, RAW)


@dataclass(frozen=True)
class Piece:
    """Some neighbouring rows of one file.

    Attributes:
        source: The file.
        number: Which piece of it, from 0.
        first: Rows of the file before it, broken ones counted.
        rows: How many it has, broken ones counted.
        groups: First and last (exclusive) row group; None for a piece of another format.
        skip: Rows of those groups before it.
        staged: Where its rows lie, alone; None where they are read from the file.
    """

    source: Source
    number: int
    first: int
    rows: int
    groups: tuple[int, int] | None = None
    skip: int = 0
    staged: Path | None = None

    @property
    def name(self) -> str:
        """What its shard is called, without an ending."""
        return f"{self.source.key}-{self.number:05d}"

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"{self.source.name}, rows {self.first + 1:,} to {self.first + self.rows:,}"


def parquet_groups(source: Source, text: str | None, id: str | None) -> list[int]:  # noqa: A002
    """Rows of each row group.

    Raises:
        DataError: If the file is damaged, has two columns of one name, or no column for the text.
    """
    pq = require("pyarrow.parquet", EXTRA, "reading Parquet in parts")
    arrow = require("pyarrow", EXTRA, "reading Parquet in parts")
    try:
        with source.open() as stream, pq.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            if twice := next((name for at, name in enumerate(names) if name in names[:at]), None):
                raise DataError(f"{source.name}: two columns are called {twice!r}; rename one and write it again")
            find_text(names, text, source.name)
            find_column(names, "id", id, source.name)
            return [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
    except (arrow.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:160]
        raise DataError(f"{source.name}: not a readable Parquet file ({said}); write it again") from error


def parquet_pieces(source: Source, groups: Sequence[int], most: int) -> Iterator[Piece]:
    """Cut at row groups, neighbouring small ones together; a group of more than `most` rows is cut within."""
    number = first = start = held = 0
    for at, rows in enumerate(groups):
        if held and held + rows > most:
            yield Piece(source, number, first, held, (start, at))
            number, first, start, held = number + 1, first + held, at, 0
        if rows <= most:
            held += rows
            continue
        for skip in range(0, rows, most):
            part = min(most, rows - skip)
            yield Piece(source, number, first, part, (at, at + 1), skip)
            number, first = number + 1, first + part
        start = at + 1
    if held:
        yield Piece(source, number, first, held, (start, len(groups)))


def copied_pieces(pieces: Sequence[Piece], staging: Path) -> Iterator[Piece]:
    """Pieces that one row group is cut into, their rows staged as they are: the group is read once, not once a piece.

    A piece whose rows cannot be read comes as it was, and its worker tells why.

    Raises:
        OSError: If the staged rows cannot be written.
    """
    pq = require("pyarrow.parquet", EXTRA, "staging rows")
    for piece, table in _once(pieces):
        if table is None:
            yield piece
            continue
        staged = staging / f"{piece.name}.rows"
        pq.write_table(table, staged, compression="lz4")
        yield replace(piece, staged=staged)


def _once(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Any]]:
    """The pieces of one row group, in order, each with its rows as a table; from where it is damaged on with None."""
    pa = require("pyarrow", EXTRA, "reading Parquet in parts")
    pq = require("pyarrow.parquet", EXTRA, "reading Parquet in parts")
    waiting, start = list(pieces), 0
    held: list[Any] = []
    try:
        with pieces[0].source.open() as stream, pq.ParquetFile(stream) as file:
            for batch in file.iter_batches(row_groups=list(range(*pieces[0].groups or ()))):
                end = start + batch.num_rows
                while waiting and waiting[0].skip < end:
                    piece = waiting[0]
                    held.append(batch.slice(max(0, piece.skip - start), piece.rows - sum(map(len, held))))
                    if piece.skip + piece.rows > end:
                        break
                    yield waiting.pop(0), pa.Table.from_batches(held)
                    held = []
                start = end
    except (pa.ArrowException, OSError, DataError):
        pass
    for piece in waiting:
        yield piece, None


def check_columns(source: Source, local: Path, text: str | None, id: str | None) -> None:  # noqa: A002
    """See that a file of any other format has the columns; JSON is read on until it has them.

    Raises:
        DataError: If it cannot be read or has no such column.
    """
    for batch in read_batches(local):
        try:
            _text_at(batch.names, source, text, id)
        except DataError:
            if not batch.more:
                raise
        else:
            return


def _text_at(names: Sequence[str], source: Source, text: str | None, id: str | None) -> tuple[int, ...]:  # noqa: A002
    """Positions of the columns of the text; the named column of the id has to be there too."""
    found = find_text(names, text, source.name)
    find_column(names, "id", id, source.name)
    return found


def staged_pieces(
    source: Source, local: Path, most: int, staging: Path, wanted: Callable[[str], bool], text: str | None = None,
    id: str | None = None,  # noqa: A002
) -> Iterator[Piece]:  # fmt: skip
    """Cut any other format, staging only the pieces whose shard's name is `wanted`; the others come with `staged` None.

    Every piece has all columns of the file, so that the text and the id are the same ones in each. `text` names the
    column of texts: a row with what is none there (`data.reading.rows.no_text`) is staged as one that cannot be read.

    Raises:
        DataError: If the file cannot be read or has no such column, or an OSError comes from writing the staged rows.
    """
    pq = require("pyarrow.parquet", EXTRA, "staging rows")
    number = first = 0
    for table in _tables(local, source, most, text, id):
        piece = Piece(source, number, first, table.num_rows, None, 0, staging / f"{source.key}-{number:05d}.rows")
        if wanted(piece.name):
            pq.write_table(table, piece.staged, compression="lz4")
            yield piece
        else:
            yield Piece(source, number, first, table.num_rows)
        number, first = number + 1, first + table.num_rows


def _tables(local: Path, source: Source, most: int, text: str | None, id: str | None) -> Iterator[Any]:  # noqa: A002
    """The rows of a file in tables of `most` rows, with the columns `OWN` added."""
    pa = require("pyarrow", EXTRA, "staging rows")
    if source.ending == ".arrow":
        try:
            frame = load_frame(local)
        except OSError as error:
            raise DataError(f"{source.name}: cannot be read: {error.strerror or error}") from error
        assert frame is not None
        _text_at(frame.columns, source, text, id)
        table = frame.to_arrow()
        table = _marked(pa, table, list(range(1, table.num_rows + 1)))
        for start in range(0, table.num_rows, most):
            yield table.slice(start, most)
        return
    batches = read_batches(local)
    begin = next(batches)
    names = _all_names(local) if begin.more else begin.names
    text_at = _text_at(names, source, text, id)
    rows: list[tuple[int, Row | Broken]] = []
    for batch in chain([begin], batches):
        if batch.names != names[: len(batch.names)]:
            raise DataError(
                f"{source.name}: has other columns than a moment ago ({listed(batch.names)}): it is being written to; "
                "score it when it is finished"
            )
        batch.set_apart(text_at)
        rows += sorted(
            [*zip(batch.lines, batch.rows, strict=True), *((b.line, b) for b in batch.broken)], key=lambda row: row[0]
        )
        while len(rows) >= most:
            yield _table(pa, names, rows[:most])
            del rows[:most]
    if rows:
        yield _table(pa, names, rows)


def _all_names(local: Path) -> list[str]:
    """The columns of a file of JSON, of which any row may bring a new one."""
    names: list[str] = []
    for batch in read_batches(local):
        names = batch.names
    return names


def _table(pa: Any, names: list[str], rows: list[tuple[int, Row | Broken]]) -> Any:
    width, lines = len(names), [line for line, _ in rows]
    cells = [
        (None,) * width
        if isinstance(row, Broken)
        else row
        if len(row) == width
        else (*row, *[None] * (width - len(row)))
        for _, row in rows
    ]
    columns = [pa.array(column, pa.string()) for column in zip(*cells, strict=True)]
    broken = [row if isinstance(row, Broken) else None for _, row in rows]
    return _marked(pa, pa.table(columns, names=names), lines, broken)


def _marked(pa: Any, table: Any, lines: list[int], broken: Sequence[Broken | None] | None = None) -> Any:
    faults = broken or [None] * len(lines)
    table = table.append_column(LINE, pa.array(lines, pa.int64()))
    table = table.append_column(REASON, pa.array([b and b.reason for b in faults], pa.string()))
    return table.append_column(RAW, pa.array([b and b.text for b in faults], pa.string()))
