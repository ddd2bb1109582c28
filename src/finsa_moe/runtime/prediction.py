"""One answer about one text, and the two shapes it is handed on in: a flat row for a table, a nested dict for JSON.

Built by the predictor from the network's numbers. It knows the three classes and nothing of models or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from finsa_moe.polarity import ENGLISH, NAMES, Polarity

STRANGE = 0.99
"""From this novelty on a text counts as unlike those that the model learnt from."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The polarity of one text.

    Attributes:
        text: The text as it was given.
        sentiment: 利空, 中性 or 利好: the class with the highest score.
        confidence: Its probability, in [0, 1].
        scores: Probability by class: ``bearish``, ``neutral``, ``bullish``; they sum to 1.
        expert: Domain whose expert answered: the one asked for, else the router's choice.
        expert_weights: The router's weight for every domain, summing to 1, also where the domain was given.
        novelty: How unlike every known domain the text is: the share of known texts that are nearer, in [0, 1]; None
            where the model cannot say (a torch mixture that was not exported).
        truncated: Whether the text was too long and its middle was cut.
        uncertain: Whether the confidence is under the threshold the caller set.
        seconds: Wall time of the work, in seconds; a text answered together with others bears an equal share.
    """

    text: str
    sentiment: str
    confidence: float
    scores: dict[str, float]
    expert: str
    expert_weights: dict[str, float]
    novelty: float | None = None
    truncated: bool = False
    uncertain: bool = False
    seconds: float = 0.0

    @property
    def polarity(self) -> Polarity:
        """The class as a number: 0 bearish, 1 neutral, 2 bullish."""
        return Polarity(NAMES.index(self.sentiment))

    @property
    def label(self) -> str:
        """The class in English, as the service's answers spell it: bearish, neutral or bullish."""
        return self.polarity.english

    @property
    def expert_weight(self) -> float:
        """The router's weight for the expert that answered."""
        return self.expert_weights[self.expert]

    @property
    def strange(self) -> bool:
        """Whether the text is unlike those that the model learnt from, so that someone should look at it."""
        return self.novelty is not None and self.novelty >= STRANGE

    def as_dict(self) -> dict[str, object]:
        """Every field, nested as in the class, ready for JSON."""
        return asdict(self)

    def answers(self) -> dict[str, object]:
        """The answer as a flat row, to be added to what the caller has of the text; typed by `answer_columns`."""
        return {
            "sentiment": self.sentiment,
            "confidence": self.confidence,
            **{name: self.scores[name] for name in ENGLISH},
            "expert": self.expert,
            "expert_weight": self.expert_weight,
            **{f"weight_{domain}": weight for domain, weight in self.expert_weights.items()},
            "novelty": self.novelty,
            "truncated": self.truncated,
            "uncertain": self.uncertain,
        }


def answer_columns(domains: Sequence[str]) -> dict[str, type]:
    """Names, in order, and Python types of the columns that `Prediction.answers` gives for these domains."""
    return {
        "sentiment": str,
        "confidence": float,
        **dict.fromkeys(ENGLISH, float),
        "expert": str,
        "expert_weight": float,
        **{f"weight_{domain}": float for domain in domains},
        "novelty": float,
        "truncated": bool,
        "uncertain": bool,
    }


def free_names(answers: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Where each answer goes in a table whose columns all stay: under its own name, else as ``predicted_…``.

    A file that has a label column `sentiment` keeps it; the answer becomes `predicted_sentiment`.
    """
    used, names = set(taken), {}
    for answer in answers:
        name = answer
        while name in used:
            name = f"predicted_{name}"
        used.add(name)
        names[answer] = name
    return names
