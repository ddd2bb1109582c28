"""The rows of a comparison: what models learn from and choose by, and the test sets with their clusters and leaks.

``NAME=FILE`` options go in, rows of class ids come out. A row that cannot be used is an error here: a score without it
would be of another test set. It knows no model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from finsa_moe.cli.options import named, one_split
from finsa_moe.data.columns import Columns
from finsa_moe.data.leakage import audit
from finsa_moe.data.read import read_rows
from finsa_moe.evaluation.comparison import TestSet
from finsa_moe.evaluation.evaluate import class_ids
from finsa_moe.evaluation.runner import TrainRows
from finsa_moe.polarity import LabelMap

FILE = "news=work/news/test.csv"
"""What an option of rows looks like."""


def labelled(pairs: list[str], option: str, columns: Columns, labels: LabelMap) -> TrainRows:
    """The rows of all files of an option, in the order given; ``news/latest`` is of the domain news.

    Raises:
        DataError: If a file has no row, or one that cannot be used.
        ConfigError: For a pair that is not ``NAME=FILE``.
    """
    texts: list[str] = []
    ids: list[int] = []
    domains: list[str] = []
    for name, path in named(pairs, option, FILE).items():
        frame = _frame(path, columns, labels)
        texts += frame["text"].to_list()
        ids += class_ids(frame["label"]).tolist()
        domains += [_domain(name)] * frame.height
    return TrainRows(texts, ids, domains)


def judged_sets(pairs: list[str], train: TrainRows, columns: Columns, labels: LabelMap) -> list[TestSet]:
    """The test sets, each with its clusters and what of it stands in the training rows; errors as `labelled`."""
    frames = {name: _frame(path, columns, labels) for name, path in named(pairs, "--test", FILE).items()}
    asked = {f"test:{name}": frame.select("text", "label") for name, frame in frames.items()}
    report = audit({"train": _texts(train), **asked})
    known = np.unique(report.of("train")["near"].to_numpy())
    made = []
    for name, frame in frames.items():
        near = report.of(f"test:{name}")["near"].to_numpy()
        leaked = np.isin(near, known) if train.texts else None
        made.append(TestSet(name, _domain(name), frame["text"].to_list(), class_ids(frame["label"]), near, leaked))
    return made


def chosen_by(dev: TrainRows, sets: list[TestSet]) -> list[str]:
    """For each test set that shares texts with the rows that settings are chosen by, a line that says how many."""
    asked = {f"test:{one.name}": pl.DataFrame({"text": list(one.texts)}, schema={"text": pl.String}) for one in sets}
    report = audit({"dev": _texts(dev), **asked})
    shared = {one.name: report.shared("dev", f"test:{one.name}", "near") for one in sets}
    return [
        f"{name}: {of.rows:,} of {of.of:,} texts stand in the --dev rows, equal or near: settings were chosen by them"
        for name, of in shared.items() if of.rows
    ]  # fmt: skip


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
