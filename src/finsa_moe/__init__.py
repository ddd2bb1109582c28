"""FinSA-MoE: the polarity (利空, 中性, 利好) of Chinese financial text, from a mixture of one LoRA expert a domain.

``load`` opens a model, `FinSA` answers, a `Prediction` is one answer and an `Explanation` why it is that one; what the
user can mend is a `FinSAError`: of rows a `DataError`, of a model a `ModelError`, of a setting a `ConfigError`, of an
extra that is not installed a `MissingExtra`. Other modules are private but for what the documents name. Importing this
package loads neither torch nor transformers nor polars: each name below is imported when it is first asked for (PEP
562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from finsa_moe._version import __version__

if TYPE_CHECKING:
    from finsa_moe.errors import ConfigError, DataError, FinSAError, MissingExtra, ModelError
    from finsa_moe.explain.explanation import Explanation
    from finsa_moe.face import FinSA, load
    from finsa_moe.polarity import Polarity
    from finsa_moe.runtime.prediction import Prediction

__all__ = [
    "ConfigError", "DataError", "Explanation", "FinSA", "FinSAError", "MissingExtra", "ModelError", "Polarity",
    "Prediction", "__version__", "load",
]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("ConfigError", "DataError", "FinSAError", "MissingExtra", "ModelError"), "finsa_moe.errors"),
    "Explanation": "finsa_moe.explain.explanation",
    "FinSA": "finsa_moe.face",
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
