"""FinSA-MoE: the polarity (利空, 中性, 利好) of Chinese financial text, from a mixture of one LoRA expert a domain.

``load`` opens a model, `FinSA` answers, a `Prediction` is one answer and an `Explanation` why it is that one; what the
user can mend is a `FinSAError`. Importing this package loads neither torch nor transformers nor polars: each name below
is imported when it is first asked for (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from finsa_moe._version import __version__

if TYPE_CHECKING:
    from finsa_moe.errors import FinSAError
    from finsa_moe.explain.explanation import Explanation
    from finsa_moe.face import FinSA, load
    from finsa_moe.polarity import Polarity
    from finsa_moe.runtime.prediction import Prediction

__all__ = ["Explanation", "FinSA", "FinSAError", "Polarity", "Prediction", "__version__", "load"]

_HOMES = {
    "Explanation": "finsa_moe.explain.explanation",
    "FinSA": "finsa_moe.face",
    "FinSAError": "finsa_moe.errors",
    "load": "finsa_moe.face",
    "Polarity": "finsa_moe.polarity",
    "Prediction": "finsa_moe.runtime.prediction",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'finsa_moe' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next access is a plain attribute
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
