"""The answers that are wrong and most confident: what a reader wants to see before trusting the others.

Test sets and a model's answers go in, examples come out, each with room for an explanation. It explains nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finsa_moe.evaluation.comparison.cells import Answers
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.explain.explanation import Explanation
from finsa_moe.polarity import Polarity


@dataclass(frozen=True)
class Example:
    """One wrong answer.

    Attributes:
        name: The test set.
        text: As written.
        truth: Its label.
        said: The answer.
        confidence: The answer's probability.
        expert: Who answered; None for a model without experts.
        why: The explanation; None where there is none.
    """

    name: str
    text: str
    truth: Polarity
    said: Polarity
    confidence: float
    expert: str | None = None
    why: Explanation | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "set": self.name, "text": self.text, "truth": self.truth.chinese, "answer": self.said.chinese,
            "confidence": self.confidence, "expert": self.expert,
            "explanation": None if self.why is None else self.why.rounded().as_dict(),
        }  # fmt: skip


def wrong(sets: Sequence[TestSet], answers: Answers, n: int) -> list[Example]:
    """The `n` most confident wrong answers of each test set, the surest first; of equal texts only the first."""
    found = []
    for one in sets:
        probs = answers.probs[one.name]
        said, sure = probs.argmax(axis=1), probs.max(axis=1)
        seen: set[str] = set()
        for at in np.argsort(-sure, kind="stable").tolist():
            if len(seen) == n:
                break
            if said[at] == one.truth[at] or one.texts[at] in seen:
                continue
            seen.add(one.texts[at])
            experts = answers.experts.get(one.name)
            found.append(Example(
                one.name, one.texts[at], Polarity(int(one.truth[at])), Polarity(int(said[at])), float(sure[at]),
                experts[at] if experts else None,
            ))  # fmt: skip
    return found
