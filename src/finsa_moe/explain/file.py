"""Every row of a file explained, in portions that share one stream through the model.

Rows go in through the runtime's readers; explanations are handed on one at a time and, where asked, kept as JSON lines.
Rows in = rows explained + rows left out + rows refused. It does not know what is made of the explanations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from finsa_moe.data.reading import names
from finsa_moe.data.reading.columns import Columns, resolve
from finsa_moe.data.reading.rows import EMPTY, Batch, as_text
from finsa_moe.errors import DataError
from finsa_moe.explain.explain import ExplainSettings, stream
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.ledger import ERROR, Ledger
from finsa_moe.files import sha256
from finsa_moe.polarity import LabelMap, Polarity
from finsa_moe.runtime.bulk import REJECT_COLUMNS, check_rejects, rejects_of
from finsa_moe.runtime.rows import read
from finsa_moe.runtime.writers import Writer

Use = Callable[[Explanation, "str | None"], None]


@dataclass
class Tally:
    """What became of a file's rows.

    Attributes:
        left_out: Rows whose true label is another than the one asked for.
        resumed: Rows taken over from a run that was stopped.
        evaluations: Texts that the model answered for the explanations of this run and those taken over.
        rejects: Where the refused rows are; None when there are none or no output was named.
        first: The first reason for which a row was refused.
        seconds: Wall time, in seconds.
    """

    explained: int = 0
    left_out: int = 0
    refused: int = 0
    resumed: int = 0
    evaluations: int = 0
    rejects: Path | None = None
    first: str = ""
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.explained + self.left_out + self.refused


@dataclass(frozen=True)
class Row:
    """One row to be explained, or the reason why it cannot be."""

    line: int
    id: str
    text: str
    label: str | None
    domain: str | None
    reason: str = ""


def explain_file(
    model: Any,
    source: Path,
    use: Use,
    *,
    settings: ExplainSettings,
    columns: Columns | None = None,
    labels: LabelMap | None = None,
    only: Polarity | None = None,
    domain: str | None = None,
    output: Path | None = None,
    named: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """Explain the rows of a file.

    Args:
        model: As in `explain`.
        source: A file in any format the data room reads.
        use: Called with each explanation and its row's domain (None where the file has no such column), in order.
        settings: Budget, seed and masking.
        columns: The user's own names of the columns.
        labels: The user's own spelling of the classes.
        only: Explain only rows of this true label.
        domain: Expert to use for all rows; None leaves it to the router.
        output: JSON lines, one a row; while it is made, a run that was stopped goes on where it was.
        named: What tells the model from another, so that no other model's rows are gone on with.
        progress: Called with the rows done after each portion.

    Raises:
        DataError: If the source cannot be read or has no such column, or no row of it can be explained.
        ConfigError: For settings or an output that cannot be.
    """
    began, tally = time.perf_counter(), Tally()
    columns, labels = columns or Columns(), labels or LabelMap()
    if output is not None:
        check_rejects(source, output)
    # what cannot be asked is told before a ledger is opened, which would begin anew for it
    list(stream(model, [], domain=domain, settings=settings))
    rows = _rows(source, columns, labels, only, tally)
    ledger = None
    if output is not None:
        asked = {
            "finsa explain": 1, "source": _digest(source), "columns": asdict(columns), "settings": asdict(settings),
            "labels": {key: int(value) for key, value in labels.entries.items()},
            "only": None if only is None else int(only), "domain": domain, "model": dict(named or {}),
        }  # fmt: skip
        ledger = Ledger(output, asked, settings.portion)
    try:
        if ledger is not None and ledger.done:
            _again(ledger, rows, use, tally)
            if progress is not None:
                progress(tally.rows)
        _go_on(model, rows, use, tally, settings, domain, ledger, progress)
        if not tally.rows:
            raise DataError(f"{source}: has no rows; name a file with rows under its column names")
        if not tally.explained:
            why = f"the first of {tally.refused:,} refused: {tally.first}" if tally.refused else "none has that label"
            raise DataError(f"{source}: none of its {tally.rows:,} rows can be explained ({why})")
        if ledger is not None:
            tally.rejects = _rejects(ledger, source, tally.refused)
            ledger.finish()
    finally:
        if ledger is not None:
            ledger.close()
    tally.seconds = time.perf_counter() - began
    return tally


def _go_on(
    model: Any, rows: Iterator[Row], use: Use, tally: Tally, settings: ExplainSettings, domain: str | None,
    ledger: Ledger | None, progress: Callable[[int], None] | None,
) -> None:  # fmt: skip
    while portion := list(islice(rows, settings.portion)):
        good = [row for row in portion if not row.reason]
        found = [
            entry for part in stream(model, [r.text for r in good], domain=domain, settings=settings) for entry in part
        ]
        answers = iter(found)
        entries: list[dict[str, Any]] = []
        for row in portion:
            answer = DataError(row.reason) if row.reason else next(answers)
            front = {"id": row.id, "line": row.line, "label": row.label, "domain": row.domain}
            if isinstance(answer, DataError):
                entries.append({**front, "text": row.text, ERROR: row.reason or EMPTY})
            else:
                answer = answer.rounded()
                entries.append({**front, **answer.as_dict()})
            _count(entries[-1], answer, use, tally)
        if ledger is not None:
            ledger.write(entries)
        if progress is not None:
            progress(tally.rows)


def _again(ledger: Ledger, rows: Iterator[Row], use: Use, tally: Tally) -> None:
    """Take over what a stopped run had done."""
    for entry, _ in zip(ledger, rows, strict=False):
        _count(entry, None if ERROR in entry else Explanation.from_dict(entry), use, tally)
        tally.resumed += 1


def _count(entry: Mapping[str, Any], answer: Explanation | DataError | None, use: Use, tally: Tally) -> None:
    if isinstance(answer, Explanation):
        tally.explained += 1
        tally.evaluations += answer.evaluations
        use(answer, entry["domain"])
    else:
        tally.refused += 1
        tally.first = tally.first or f"line {entry['line']}: {entry[ERROR]}"


def _rows(source: Path, columns: Columns, labels: LabelMap, only: Polarity | None, tally: Tally) -> Iterator[Row]:
    """The rows to be explained, in order; those of another label are counted in the tally and passed over.

    Raises:
        DataError: At the call, if the file cannot be read or has no such column.
    """
    batches = read(source)
    first = next(batches)
    resolve(first.names, columns, source, need_label=only is not None, more=first.more)
    return _each(chain([first], batches), source, columns, labels, only, tally)


def _each(
    batches: Iterable[Batch], source: Path, columns: Columns, labels: LabelMap, only: Polarity | None, tally: Tally
) -> Iterator[Row]:
    at = None
    for batch in batches:
        at = resolve(batch.names, columns, source, need_label=only is not None, before=at, more=batch.more)
        batch.set_apart(at.text)
        texts = batch.texts(at.text)

        def cell(row: Any, where: int | None) -> str | None:
            return as_text(row[where]) or None if where is not None and where < len(row) else None

        known = [Row(b.line, f"{source.stem}-{b.line}", b.text, None, None, b.reason) for b in batch.broken]
        for row, line, text in zip(batch.rows, batch.lines, texts, strict=True):
            label, key = cell(row, at.label), cell(row, at.id) or f"{source.stem}-{line}"
            true = None if label is None else labels(label)
            reason = ""
            if only is not None and true is not only:
                if true is not None:
                    tally.left_out += 1
                    continue
                reason = f"unknown label {label!r} (see --labels)" if label else "no label"
            said = label if true is None else true.chinese
            known.append(Row(line, key, text, said, cell(row, at.domain), reason))
        yield from sorted(known, key=lambda row: row.line)


def _rejects(ledger: Ledger, source: Path, refused: int) -> Path | None:
    path = rejects_of(ledger.output)
    if not refused:
        path.unlink(missing_ok=True)
        return None
    with Writer(path, REJECT_COLUMNS) as out:
        out.write([(str(source), e["line"], e[ERROR], e["id"], e["text"]) for e in ledger if ERROR in e])
        out.commit()
    return path


def _digest(source: Path) -> str:
    meant = names.named(source)
    if not meant.file.is_file():
        raise DataError(f"{source}: no such file; name the file whose rows shall be explained")
    return sha256(meant.file) + (f"#{meant.sheet}" if meant.sheet else "")
