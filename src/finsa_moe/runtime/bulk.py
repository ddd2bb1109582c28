"""A whole file answered into another: every row comes out with the answers added, or stands among the rejects.

Joins the readers, the predictor and the writers; rows in = rows out + rows refused. It knows no model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finsa_moe.data.columns import find_column, find_text
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.rows import RowBatch, columns, read
from finsa_moe.runtime.writers import Writer, check_ending

REJECT_COLUMNS = ("file", "line", "reason", "id", "text")
EMPTY = "empty text"


@dataclass
class Tally:
    """What became of a file's rows; `rows` = `answered` + `refused`.

    Attributes:
        strange: Answers to texts unlike everything the model was trained on (`Prediction.strange`).
        rejects: Where the refused rows are; None when there are none.
        seconds: Wall time of the whole run, in seconds.
    """

    rows: int = 0
    answered: int = 0
    refused: int = 0
    truncated: int = 0
    uncertain: int = 0
    strange: int = 0
    rejects: Path | None = None
    seconds: float = 0.0


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
    began = time.perf_counter()
    check_ending(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"{target}: --output is the --input file itself; name another")
    predictor.predict([], domain)  # an unknown domain is told before the file is read
    types = columns(source)
    names = list(types)
    text_at = [names[at] for at in find_text(names, text, source)]
    id_at = find_column(names, "id", id, source)
    front = [] if id_at is not None or "id" in names else ["id"]
    added = free_names(list(answer_columns(predictor.engine.domains)), [*front, *names])
    answer_types = {added[name]: kind for name, kind in answer_columns(predictor.engine.domains).items()}
    known_types = {name: kind for name, kind in types.items() if kind is not None}
    rejects = target.with_name(f"{target.name}.rejects.csv")
    tally, first = Tally(), ""
    with (
        Writer(target, [*front, *names, *added.values()], {**known_types, **answer_types}, bom=bom) as out,
        Writer(rejects, REJECT_COLUMNS, bom=bom) as refused,
    ):
        for batch in read(source):
            texts = _texts(batch, text_at)
            good, bad = [], [(b.line, b.reason, "", b.text) for b in batch.broken]
            for row, line, words, answer in zip(
                batch.rows, batch.lines, texts, predictor.attempt(texts, domain, bulk=True), strict=True
            ):
                key = row[id_at] if id_at is not None and id_at < len(row) else f"{source.stem}-{line}"
                if isinstance(answer, Prediction):
                    filled = [*row, *[None] * (len(names) - len(row))]
                    good.append([*([key] if front else []), *filled, *answer.answers().values()])
                    tally.truncated += answer.truncated
                    tally.uncertain += answer.uncertain
                    tally.strange += answer.strange
                else:
                    bad.append((line, EMPTY, str(key), words))
            out.write(good)
            refused.write([(str(source), *entry) for entry in sorted(bad, key=lambda entry: entry[0])])
            tally.answered += len(good)
            tally.refused += len(bad)
            tally.rows = tally.answered + tally.refused
            first = first or (f"line {bad[0][0]}: {bad[0][1]}" if bad else "")
            if progress is not None:
                progress(tally.rows)
        if tally.refused and not tally.answered:
            raise DataError(
                f"{source}: none of its {tally.refused} rows can be answered ({first}); nothing was written; "
                "see that --text names the column of texts"
            )
        out.commit()
        if tally.refused:
            refused.commit()
            tally.rejects = rejects
    if not tally.refused:
        rejects.unlink(missing_ok=True)
    tally.seconds = time.perf_counter() - began
    return tally


def _texts(batch: RowBatch, wanted: Sequence[str]) -> list[str]:
    """The text of each row: its cells joined by a space; a missing cell counts as empty, a number as written."""
    at = [batch.names.index(name) for name in wanted if name in batch.names]
    return [" ".join("" if row[i] is None else str(row[i]) for i in at).strip() for row in batch.rows]
