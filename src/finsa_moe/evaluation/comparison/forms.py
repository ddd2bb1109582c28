"""The mixture in a comparison: routed, an expert fixed, or the true domain's expert, from one loaded model.

A loaded model (`FinSA`, or anything that answers as it does) and a spec's options go in, answers by test set come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison.cells import Answers
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.evaluation.results import ORACLE, ROUTED


class MixtureForm:
    """One way to run a mixture.

    Args:
        model: What `finsa_moe.load` gives.
        spec: ``finsa[:DIR][?run=routed|oracle|EXPERT&gate=hard|soft]``; the gate was set when the model was loaded.

    Raises:
        ConfigError: If it has no such expert.
    """

    def __init__(self, model: Any, spec: Spec) -> None:
        spec.only("run", "gate", target=bool(spec.target))
        self.model, self.spec = model, spec
        self.run = spec.word("run", ROUTED, (ROUTED, ORACLE, *model.domains))

    def check(self, sets: Sequence[TestSet]) -> None:
        """See that every set can be answered.

        Raises:
            ConfigError: If the true domain's expert is asked for and a set's domain has none.
        """
        for one in sets:
            if self.run == ORACLE and one.domain not in self.model.domains:
                raise ConfigError(
                    f"model {self.spec.text}: no expert for {one.name}; the mixture has "
                    f"{', '.join(self.model.domains)}: call the set after one, as in --test news/latest=FILE"
                )

    def answers(self, sets: Sequence[TestSet]) -> Answers:
        """Answer every test set; `check` tells before whether it can."""
        self.check(sets)
        probs, experts = {}, {}
        for one in sets:
            domain = one.domain if self.run == ORACLE else None if self.run == ROUTED else self.run
            answered = self.model.predict(list(one.texts), domain=domain)
            probs[one.name] = np.array([list(a.scores.values()) for a in answered], dtype=np.float32)
            if self.run == ROUTED:
                experts[one.name] = [a.expert for a in answered]
        return Answers(probs, experts, {"experts": list(self.model.domains)})
