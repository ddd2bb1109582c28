"""One explained answer: its words with their values by class, the expert that spoke, and what the others would say.

Filled by `explain`; its questions are its methods. It computes nothing that needs a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.explain.shapley import EXACT
from finsa_moe.explain.words import Word
from finsa_moe.polarity import ENGLISH, NAMES, Polarity, chinese

Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a text was answered as it was.

    Attributes:
        text: The text as it was given.
        words: Its words in order; their slices joined are the text.
        values: SHAP values (words, 3), in probability; columns bearish, neutral, bullish. A word that the model does
            not read has zeros.
        scores: The answer to the text, by class: what `values` lead to.
        base: The answer when every word is hidden, by class: where `values` start.
        expert: Domain whose expert answered, and was held; None for a model without experts.
        routed: Whether the router chose that expert, and not the caller.
        expert_weights: The router's weight for every domain; empty without experts.
        experts: What every expert says of the whole text, by domain and class; empty without experts.
        method: ``exact`` (every coalition), ``permutation`` (sampled orders) or ``partition`` (Owen values).
        evaluations: Coalitions that the model answered.
        truncated: Whether the text was too long, so that the network read only its start and end.
        novelty: As in `Prediction`.
        soft: Whether all experts answered, with the router's weights, which were held; `expert` is the leading one.
    """

    text: str
    words: tuple[Word, ...]
    values: Reals
    scores: dict[str, float]
    base: dict[str, float]
    expert: str | None
    routed: bool
    expert_weights: dict[str, float]
    experts: dict[str, dict[str, float]]
    method: str
    evaluations: int
    truncated: bool = False
    novelty: float | None = None
    soft: bool = False

    @property
    def polarity(self) -> Polarity:
        """The class with the highest score."""
        return Polarity(int(np.argmax(list(self.scores.values()))))

    @property
    def sentiment(self) -> str:
        """That class in Chinese: 利空, 中性 or 利好."""
        return NAMES[self.polarity]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return self.scores[ENGLISH[self.polarity]]

    @property
    def exact(self) -> bool:
        """Whether every coalition was looked at, so that nothing was sampled."""
        return self.method == EXACT

    @property
    def gap(self) -> float:
        """How far the values are from adding up: the largest difference over the classes; rounding alone causes it."""
        led = np.array(list(self.scores.values())) - np.array(list(self.base.values()))
        return float(np.abs(self.values.sum(axis=0) - led).max())

    def value(self, polarity: Polarity | None = None) -> Reals:
        """Each word's value (words,) for a class; None is the class answered."""
        column: Reals = self.values[:, self.polarity if polarity is None else polarity]
        return column

    def top(self, n: int = 10, polarity: Polarity | None = None) -> list[tuple[Word, float]]:
        """The `n` words that matter most for a class (None: the class answered), for or against it, strongest first."""
        column = self.value(polarity)
        order = np.argsort(-np.abs(column), kind="stable")[:n]
        return [(self.words[at], float(column[at])) for at in order if column[at] != 0.0]

    def speakers(self, digits: int) -> str:
        """Who spoke and with what weight, and what every other expert would say; empty without experts.

        Args:
            digits: Of a confidence after the point.
        """
        if self.expert is None:
            return ""
        how = "soft gate, router" if self.soft else "router" if self.routed else "given; router"
        parts = [f"{self.expert} ({how} {self.expert_weights[self.expert]:.2f})"]
        for name, scores in self.experts.items():
            if name != self.expert:
                best = max(scores, key=lambda key: scores[key])
                parts.append(f"{name} would say {chinese(best)} {scores[best]:.{digits}f}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; `from_dict` reads it back."""
        return {
            "text": self.text,
            "sentiment": self.sentiment,
            "confidence": self.confidence,
            "scores": self.scores,
            "base": self.base,
            "expert": self.expert,
            "routed": self.routed,
            "soft": self.soft,
            "expert_weights": self.expert_weights,
            "experts": self.experts,
            "words": [
                {
                    "word": word.word, "at": word.at, "start": word.start, "end": word.end,
                    **dict(zip(ENGLISH, row, strict=True)), **({} if word.read else {"read": False}),
                }
                for word, row in zip(self.words, self.values.tolist(), strict=True)
            ],
            "method": self.method,
            "exact": self.exact,
            "evaluations": self.evaluations,
            "truncated": self.truncated,
            "novelty": self.novelty,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Explanation:
        """What `as_dict` gave, read back.

        Raises:
            KeyError, TypeError, ValueError: If it is something else.
        """
        words = tuple(Word(w["start"], w["end"], w["at"], w["word"], w.get("read", True)) for w in entry["words"])
        values = np.array([[w[name] for name in ENGLISH] for w in entry["words"]], dtype=np.float64).reshape(-1, 3)
        plain = {name: entry[name] for name in cls.__dataclass_fields__ if name not in ("words", "values")}
        return cls(words=words, values=values, **plain)

    def rounded(self, digits: int = 6) -> Explanation:
        """The same with every number rounded, as it is written to files."""

        def short(numbers: Mapping[str, float]) -> dict[str, float]:
            return {name: round(float(number), digits) for name, number in numbers.items()}

        return replace(
            self,
            values=self.values.round(digits),
            scores=short(self.scores),
            base=short(self.base),
            expert_weights=short(self.expert_weights),
            experts={name: short(scores) for name, scores in self.experts.items()},
            novelty=None if self.novelty is None else round(self.novelty, digits),
        )
