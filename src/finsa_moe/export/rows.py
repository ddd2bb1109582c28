"""The texts an export is proved and calibrated on: held-out rows of each domain, its training texts, our samples.

Prepared folders go in; lists of texts with class and domain ids come out. It knows no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.reading.read import read_rows
from finsa_moe.data.samples import DOMAINS
from finsa_moe.data.samples import path as sample
from finsa_moe.errors import DataError
from finsa_moe.export.calibrate import FEWEST
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.polarity import NAMES

PROVED, PROVED_EACH = 1000, 400
"""Fewest texts that a parity is measured on, and fewest that every expert is given of them."""
UNKNOWN = -1


@dataclass
class Texts:
    """Texts with what is known of them.

    Attributes:
        texts: As written.
        labels: Class ids; -1 where unknown.
        domains: Expert ids; -1 where unknown.
        places: File and line of each, for messages.
    """

    texts: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    domains: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def copy(self) -> Texts:
        """The same, to be added to."""
        return Texts(list(self.texts), list(self.labels), list(self.domains), list(self.places))

    def add(self, file: Path, domain: int, most: int | None = None, reading: Reading = USUAL) -> None:
        """Add the labelled rows of a file, at most `most` of them, evenly drawn from all.

        Raises:
            DataError: If it cannot be read, or has a row that cannot be used.
        """
        table = read_rows([file], reading.columns, reading.labels, None)
        if table.rejects.height:
            table.check()
        frame = table.frame
        kept = evenly(frame.height, frame.height if most is None else most)
        texts, labels, names, lines = (frame[name].to_list() for name in ("text", "label", "file", "line"))
        for at in kept.tolist():
            self.texts.append(texts[at])
            self.labels.append(NAMES.index(labels[at]))
            self.domains.append(domain)
            self.places.append(f"{Path(names[at]).name} line {lines[at]}")

    def take(self, other: Texts, at: Sequence[int] | NDArray[np.int64]) -> None:
        """Add some of another's texts, without their labels."""
        for place in at:
            self.texts.append(other.texts[place])
            self.labels.append(UNKNOWN)
            self.domains.append(other.domains[place])
            self.places.append(other.places[place])

    def of(self, domain: int) -> NDArray[np.int64]:
        """Positions of a domain's rows."""
        return np.flatnonzero(np.array(self.domains) == domain)


def held_out(data: Mapping[str, Path], domains: Sequence[str], readings: Mapping[str, Reading] | None = None) -> Texts:
    """Validation and test rows of every domain, by which forms of the mixture are held against each other.

    Args:
        data: Prepared folder of each domain at hand.
        domains: The mixture's.
        readings: How the rows of a domain are read, where not by the usual names.

    Raises:
        DataError: If a folder holds neither or has a row that cannot be used, or stands for no domain.
    """
    rows = Texts()
    for name, folder in data.items():
        if name not in domains:
            raise DataError(f"--data {name}={folder}: the mixture has no expert {name}; it has {', '.join(domains)}")
        files = [folder / f"{split}.csv" for split in ("valid", "test")]
        before = len(rows)
        for file in files:
            if file.is_file():
                rows.add(file, domains.index(name), reading=(readings or {}).get(name, USUAL))
        if len(rows) == before:
            raise DataError(f"{folder}: no rows in valid.csv or test.csv; make the folder with finsa prepare")
    return rows


def training(
    data: Mapping[str, Path], domains: Sequence[str], readings: Mapping[str, Reading] | None = None, *, most: int = 2000
) -> Texts:
    """Training rows of every domain, at most so many of each; arguments and errors as those of `held_out`."""
    rows = Texts()
    for name, folder in data.items():
        if (folder / "train.csv").is_file():
            rows.add(folder / "train.csv", domains.index(name), most, (readings or {}).get(name, USUAL))
    return rows


def fitting(
    data: Mapping[str, Path], domains: Sequence[str], readings: Mapping[str, Reading] | None = None
) -> tuple[Texts, tuple[str, ...]]:
    """What temperatures and the measure of novelty are fitted on: validation rows, and test rows where those are few.

    Args: as those of `held_out`, which has looked at the folders.

    Returns:
        The rows, and the domains whose test rows are among them.
    """
    rows, tested = Texts(), []
    for name, folder in data.items():
        start = len(rows)
        for split in ("valid", "test"):
            before = len(rows)
            if (folder / f"{split}.csv").is_file():
                rows.add(folder / f"{split}.csv", domains.index(name), reading=(readings or {}).get(name, USUAL))
            if len(rows) > before and split == "test":
                tested.append(name)
            if len(rows) - start >= FEWEST:
                break
    return rows, tuple(tested)


def samples() -> Texts:
    """The package's own samples: of no known domain, and without labels, for they are no held-out data."""
    found = Texts()
    for domain in DOMAINS:
        found.add(sample(domain), UNKNOWN)
    found.labels = [UNKNOWN] * len(found)
    return found


def topped_up(rows: Texts, spare: Texts, experts: int) -> Texts:
    """The rows and as many spare ones, and then samples, as a parity needs: `PROVED` in all, `PROVED_EACH` an expert.

    What is added bears no label. Spare rows are taken from all domains in turn.
    """
    full = rows.copy()
    own, turn = Counter(full.domains), np.zeros(len(spare))
    for domain in set(spare.domains):
        turn[spare.of(domain)] = np.arange(len(spare.of(domain)))
    for at in turn.argsort(kind="stable").tolist():
        if len(full) < PROVED or own[spare.domains[at]] < PROVED_EACH:
            full.take(spare, [at])
            own[spare.domains[at]] += 1
    more = samples()
    missing = max(PROVED - len(full), *(PROVED_EACH - own[expert] for expert in range(experts)))
    full.take(more, evenly(len(more), missing))
    return full


def with_samples(rows: Texts, experts: int) -> Texts:
    """The rows, and the samples beside them where an expert has none of its own."""
    if all(len(rows.of(expert)) for expert in range(experts)):
        return rows
    full, more = rows.copy(), samples()
    full.take(more, range(len(more)))
    return full


def by_expert(rows: Texts, experts: int) -> list[NDArray[np.int64]]:
    """Positions of the texts that each expert is given: its domain's, and of no known domain's as many as it lacks."""
    strange = rows.of(UNKNOWN)
    found = []
    for expert in range(experts):
        own = rows.of(expert)
        found.append(np.concatenate([own, strange[evenly(len(strange), PROVED_EACH - len(own))]]))
    return found


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of 0..count-1, as far from each other as can be."""
    return np.arange(count) if most >= count else np.linspace(0, count - 1, max(0, most)).astype(np.int64)
