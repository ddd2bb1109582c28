"""The gate of an export: the same texts through the torch mixture and through the graphs, and how far they differ.

Two engines and texts go in, a `Parity` comes out, which says whether it holds. It knows no files and no training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.evaluation.metrics import score
from finsa_moe.export.rows import UNKNOWN, Texts, by_expert
from finsa_moe.runtime.engine import Engine
from finsa_moe.runtime.predictor import Predictor

SAME, SAME_EACH = 0.995, 0.99
"""Least shares of texts that must keep their polarity, routed, and of those that each expert is given, which are fewer:
of 400, three that differ by rounding alone are no rarity."""
LOSS = 0.3
"""Most points of macro-F1 that may be lost."""
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How one exported form answers beside the torch mixture.

    Attributes:
        engine: What ran it.
        texts: Texts compared, each routed, and given to its own domain's expert.
        same: Share with the same polarity, routed or of one expert's texts: where it is lowest beside what is needed.
        largest: Largest difference of a class probability.
        labelled: Labelled rows behind the two macro-F1.
        macro_f1_torch: Routed, in percent; None without labelled rows.
        macro_f1: The same of the exported form.
        moved: Where the text stands that moved most.
        lowest: Where `same` was counted: ``"routed"``, or ``"by the expert NAME"``.
        counted: Texts there.
        needed: Least share there.
    """

    engine: str
    texts: int
    same: float
    largest: float
    labelled: int
    macro_f1_torch: float | None
    macro_f1: float | None
    moved: str
    lowest: str = "routed"
    counted: int = 0
    needed: float = SAME

    @property
    def lost(self) -> float:
        """Points of macro-F1 lost; negative when the exported form is better."""
        return 0.0 if self.macro_f1 is None or self.macro_f1_torch is None else self.macro_f1_torch - self.macro_f1

    @property
    def holds(self) -> bool:
        """Whether the exported form may stand for the mixture."""
        return self.same >= self.needed and self.lost <= LOSS

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return {**asdict(self), "lost": self.lost, "holds": self.holds}

    def complaint(self) -> str:
        """One clause on what differs."""
        return (
            f"{self.engine}: {100 * self.same:.2f} % of {self.counted:,} texts keep their polarity {self.lowest} "
            f"({100 * self.needed:.1f} % needed), macro-F1 loses {self.lost:.2f} points ({LOSS} allowed); most moved "
            f"is {self.moved}, by {self.largest:.3f}"
        )


class Reference:
    """The torch mixture's answers, computed once and held against any number of exported forms.

    Args:
        engine: The mixture.
        rows: Texts, of which every expert is given those of its domain, and others where these are few
            (`rows.by_expert`).
    """

    def __init__(self, engine: Engine, rows: Texts) -> None:
        self.rows = rows
        own = dict(zip(engine.domains, by_expert(rows, len(engine.domains)), strict=True))
        self.own = {name: at for name, at in own.items() if len(at)}
        self.probs = self._answers(engine)

    def _answers(self, engine: Engine) -> list[Reals]:
        """Class probabilities (n, 3) of all texts routed, and of each expert's by it."""
        predictor = Predictor(engine)
        names = [name for name, at in self.own.items() for _ in at]
        texts = [self.rows.texts[at] for places in self.own.values() for at in places.tolist()]
        ends = np.cumsum([len(at) for at in self.own.values()])[:-1]
        return [predictor.predict_proba(self.rows.texts), *np.split(predictor.predict_proba(texts, names), ends)]

    def against(self, engine: Engine) -> Parity:
        """Compare an exported form, whose temperatures must still be 1."""
        return self._parity(engine.name, self._answers(engine))

    def routed(self, engine: Engine) -> Parity:
        """Compare an exported form in which the router alone can choose an expert."""
        return self._parity(engine.name, [Predictor(engine).predict_proba(self.rows.texts)])

    def _parity(self, name: str, found: Sequence[Reals]) -> Parity:
        ways = ["routed", *(f"by the expert {domain}" for domain in self.own)]
        places = [np.arange(len(self.rows)), *self.own.values()]
        same, gaps = [], np.zeros(len(self.rows), dtype=np.float32)
        for at, ours, theirs in zip(places, self.probs, found, strict=False):  # routed alone comes first
            same.append(float((ours.argmax(1) == theirs.argmax(1)).mean()))
            np.maximum.at(gaps, at, np.abs(ours - theirs).max(axis=1))
        needed = [SAME, *(SAME_EACH for _ in self.own)]
        lowest = int(np.argmin(np.subtract(same, needed[: len(same)])))
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
            engine=name, texts=len(self.rows), same=same[lowest], largest=float(gaps.max()), labelled=int(known.sum()),
            macro_f1_torch=scores[0], macro_f1=scores[1], moved=self.rows.places[int(gaps.argmax())],
            lowest=ways[lowest], counted=len(places[lowest]), needed=needed[lowest],
        )  # fmt: skip
