"""Test sets as one: their texts in a row, and a model's answers to them.

Test sets and answers go in, a test set and answers come out. It scores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finsa_moe.evaluation.comparison.cells import Answers
from finsa_moe.evaluation.comparison.comparison import TestSet


def pool(sets: Sequence[TestSet], name: str) -> TestSet:
    """All texts of some test sets under one name; its domain is theirs, or none where they have several."""
    domains = {one.domain for one in sets}
    leaked = [one.leaked for one in sets if one.leaked is not None]
    return TestSet(
        name, domains.pop() if len(domains) == 1 else "", [text for one in sets for text in one.texts],
        np.concatenate([one.truth for one in sets]), np.concatenate([one.clusters for one in sets]),
        np.concatenate(leaked) if len(leaked) == len(sets) else None,
    )  # fmt: skip


def pooled_answers(answers: Answers, sets: Sequence[TestSet], name: str) -> Answers:
    """A model's answers to the texts of `pool`, in their order."""
    probs = np.concatenate([answers.probs[one.name] for one in sets])
    routed = all(answers.experts.get(one.name) for one in sets)
    experts = {name: [expert for one in sets for expert in answers.experts[one.name]]} if routed else {}
    return Answers({name: probs}, experts, answers.facts)
