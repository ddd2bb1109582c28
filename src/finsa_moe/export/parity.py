"""The gate of an export: the same texts through the torch mixture and through the graphs, and how far they differ.

Two engines and texts go in, a `Parity` comes out, which says whether it holds. It knows no files and no training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.evaluation.metrics import score
from finsa_moe.export.rows import UNKNOWN, Texts
from finsa_moe.runtime.engine import Engine
from finsa_moe.runtime.predictor import Predictor

SAME = 0.995
"""Least share of texts that must keep their polarity."""
LOSS = 0.3
"""Most points of macro-F1 that may be lost."""
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How one exported form answers beside the torch mixture.

    Attributes:
        engine: What ran it.
        texts: Texts compared, each routed and by its own domain's expert.
        same: Share with the same polarity, the lower of the two ways.
        largest: Largest difference of a class probability.
        labelled: Labelled rows behind the two macro-F1.
        macro_f1_torch: Routed, in percent; None without labelled rows.
        macro_f1: The same of the exported form.
        moved: Where the text stands that moved most.
    """

    engine: str
    texts: int
    same: float
    largest: float
    labelled: int
    macro_f1_torch: float | None
    macro_f1: float | None
    moved: str

    @property
    def lost(self) -> float:
        """Points of macro-F1 lost; negative when the exported form is better."""
        return 0.0 if self.macro_f1 is None or self.macro_f1_torch is None else self.macro_f1_torch - self.macro_f1

    @property
    def holds(self) -> bool:
        """Whether the exported form may stand for the mixture."""
        return self.same >= SAME and self.lost <= LOSS

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return {**asdict(self), "lost": self.lost, "holds": self.holds}

    def complaint(self) -> str:
        """One clause on what differs."""
        return (
            f"{self.engine}: {100 * self.same:.2f} % of {self.texts:,} texts keep their polarity ({100 * SAME:.1f} % "
            f"needed), macro-F1 loses {self.lost:.2f} points ({LOSS} allowed); most moved is {self.moved}, by "
            f"{self.largest:.3f}"
        )


class Reference:
    """The torch mixture's answers, computed once and held against any number of exported forms."""

    def __init__(self, engine: Engine, rows: Texts) -> None:
        self.rows = rows
        self.own = _own_expert(rows, len(engine.domains))
        self.probs = self._answers(engine)

    def _answers(self, engine: Engine) -> tuple[Reals, Reals]:
        predictor = Predictor(engine)
        names = [engine.domains[expert] for expert in self.own]
        return predictor.predict_proba(self.rows.texts), predictor.predict_proba(self.rows.texts, names)

    def against(self, engine: Engine) -> Parity:
        """Compare an exported form, whose temperatures must still be 1."""
        found = self._answers(engine)
        same = min(float((a.argmax(1) == b.argmax(1)).mean()) for a, b in zip(self.probs, found, strict=True))
        gaps = np.maximum(*(np.abs(a - b).max(axis=1) for a, b in zip(self.probs, found, strict=True)))
        labels = np.array(self.rows.labels)
        known = labels != UNKNOWN
        scores: list[float | None] = [None, None]
        if known.any():
            over = np.unique(labels[known]).tolist()
            scores = [
                100 * score(labels[known], probs[known], resamples=1, classes=over).macro_f1
                for probs in (self.probs[0], found[0])
            ]
        return Parity(
            engine=engine.name, texts=len(self.rows), same=same, largest=float(gaps.max()), labelled=int(known.sum()),
            macro_f1_torch=scores[0], macro_f1=scores[1], moved=self.rows.places[int(gaps.argmax())],
        )  # fmt: skip


def _own_expert(rows: Texts, experts: int) -> list[int]:
    """The expert of each text's domain; texts of no known domain go round all experts."""
    return [domain if domain != UNKNOWN else at % experts for at, domain in enumerate(rows.domains)]
