"""The texts an export is proved and calibrated on: held-out rows of each domain, its training texts, our samples.

Prepared folders go in; lists of texts with class and domain ids come out. It knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data import sample
from finsa_moe.data.read import read_rows
from finsa_moe.errors import DataError
from finsa_moe.model.reading import Reading
from finsa_moe.polarity import NAMES

FEWEST = 1000
"""Fewest texts that a parity is measured on."""
UNKNOWN = -1
_USUAL = Reading()


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

    def add(self, file: Path, domain: int, most: int | None = None, reading: Reading = _USUAL) -> None:
        """Add the labelled rows of a file, at most `most` of them, evenly drawn from all.

        Raises:
            DataError: If it cannot be read, or has a row that cannot be used.
        """
        table = read_rows([file], reading.columns, reading.labels, None)
        if table.rejects.height:
            table.check()
        frame = table.frame
        every = np.arange(frame.height)
        kept = every if most is None or most >= len(every) else every[np.linspace(0, len(every) - 1, most).astype(int)]
        texts, labels, names, lines = (frame[name].to_list() for name in ("text", "label", "file", "line"))
        for at in kept.tolist():
            self.texts.append(texts[at])
            self.labels.append(NAMES.index(labels[at]))
            self.domains.append(domain)
            self.places.append(f"{Path(names[at]).name} line {lines[at]}")

    def of(self, domain: int) -> NDArray[np.int64]:
        """Positions of a domain's rows."""
        return np.flatnonzero(np.array(self.domains) == domain)


def held_out(data: Mapping[str, Path], domains: Sequence[str], readings: Mapping[str, Reading] | None = None) -> Texts:
    """Validation and test rows of every domain.

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
                rows.add(file, domains.index(name), reading=(readings or {}).get(name, _USUAL))
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
            rows.add(folder / "train.csv", domains.index(name), most, (readings or {}).get(name, _USUAL))
    return rows


def topped_up(rows: Texts, spare: Texts, fewest: int = FEWEST) -> Texts:
    """The rows and, until there are `fewest`, spare ones and then the package's own samples, whose labels are dropped.

    What is added tells whether two engines agree; it is no held-out data, so it bears no label.
    """
    full = Texts(list(rows.texts), list(rows.labels), list(rows.domains), list(rows.places))
    samples = Texts()
    for domain in sample.DOMAINS:
        samples.add(sample.path(domain), UNKNOWN)
    for more in (spare, samples):
        missing = max(0, fewest - len(full))
        full.texts += more.texts[:missing]
        full.labels += [UNKNOWN] * len(more.texts[:missing])
        full.domains += more.domains[:missing]
        full.places += more.places[:missing]
    return full
