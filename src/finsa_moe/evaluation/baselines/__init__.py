"""What a user would pick instead of a mixture: models behind one `fit` and `predict_proba`, each named by a spec."""

from __future__ import annotations

from finsa_moe.evaluation.baselines.registry import Baseline, make, names
from finsa_moe.evaluation.baselines.spec import Spec

__all__ = ["Baseline", "Spec", "make", "names"]
