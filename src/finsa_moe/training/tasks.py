"""Labelled files of any classes as tasks to train a backbone on: texts, and for each the share of every class.

A file with a label column gives certain targets, a file of predictions (``bearish, neutral, bullish``) the shares its
model gave. Nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.near import HeldOut
from finsa_moe.data.read import read_frame
from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
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
    hard: Mapping[str, Path], soft: Mapping[str, Path], *, held_out: Sequence[str] = (), seed: int = 13
) -> list[Task]:
    """Read every task.

    Args:
        hard: By name: a file with columns ``text`` and ``label``, or a folder with ``train.csv`` and ``valid.csv``.
        soft: By name: a file with columns ``text``, ``bearish``, ``neutral``, ``bullish``, as `finsa predict` writes.
        held_out: Texts that the model is going to be judged by; rows equal or near to one are dropped.
        seed: Chooses the rows set aside of a file that has no validation file.

    Raises:
        DataError: If a file, a column or a class is missing, or a share is no number.
    """
    index = HeldOut(held_out)
    found = [_hard(name, place, index, seed) for name, place in hard.items()]
    return found + [_soft(name, place, index, seed) for name, place in soft.items()]


def _hard(name: str, place: Path, held_out: HeldOut, seed: int) -> Task:
    if not place.is_dir():
        texts, labels, dropped = _labelled(place, held_out)
        classes = _classes(place, labels)
        return Task(name, classes, *_set_aside(Split(texts, _one_hot(labels, classes)), seed), dropped)
    texts, labels, dropped = _labelled(place / "train.csv", held_out)
    classes = _classes(place / "train.csv", labels)
    others, known, more = _labelled(place / "valid.csv", held_out)
    if strange := sorted(set(known) - set(classes)):
        raise DataError(f"{place / 'valid.csv'}: label {strange[0]!r} is not in train.csv; it has {', '.join(classes)}")
    return Task(
        name, classes, Split(texts, _one_hot(labels, classes)), Split(others, _one_hot(known, classes)), dropped + more
    )


def _soft(name: str, file: Path, held_out: HeldOut, seed: int) -> Task:
    frame = _frame(file, ("text", *ENGLISH))
    try:
        shares = np.array([[float(value) for value in frame[column]] for column in ENGLISH], dtype=np.float32).T
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: a share is no number ({error}); write such a file with finsa predict") from None
    wrong = np.flatnonzero((shares < 0).any(axis=1) | (np.abs(shares.sum(axis=1) - 1) > 0.02))
    if len(wrong):
        raise DataError(f"{file}: row {wrong[0] + 1}: the shares {shares[wrong[0]].tolist()} do not sum to 1")
    texts = [normalise(text or "") for text in frame["text"]]
    kept = [at for at, text in enumerate(texts) if text and held_out.match(text) is None]
    split = Split([texts[at] for at in kept], shares[kept] / shares[kept].sum(axis=1, keepdims=True))
    return Task(name, tuple(ENGLISH), *_set_aside(split, seed), len(texts) - len(kept))


def _labelled(file: Path, held_out: HeldOut) -> tuple[list[str], list[str], int]:
    frame = _frame(file, ("text", "label"))
    texts, labels, dropped = [], [], 0
    for row, (raw, label) in enumerate(zip(frame["text"], frame["label"], strict=True), 1):
        text = normalise(raw or "")
        if not text or not (label or "").strip():
            raise DataError(f"{file}: row {row}: {'no text' if not text else 'no label'}; fill it or take the row out")
        if held_out.match(text) is None:
            texts.append(text)
            labels.append(label.strip())
        else:
            dropped += 1
    return texts, labels, dropped


def _frame(file: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    if not file.is_file():
        raise DataError(f"{file}: no such file; give a file, or a folder with train.csv and valid.csv")
    frame = read_frame(file)
    for column in columns:
        if column not in frame.columns:
            raise DataError(f"{file}: no column {column!r}; it has {', '.join(frame.columns)}")
    return {column: frame[column].cast(str).to_list() for column in columns}


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
