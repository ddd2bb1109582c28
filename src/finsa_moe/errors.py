"""Every error a user can cause, and the check that an optional extra is installed.

Each message is one line that names what was wrong, where, what is allowed and what to do; the command line prints it
and exits with status 2. This module knows nothing of any room above it.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class FinSAError(Exception):
    """Base of every error that the user, not the program, can mend."""


class DataError(FinSAError):
    """A file, a row or a label that cannot be used as it stands."""


class ModelError(FinSAError):
    """A backbone, an adapter or a mixture that is missing, damaged or does not fit."""


class ConfigError(FinSAError):
    """An unknown setting, or a value outside what the setting allows."""


class EndpointError(FinSAError):
    """An endpoint that refuses, cannot be reached, or answers with something else."""


class MissingExtra(FinSAError):  # noqa: N818 - the name is part of the public face
    """An optional dependency that is not installed; the message says which extra brings it."""


EXTRAS = {
    "data": ("polars", "matplotlib", "rensa", "rjieba"),
    "train": (
        "torch", "transformers", "peft", "accelerate", "safetensors", "sklearn", "tensorboard", "onnx", "onnxscript",
    ),
    "qlora": ("bitsandbytes",),
    "fast": ("openvino",),
    "excel": ("python_calamine",),
    "explain": ("shap", "rjieba", "matplotlib"),
    "serve": ("fastapi", "uvicorn", "httptools", "uvloop", "prometheus_client"),
    "scale": ("pyarrow", "statsmodels"),
    "ray": ("ray",),
    "spark": ("pyspark", "pandas"),
}  # fmt: skip
"""The modules that each extra of pyproject.toml names; of two that name one, the first is told."""


def install(extra: str) -> str:
    """How an extra is installed: the package stands on no index, so its own name would bring nothing, or another's."""
    return f"pip install '.[{extra}]' in a clone of the repository, or 'finsa_moe-….whl[{extra}]' where a wheel is used"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: Name to import, e.g. ``"polars"``.
        extra: The extra of `EXTRAS` that brings it, e.g. ``"data"``.
        purpose: What the caller wants it for, as in "reading Parquet".

    Raises:
        MissingExtra: If the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra, purpose) from error


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """The error to show for a module that one of the extras brings; None when none does."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    return None if extra is None else _missing(module, extra, "this command")


def _missing(module: str, extra: str, purpose: str) -> MissingExtra:
    return MissingExtra(f"{purpose} needs {module}, which is not installed: {install(extra)}")


def closest(name: str, known: list[str]) -> str:
    """A clause naming the nearest known word (``"; did you mean 'text'?"``), or nothing when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
