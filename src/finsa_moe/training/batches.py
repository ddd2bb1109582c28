"""Rows of a prepared split as batches: encoding once, grouping by length, padding on the right.

`train.csv`, `valid.csv` and the model's own `TextEncoder` go in; padded tensors come out. Nothing here knows a model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from finsa_moe.config import TrainConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.encode import TextEncoder
from finsa_moe.data.reading.read import read_rows
from finsa_moe.errors import DataError
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.polarity import NAMES

Ids = NDArray[np.integer[Any]]
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Texts with class ids of one split of one domain."""

    file: Path
    texts: list[str]
    labels: list[int]

    def counts(self) -> list[int]:
        """Rows of each class, in the order of `Polarity`."""
        return [self.labels.count(index) for index in range(len(NAMES))]

    def apart(self, held: HeldOut) -> Rows:
        """The rows that are neither equal nor near to a text that a model is going to be judged by.

        Raises:
            DataError: If none is.
        """
        if not len(held):
            return self
        kept = [at for at, text in enumerate(self.texts) if held.match(text) is None]
        if not kept:
            raise DataError(f"{self.file}: all {len(self.texts):,} rows are equal or near to texts of --hold-out")
        return Rows(self.file, [self.texts[at] for at in kept], [self.labels[at] for at in kept])


def read_split(folder: Path, split: str, reading: Reading = USUAL) -> Rows:
    """Read ``<split>.csv`` of a prepared folder.

    Raises:
        DataError: If it is missing, empty, or holds a row that cannot be used: training never skips rows silently.
    """
    file = folder / f"{split}.csv"
    if folder.is_file():
        raise DataError(
            f"{folder}: a file, where a folder of splits is needed; make one with: "
            f"finsa prepare {folder} --domain NAME --out DIR"
        )
    if not file.is_file():
        raise DataError(f"{file}: missing; make the folder with: finsa prepare SRC --domain NAME --out {folder}")
    table = read_rows([file], reading.columns, reading.labels, None)
    if table.rejects.height:  # a file of no rows at all has a remedy of its own
        table.check("mend it or run finsa prepare")
    if not len(table.frame):
        raise DataError(f"{file}: no rows; the {split} split needs at least one, widen it with --ratios")
    ids = {name: index for index, name in enumerate(NAMES)}
    return Rows(file, table.frame["text"].to_list(), [ids[name] for name in table.frame["label"]])


class EncodedRows(Dataset[dict[str, Any]]):
    """Rows as token ids with their class and domain ids, in arrays: millions of rows take four bytes a token.

    Args:
        parts: (rows, domain id) pairs; they stand one after another.
        encoder: The model's encoder.
    """

    def __init__(self, parts: Sequence[tuple[Rows, int]], encoder: TextEncoder) -> None:
        labels = np.concatenate([np.array(rows.labels, np.int32) for rows, _ in parts])
        domains = np.repeat([domain for _, domain in parts], [len(rows.texts) for rows, _ in parts])
        self._hold(encoder, chain.from_iterable(rows.texts for rows, _ in parts), labels, domains)

    def _hold(
        self, encoder: TextEncoder, texts: Iterable[str], labels: Ids, domains: Ids, targets: Reals | None = None
    ) -> None:
        self._ids, self._starts = encoder.packed(texts)
        self._labels, self._domains, self._targets = labels, domains.astype(np.int32), targets
        self.lengths = np.diff(self._starts)

    def mark(self) -> str:
        """16 hexadecimal digits of SHA-256 over all that is learnt from the rows: ids, classes, domains, shares."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            row = self[index]
            digest.update(repr([row["input_ids"].tolist(), row["labels"], row["domains"]]).encode())
            if "targets" in row:
                digest.update(row["targets"].tobytes())
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``input_ids`` int32 (t,), ``labels`` and ``domains``; of some rows ``targets`` float32 (classes,)."""
        row = {
            "input_ids": self._ids[self._starts[index] : self._starts[index + 1]],
            "labels": int(self._labels[index]),
            "domains": int(self._domains[index]),
        }
        return row if self._targets is None else row | {"targets": self._targets[index]}


@dataclass(frozen=True)
class Collator:
    """Pads a batch on the right to a multiple of 8 tokens."""

    pad_id: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` int64 (batch, length); ``labels``, ``domains`` int64 (batch,).

        Where rows have ``targets``, a share for each class, they come as float32 (batch, classes).
        """
        longest = max(len(row["input_ids"]) for row in rows)
        width = -(-longest // 8) * 8
        ids = torch.full((len(rows), width), self.pad_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[index, :length] = torch.tensor(row["input_ids"])
            mask[index, :length] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if "targets" in rows[0]:
            batch["targets"] = torch.from_numpy(np.stack([row["targets"] for row in rows]))
        return batch | {key: torch.tensor([row[key] for row in rows]) for key in ("labels", "domains")}


def steps_of(settings: TrainConfig, rows: int) -> int:
    """Steps of a run over so many rows: `max_steps` where it is set, else of all `epochs`, a part of a step as one."""
    steps_an_epoch = -(-rows // (settings.batch_size * settings.gradient_accumulation))
    return settings.max_steps if settings.max_steps > 0 else math.ceil(settings.epochs * steps_an_epoch)


class LengthGroupedSampler(Sampler[int]):
    """Random order in which neighbours are of like length: chunks of 50 batches are sorted, their batches shuffled.

    The last batch is filled with the first rows drawn, so that all rows of a step count alike, and the same ones
    whatever the number of processes. The order follows from seed and epoch alone, so that a resumed run sees the
    batches it would have seen. (The Trainer's own grouping draws from the global generator and cannot promise that.)
    """

    def __init__(self, lengths: np.ndarray[Any, Any], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        whole = len(order) - len(order) % self.batch_size
        batches = []
        for start in range(0, whole, 50 * self.batch_size):
            chunk = order[start : min(start + 50 * self.batch_size, whole)]
            batches.append(chunk[np.argsort(self.lengths[chunk], kind="stable")].reshape(-1, self.batch_size))
        if batches:
            yield from rng.permutation(np.concatenate(batches)).ravel().tolist()
        if whole < len(order):
            yield from order[whole:].tolist()
            yield from np.resize(order, len(self) - len(order)).tolist()
