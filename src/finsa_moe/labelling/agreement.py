"""How far two people's labels of the same rows agree: Cohen's kappa, its interval, and where they part.

Two files of labels in, an `Agreement` out. It does not know how the labels came about, nor who is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.reading.columns import Columns, listed
from finsa_moe.data.reading.rows import cell, text_of
from finsa_moe.data.shares import wilson
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import DataError
from finsa_moe.labelling.sheet import sound_batches
from finsa_moe.polarity import NAMES, LabelMap, Polarity

DRAWS = 2_000


@dataclass(frozen=True)
class Labelled:
    """One label of a file: the text it was given to, and the class."""

    text: str
    label: Polarity


@dataclass(frozen=True)
class Disagreement:
    """A row that two people read differently."""

    id: str
    text: str
    first: str
    second: str


@dataclass(frozen=True)
class Agreement:
    """Two people's labels of the rows that both labelled.

    Attributes:
        counts: int64 (3, 3), rows by the first one's class and the second one's.
        apart: The rows that differ, in the first file's order.
        only_first: Rows that only the first labelled.
        only_second: Rows that only the second labelled.
    """

    counts: NDArray[np.int64]
    apart: list[Disagreement]
    only_first: int
    only_second: int

    @property
    def rows(self) -> int:
        """Rows that both labelled."""
        return int(self.counts.sum())

    @property
    def share(self) -> float:
        """Share of them with the same label, 0 to 1."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where both gave every row one and the same class, so that it is not defined."""
        found = float(cohens_kappa(self.counts[None])[0])
        return None if np.isnan(found) else found

    def interval(self, seed: int = 13, draws: int = DRAWS) -> tuple[float, float] | None:
        """95 % interval of kappa, over rows: the bootstrap's or the score interval's, at each end the wider.

        Of few rows that are all alike, or none, every draw is the same; the score interval is Wilson's of the share
        alike, against the agreement by chance that was found. Draws in which kappa is not defined are left out; None
        where it is not at all.
        """
        if self.kappa is None:
            return None
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(self.rows, (self.counts / self.rows).ravel(), size=draws).reshape(-1, 3, 3)
        low, high = np.nanpercentile(cohens_kappa(drawn), [2.5, 97.5])
        chance = _chance(self.counts[None])[0]
        under, over = ((end - chance) / (1 - chance) for end in wilson(np.array(self.share), self.rows))
        return float(max(-1, min(low, under))), float(max(high, over))

    def as_dict(self) -> dict[str, object]:
        """Plain dict, ready for JSON."""
        interval = self.interval()
        return {
            "rows": self.rows, "same": self.share, "kappa": self.kappa, "interval": interval and list(interval),
            "classes": list(NAMES), "counts": self.counts.tolist(), "only_first": self.only_first,
            "only_second": self.only_second, "apart": [vars(one) for one in self.apart],
        }  # fmt: skip


def cohens_kappa(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Agreement above chance, as a share of what is possible above chance (Cohen 1960); (n,), nan where undefined.

    Args:
        counts: (n, classes, classes), rows by the two raters' classes.
    """
    total = counts.sum(axis=(1, 2))
    observed = np.trace(counts, axis1=1, axis2=2) / total
    chance = _chance(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return found


def _chance(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of rows that would be alike by chance; (n,)."""
    total = counts.sum(axis=(1, 2)).astype(np.float64)
    found: NDArray[np.float64] = (counts.sum(axis=2) * counts.sum(axis=1)).sum(axis=1) / total**2
    return found


def compare(first: Mapping[str, Labelled], second: Mapping[str, Labelled]) -> Agreement:
    """Two people's labels, by id.

    Raises:
        DataError: If no row bears both labels, or an id stands for two texts.
    """
    both = [key for key in first if key in second]
    if not both:
        raise DataError(
            f"no id stands in both files ({listed(list(first)[:3])}; {listed(list(second)[:3])}); both people must "
            "label the same sample, or name the column of ids by --id"
        )
    counts = np.zeros((3, 3), dtype=np.int64)
    apart = []
    for key in both:
        one, other = first[key], second[key]
        if one.text != other.text and duplicate_key(one.text) != duplicate_key(other.text):
            raise DataError(f"id {key!r} is {one.text[:20]!r} in one file and {other.text[:20]!r} in the other; "
                            "both people must label the same sample")  # fmt: skip
        counts[one.label, other.label] += 1
        if one.label is not other.label:
            apart.append(Disagreement(key, one.text, one.label.chinese, other.label.chinese))
    return Agreement(counts, apart, len(first) - len(both), len(second) - len(both))


def read_labels(path: Path, columns: Columns, labels: LabelMap) -> dict[str, Labelled]:
    """The labels of a file by id; rows without a label are left out.

    Raises:
        DataError: If the file cannot be read, lacks a column, has an unknown label, a labelled row without an id, or an
            id twice.
    """
    found: dict[str, Labelled] = {}
    without = 0
    for batch, at in sound_batches(path, columns):
        if at.id is None and not batch.more:
            raise DataError(f"{path}: no id column; columns found: {listed(batch.names)}; name it by --id COL")
        for row, line in zip(batch.rows, batch.lines, strict=True):
            word, id = cell(row, at.label), cell(row, at.id)  # noqa: A001
            if not word:
                continue
            polarity = labels(word)
            if polarity is None:
                raise DataError(f"{path}, line {line}: {word!r} is no label; spell it by --labels, as in 2=利好")
            if not id:
                without = without or line  # of JSON the column may yet come, or be none
                continue
            if id in found:
                raise DataError(f"{path}, line {line}: id {id!r} stands twice; keep one row of it")
            found[id] = Labelled(text_of(row, at.text), polarity)
    if without:
        raise DataError(f"{path}, line {without}: the id is empty; fill it, or name another column by --id")
    return found
