"""The rows of a comparison: what models learn from and choose by, and the test sets with their clusters and leaks.

Files by name go in, rows of class ids come out. A row that cannot be used is an error here: a score without it
would be of another test set. It knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.duplicates.leakage import audit
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.data.reading.sets import one_split
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.evaluation.comparison.runner import TrainRows
from finsa_moe.evaluation.evaluate import class_ids
from finsa_moe.polarity import LabelMap


def labelled(files: Mapping[str, Path], columns: Columns, labels: LabelMap) -> TrainRows:
    """The rows of all files, in the order given; ``news/latest`` is of the domain news.

    Raises:
        DataError: If a file has no row, or one that cannot be used.
    """
    texts: list[str] = []
    ids: list[int] = []
    domains: list[str] = []
    for name, path in files.items():
        frame = _frame(path, columns, labels)
        texts += frame["text"].to_list()
        ids += class_ids(frame["label"]).tolist()
        domains += [_domain(name)] * frame.height
    return TrainRows(texts, ids, domains)


def judged_sets(
    files: Mapping[str, Path], train: TrainRows, dev: TrainRows | None, columns: Columns, labels: LabelMap
) -> list[TestSet]:
    """The test sets, each with its clusters and what of it stands in the rows to learn from and to choose by.

    Errors as `labelled`.
    """
    frames = {name: _frame(path, columns, labels) for name, path in files.items()}
    asked = {name: frame.select("text", "label") for name, frame in frames.items()}
    together = audit(asked)  # of texts near to one another in several sets all are drawn at once
    made = []
    for name, frame in frames.items():
        near = together.of(name)["near"].to_numpy()
        leaked, chosen_by = (_leaked(rows, asked[name]) if rows and rows.texts else None for rows in (train, dev))
        texts, truth = frame["text"].to_list(), class_ids(frame["label"])
        made.append(TestSet(name, _domain(name), texts, truth, near, leaked, chosen_by))
    return made


def _leaked(train: TrainRows, asked: pl.DataFrame) -> NDArray[np.bool_]:
    """Which texts of a set stand in the training rows: of this set alone, as another's texts may lie between."""
    report = audit({"train": _texts(train), "test": asked})
    known = np.unique(report.of("train")["near"].to_numpy())
    return np.isin(report.of("test")["near"].to_numpy(), known)


def inputs(rows: TrainRows, dev: TrainRows | None, sets: list[TestSet]) -> dict[str, list[object]]:
    """What every cell's fingerprint is made of: the rows by their role."""
    found: dict[str, list[object]] = {"train": [list(rows.texts), list(rows.labels), list(rows.domains)]}
    if dev is not None:
        found["dev"] = [list(dev.texts), list(dev.labels), list(dev.domains)]
    for one in sets:
        found[f"test/{one.name}"] = [list(one.texts), one.truth.tolist()]
    return found


def _domain(name: str) -> str:
    return name.partition("/")[0]


def _texts(rows: TrainRows) -> pl.DataFrame:
    return pl.DataFrame({"text": list(rows.texts)}, schema={"text": pl.String})


def _frame(path: Path, columns: Columns, labels: LabelMap) -> pl.DataFrame:
    one_split(path)
    table = read_rows([path], columns, labels, None)
    table.check()
    return table.frame
