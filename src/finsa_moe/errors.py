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


class BadPieceError(DataError):
    """A part of a file that cannot be read; the others can."""


class EndpointError(FinSAError):
    """An endpoint that refuses, cannot be reached, or answers with something else."""


class PassingError(EndpointError):
    """A failure of an endpoint that another try may not meet.

    Attributes:
        wait: Seconds the endpoint asks to wait, 0 where it does not say.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(EndpointError):
    """A request refused for what it holds, as a filter or a limit of length does: another may be answered."""


class RunLost(FinSAError):  # noqa: N818 - a state of the run, told to the user
    """Another process of a run is gone, and the run with it."""


class MissingExtra(FinSAError):  # noqa: N818 - the name is part of the public face
    """An optional dependency that is not installed; the message says which extra brings it."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: Name to import, e.g. ``"polars"``.
        extra: The extra of this package that installs it, e.g. ``"data"``.
        purpose: What the caller wants it for, as in "reading Parquet".

    Raises:
        MissingExtra: If the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs {module}, which is not installed: pip install 'finsa-moe[{extra}]'"
        ) from error


_EXTRA_OF = {
    **dict.fromkeys(("polars", "matplotlib", "rensa", "rjieba"), "data"),
    **dict.fromkeys(
        (
            "torch",
            "transformers",
            "peft",
            "accelerate",
            "safetensors",
            "sklearn",
            "tensorboard",
            "onnx",
            "onnxscript",
        ),
        "train",
    ),
    **dict.fromkeys(("fastapi", "uvicorn", "httptools", "prometheus_client"), "serve"),
    "bitsandbytes": "qlora",
    "openvino": "fast",
    "shap": "explain",
    **dict.fromkeys(("pyarrow", "fsspec", "statsmodels"), "scale"),
    "ray": "ray",
    "pyspark": "spark",
}


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """The error to show for a module that one of the extras brings; None when none does."""
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRA_OF:
        return None
    extra = _EXTRA_OF[module]
    return MissingExtra(f"this command needs {module}, which is not installed: pip install 'finsa-moe[{extra}]'")


def closest(name: str, known: list[str]) -> str:
    """A clause naming the nearest known word (``"; did you mean 'text'?"``), or nothing when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
