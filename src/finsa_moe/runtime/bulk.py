"""A whole file answered into another: every row comes out with the answers added, or stands among the rejects.

Joins the readers, the predictor and the writers; rows in = rows out + rows refused. It knows no model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from finsa_moe.data.reading.columns import find_column, find_text, listed
from finsa_moe.data.reading.encoding import foreign_encoding
from finsa_moe.data.reading.rows import EMPTY, as_text
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names
from finsa_moe.runtime.predictor import BULK, Predictor
from finsa_moe.runtime.repeats import Repeats
from finsa_moe.runtime.rows import columns, read
from finsa_moe.runtime.writers import Streamed, Types, Writer, check_ending

REJECT_COLUMNS = ("file", "line", "reason", "id", "text")


@dataclass
class Tally:
    """What became of a file's rows; `rows` = `answered` + `refused`.

    Attributes:
        strange: Answers to texts unlike those that the model learnt from (`Prediction.strange`).
        first: Line and reason of the first refused row; empty when there are none.
        rejects: Where the refused rows are; None when there are none, or the answers went to a stream.
        seconds: Wall time of the whole run, in seconds.
        engine: What answered.
        column: The column of the texts, or several joined.
        encoding: The encoding of the file's text, where it is not UTF-8.
    """

    rows: int = 0
    answered: int = 0
    refused: int = 0
    truncated: int = 0
    uncertain: int = 0
    strange: int = 0
    first: str = ""
    rejects: Path | None = None
    seconds: float = 0.0
    engine: str = ""
    column: str = ""
    encoding: str | None = None


@dataclass(frozen=True)
class Layout:
    """The columns of a file to be answered, and of its answer.

    Attributes:
        names: The file's own columns.
        text: Those that make up the text.
        id_at: Position of the id; None where rows are to be named.
        front: ``["id"]`` where the answer gets such a column, else nothing.
        added: What each answer's column is called.
        types: Types of the columns of the answer that have one.
    """

    names: list[str]
    text: list[str]
    id_at: int | None
    front: list[str]
    added: dict[str, str]
    types: Types

    @classmethod
    def of(
        cls,
        known: Types,
        domains: Sequence[str],
        source: Path,
        *,
        text: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Layout:
        """The layout for a file with these columns (`runtime.rows.columns`); arguments and errors as `predict_file`."""
        names = list(known)
        text_at = find_text(names, text, source)
        id_at = find_column(names, "id", id, source)
        front = [] if id_at is not None or "id" in names else ["id"]
        answers = answer_columns(domains)
        added = free_names(list(answers), [*front, *names])
        types = {name: kind for name, kind in known.items() if kind is not None}
        types |= {added[name]: kind for name, kind in answers.items()}
        return cls(names, [names[at] for at in text_at], id_at, front, added, types)

    @property
    def columns(self) -> list[str]:
        """The columns of the answer, in order."""
        return [*self.front, *self.names, *self.added.values()]

    @property
    def text_at(self) -> list[int]:
        """Positions of the text's columns; a batch of JSON may not have all of them yet."""
        return list(map(self.names.index, self.text))

    def key(self, row: Sequence[object], made: str) -> str:
        """A row's id as text, or, where it has none, the one made for it."""
        return made if self.id_at is None or self.id_at >= len(row) else as_text(row[self.id_at]) or made

    def row(self, key: str, row: Sequence[object], answers: Sequence[object]) -> list[object]:
        """A row of the answer: the row as it came, filled up, and what is added."""
        return [*([key] if self.front else []), *row, *[None] * (len(self.names) - len(row)), *answers]


def predict_file(
    predictor: Predictor,
    source: Path,
    target: Path,
    *,
    text: str | None = None,
    id: str | None = None,  # noqa: A002 - the column's own name
    domain: str | None = None,
    bom: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """Answer every row of a file and write it out with all the columns it had.

    An answer whose name a column already has is called ``predicted_…``; rows without an id column get an `id` of file
    and line. What could not be answered goes to ``<target>.rejects.csv`` with file, line and reason; an older such file
    is removed when nothing was refused. Both files appear only when everything is done.

    Args:
        predictor: What answers.
        source: A file in any format the data room reads.
        target: CSV, TSV, JSON lines or Parquet by its ending.
        text: The text column, or several as ``"title+body"``; None finds it by its usual names.
        id: The id column; None finds it by its usual names.
        domain: Expert to use for all rows; None leaves it to the router.
        bom: Whether CSV starts with a byte order mark.
        progress: Called with the rows done after each batch.

    Raises:
        ConfigError: If the target's ending is unknown, or target and source are one file.
        DataError: If the source cannot be read, has no such column, or no row of it can be answered.
    """
    check_ending(target)
    rejects = rejects_of(target)
    if _same(target, source):
        raise ConfigError(f"{target}: --output is the --input file itself; name another")
    check_rejects(source, target)
    job = _Job.of(predictor, source, text, id, domain, progress)
    with (
        Writer(rejects, REJECT_COLUMNS, bom=bom) as refused,
        Writer(target, job.layout.columns, job.layout.types, bom=bom) as out,  # appears first, or neither does
    ):
        tally = job.run(out.write, refused.write)
        out.commit()
        if tally.refused:
            refused.commit()
            tally.rejects = rejects
    if not tally.refused:
        rejects.unlink(missing_ok=True)
    return tally


def predict_stream(
    predictor: Predictor,
    source: Path,
    stream: BinaryIO,
    ending: str = ".csv",
    *,
    text: str | None = None,
    id: str | None = None,  # noqa: A002
    domain: str | None = None,
    bom: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """As `predict_file`, onto a stream of bytes, portion by portion; what is refused is only counted.

    The stream is left open; `ending` names the format, ``".csv"``, ``".tsv"`` or ``".jsonl"``.
    """
    job = _Job.of(predictor, source, text, id, domain, progress)
    out = Streamed(stream, ending, job.layout.columns, job.layout.types, bom=bom)
    tally = job.run(out.write, lambda rows: None)
    out.commit()
    return tally


Write = Callable[[Sequence[Sequence[object]]], None]


@dataclass(frozen=True)
class _Job:
    """A file to be answered, looked at so far that what is wrong with it as a whole is told."""

    predictor: Predictor
    source: Path
    domain: str | None
    progress: Callable[[int], None] | None
    layout: Layout
    began: float

    @classmethod
    def of(
        cls, predictor: Predictor, source: Path, text: str | None, id: str | None,  # noqa: A002
        domain: str | None, progress: Callable[[int], None] | None,
    ) -> _Job:  # fmt: skip
        began = time.perf_counter()
        predictor.predict([], domain)  # an unknown domain is told before the file is read
        layout = Layout.of(columns(source), predictor.engine.domains, source, text=text, id=id)
        return cls(predictor, source, domain, progress, layout, began)

    def run(self, answered: Write, refused: Write) -> Tally:
        """Hand on every row: with its answer, or with the reason why it has none."""
        predictor, source, layout, repeats = self.predictor, self.source, self.layout, Repeats()
        tally = Tally(column="+".join(layout.text), encoding=foreign_encoding(source))
        many, text_at = False, layout.text_at
        for batch in read(source):
            if batch.names != layout.names[: len(batch.names)]:
                raise DataError(
                    f"{source}: has other columns than a moment ago ({listed(batch.names)}): it is being written to; "
                    "answer it when it is finished"
                )
            batch.set_apart(text_at)
            texts = batch.texts(text_at)
            if not tally.engine:  # all batches by one engine; a file of few rows is a call of so many texts
                many = len(texts) + len(batch.broken) >= BULK
                tally.engine = predictor.engine_for(len(texts), many=many).name
            good: list[Sequence[object]] = []
            bad: list[tuple[int, str, str, str]] = [(b.line, b.reason, "", b.text) for b in batch.broken]
            answers = predictor.attempt(texts, self.domain, bulk=many, repeats=repeats)
            for row, line, said, answer in zip(batch.rows, batch.lines, texts, answers, strict=True):
                key = layout.key(row, f"{source.stem}-{line}")
                if isinstance(answer, Prediction):
                    good.append(layout.row(key, row, list(answer.answers().values())))
                    tally.truncated += answer.truncated
                    tally.uncertain += answer.uncertain
                    tally.strange += answer.strange
                else:
                    bad.append((line, EMPTY, key, said))
            bad.sort(key=itemgetter(0))
            answered(good)
            refused([(str(source), *entry) for entry in bad])
            tally.answered += len(good)
            tally.refused += len(bad)
            tally.rows = tally.answered + tally.refused
            tally.first = tally.first or (f"line {bad[0][0]}: {bad[0][1]}" if bad else "")
            if self.progress is not None:
                self.progress(tally.rows)
        if tally.refused and not tally.answered:
            raise DataError(
                f"{source}: none of its {tally.refused} rows can be answered ({tally.first}); nothing was written; "
                "see that --text names the column of texts"
            )
        tally.seconds = time.perf_counter() - self.began
        return tally


def rejects_of(target: Path) -> Path:
    """Where the rows go that could not be answered for a file of answers."""
    return target.with_name(f"{target.name}.rejects.csv")


def check_rejects(source: Path, target: Path) -> None:
    """Refuse to read what refused rows for a file of answers would be written over.

    Raises:
        ConfigError: Naming both.
    """
    if _same(rejects_of(target), source):
        raise ConfigError(f"{source}: is where rows refused for --output {target} go, and would be lost; name another")


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one is not there, or the system does not say
        return False
