"""The distinct texts of a file, each with the model's answer and the number of rows that bear it.

A file and a predictor in, arrays and lists out, in the file's order. It knows nothing of labels, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.keys import duplicate_keys
from finsa_moe.data.reading.columns import find_column, find_text
from finsa_moe.data.reading.rows import cell
from finsa_moe.errors import DataError
from finsa_moe.polarity import ENGLISH
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import WINDOW, Predictor
from finsa_moe.runtime.rows import columns, read

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pool:
    """The distinct texts of one file that the model can answer, in the file's order.

    Attributes:
        ids: As the file has them; a row without one is named by file and line.
        texts: As written; of equal texts the first.
        dates: As written, empty where a row has none; None where the file has no such column.
        keys: `text.duplicate_key` of each text.
        repeats: Rows that bear the text, (n,).
        probs: Class probabilities, (n, 3).
        novelty: In [0, 1], (n,); None where the model cannot say.
        experts: The expert that answered, (n,), a position in `domains`.
        domains: Names of the experts.
        rows: Rows of the file.
        refused: Rows that are broken, or whose text is empty.
    """

    ids: list[str]
    texts: list[str]
    dates: list[str] | None
    keys: list[str]
    repeats: NDArray[np.int64]
    probs: NDArray[np.float64]
    novelty: NDArray[np.float64] | None
    experts: NDArray[np.int64]
    domains: tuple[str, ...]
    rows: int
    refused: int

    def __len__(self) -> int:
        return len(self.texts)


def read_pool(
    predictor: Predictor,
    source: Path,
    *,
    text: str | None = None,
    id: str | None = None,  # noqa: A002 - the column's own name
    date: str | None = None,
    domain: str | None = None,
    progress: Progress | None = None,
) -> Pool:
    """Read and answer a file; a text that stands in several rows is answered once.

    Args:
        predictor: What answers.
        source: A file in any format the data room reads.
        text: The text column, or several as ``"title+body"``; None finds it by its usual names.
        id: The id column, likewise.
        date: The date column, likewise.
        domain: Expert to use for all rows; None leaves it to the router.
        progress: Called with what is under way, the texts done and the texts in all.

    Raises:
        DataError: If the file cannot be read, has no such column, or no row of it can be answered.
    """
    predictor.predict([], domain)  # an unknown domain is told before the file is read
    names = list(columns(source))
    text_at = find_text(names, text, source)
    id_at, date_at = (find_column(names, kind, name, source) for kind, name in (("id", id), ("date", date)))
    rows, refused = 0, 0
    place: dict[str, int] = {}
    ids: list[str] = []
    texts: list[str] = []
    dates: list[str] = []
    repeats: list[int] = []
    for batch in read(source):
        batch.set_apart(text_at)
        rows += len(batch.rows) + len(batch.broken)
        refused += len(batch.broken)
        said_all = batch.texts(text_at)
        for row, line, said, key in zip(batch.rows, batch.lines, said_all, duplicate_keys(said_all), strict=True):
            if not said:
                refused += 1
            elif key in place:
                repeats[place[key]] += 1
            else:
                place[key] = len(texts)
                texts.append(said)
                ids.append(cell(row, id_at) or f"{source.stem}-{line}")
                dates.append(cell(row, date_at))
                repeats.append(1)
    answers, kept = _answered(predictor, texts, domain, progress)
    refused += sum(repeats) - sum(repeats[at] for at in kept)
    if not kept:
        raise DataError(
            f"{source}: none of its {rows:,} rows can be answered; see that --text names the column of texts"
        )
    known = predictor.engine.domains
    met = list(place)
    return Pool(
        ids=[ids[at] for at in kept],
        texts=[texts[at] for at in kept],
        dates=[dates[at] for at in kept] if date_at is not None else None,
        keys=[met[at] for at in kept],
        repeats=np.array([repeats[at] for at in kept], dtype=np.int64),
        probs=np.array([[one.scores[name] for name in ENGLISH] for one in answers]),
        novelty=None if answers[0].novelty is None else np.array([one.novelty for one in answers], dtype=np.float64),
        experts=np.array([known.index(one.expert) for one in answers], dtype=np.int64),
        domains=known,
        rows=rows,
        refused=refused,
    )


def _answered(
    predictor: Predictor, texts: list[str], domain: str | None, progress: Progress | None
) -> tuple[list[Prediction], list[int]]:
    """Answers, and the positions of the texts that have one."""
    answers: list[Prediction] = []
    kept: list[int] = []
    for start in range(0, len(texts), WINDOW):
        part = texts[start : start + WINDOW]
        for at, answer in enumerate(predictor.attempt(part, domain, bulk=True), start):
            if isinstance(answer, Prediction):
                answers.append(answer)
                kept.append(at)
        if progress is not None:
            progress("answering", start + len(part), len(texts))
    return answers, kept
