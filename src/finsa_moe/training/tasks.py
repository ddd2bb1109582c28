"""Labelled files of any classes as tasks to train a backbone on: texts, and for each the share of every class.

A file with a label column gives certain targets, a file of predictions (``bearish, neutral, bullish``) the shares its
model gave. A file that lacks a column the user named is read by the usual names. Nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.reading.columns import find_text, listed, resolve
from finsa_moe.data.reading.read import read_frame
from finsa_moe.data.text import normalise
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.polarity import ENGLISH

ONE_IN, MOST = 50, 500
"""Of a file without a validation file beside it one row in so many is set aside, and never more than so many rows."""


@dataclass(frozen=True)
class Split:
    """Texts and their targets, float32 (n, classes), rows that sum to 1."""

    texts: list[str]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Task:
    """One set of labels to learn.

    Attributes:
        name: The user's name for it.
        classes: Names of the classes, sorted; bearish, neutral, bullish for predictions.
        train: Rows to learn from.
        valid: Rows to choose the checkpoint by.
        dropped: How many rows were left out for being near to held-out texts.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    dropped: int


def read_tasks(
    hard: Mapping[str, Path], soft: Mapping[str, Path], *, held_out: Sequence[str] = (), seed: int = 13,
    reading: Reading = USUAL,
) -> list[Task]:  # fmt: skip
    """Read every task.

    Args:
        hard: By name: a file of texts and labels, or a folder with ``train.csv`` and ``valid.csv``.
        soft: By name: a file of texts and ``bearish``, ``neutral``, ``bullish``, as `finsa predict` writes.
        held_out: Texts that the model is going to be judged by; rows equal or near to one are dropped.
        seed: Chooses the rows set aside of a file that has no validation file.
        reading: Where text and label stand, in the files that have such columns, and what some labels stand for: such
            a label becomes the class 利空, 中性 or 利好, every other one stays.

    Raises:
        DataError: If a file, a column or a class is missing, or a share is no number.
        ConfigError: If two tasks have one name.
    """
    if both := sorted(set(hard) & set(soft)):
        raise ConfigError(f"task {both[0]!r} is named by --task and by --soft; give each a name of its own")
    reading, held = replace(reading, columns=replace(reading.columns, loose=True)), HeldOut(held_out)
    found = [_hard(name, place, reading, held, seed) for name, place in hard.items()]
    return found + [_soft(name, place, reading, held, seed) for name, place in soft.items()]


def _hard(name: str, place: Path, reading: Reading, held: HeldOut, seed: int) -> Task:
    if not place.is_dir():
        texts, labels, dropped = _labelled(place, reading, held)
        classes = _classes(place, labels)
        return Task(name, classes, *_set_aside(Split(texts, _one_hot(labels, classes)), seed), dropped)
    texts, labels, dropped = _labelled(place / "train.csv", reading, held)
    classes = _classes(place / "train.csv", labels)
    others, known, more = _labelled(place / "valid.csv", reading, held)
    if not others:
        near = f", {more} near to held-out texts" if more else ""
        raise DataError(f"{place / 'valid.csv'}: no rows to choose the checkpoint by{near}; add some")
    if strange := sorted(set(known) - set(classes)):
        raise DataError(f"{place / 'valid.csv'}: label {strange[0]!r} is not in train.csv; it has {', '.join(classes)}")
    return Task(
        name, classes, Split(texts, _one_hot(labels, classes)), Split(others, _one_hot(known, classes)), dropped + more
    )


def _soft(name: str, file: Path, reading: Reading, held: HeldOut, seed: int) -> Task:
    frame = _frame(file)
    if missing := [column for column in ENGLISH if column not in frame.columns]:
        raise DataError(f"{file}: no column {missing[0]!r}; it has {listed(frame.columns)}")
    texts = _texts(frame, find_text(frame.columns, reading.columns.text, file, loose=True))
    try:
        shares = np.array([[float(value) for value in frame[column]] for column in ENGLISH], dtype=np.float32).T
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: a share is no number ({error}); write such a file with finsa predict") from None
    right = (shares >= 0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) <= 0.02)  # which no NaN is
    wrong = np.flatnonzero(~right)
    if len(wrong):
        raise DataError(f"{file}: row {wrong[0] + 1}: the shares {shares[wrong[0]].tolist()} do not sum to 1")
    kept = [at for at, text in enumerate(texts) if text and held.match(text) is None]
    if len(kept) < 2:
        raise DataError(
            f"{file}: {len(kept)} of {len(texts)} rows can be used, the others are empty or near to held-out texts; "
            "a task needs two at least, one of them to choose the checkpoint by"
        )
    split = Split([texts[at] for at in kept], shares[kept] / shares[kept].sum(axis=1, keepdims=True))
    return Task(name, tuple(ENGLISH), *_set_aside(split, seed), len(texts) - len(kept))


def _labelled(file: Path, reading: Reading, held: HeldOut) -> tuple[list[str], list[str], int]:
    frame = _frame(file)
    where = resolve(frame.columns, reading.columns, file)
    assert where.label is not None
    texts, labels, dropped = [], [], 0
    for row, (text, label) in enumerate(zip(_texts(frame, where.text), _cells(frame, where.label), strict=True), 1):
        if not text or not label.strip():
            raise DataError(f"{file}: row {row}: {'no text' if not text else 'no label'}; fill it or take the row out")
        if held.match(text) is None:
            texts.append(text)
            known = reading.labels.given(label)
            labels.append(label.strip() if known is None else known.chinese)
        else:
            dropped += 1
    return texts, labels, dropped


def _frame(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise DataError(f"{file}: no such file; give a file, or a folder with train.csv and valid.csv")
    return read_frame(file)


def _texts(frame: pl.DataFrame, columns: Sequence[int]) -> list[str]:
    parts = [_cells(frame, column) for column in columns]
    return [normalise(" ".join(cells)) for cells in zip(*parts, strict=True)]


def _cells(frame: pl.DataFrame, column: int) -> list[str]:
    return [cell or "" for cell in frame.to_series(column).cast(pl.String)]


def _classes(file: Path, labels: Sequence[str]) -> tuple[str, ...]:
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise DataError(f"{file}: {len(classes)} class among {len(labels)} rows; a task needs two at least")
    return classes


def _one_hot(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    places = {name: at for at, name in enumerate(classes)}
    return np.eye(len(classes), dtype=np.float32)[[places[label] for label in labels]]


def _set_aside(split: Split, seed: int) -> tuple[Split, Split]:
    count = min(MOST, max(1, len(split) // ONE_IN))
    order = np.random.default_rng(seed).permutation(len(split))
    return tuple(  # type: ignore[return-value]
        Split([split.texts[at] for at in rows], split.targets[rows]) for rows in (order[count:], order[:count])
    )
