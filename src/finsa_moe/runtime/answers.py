"""The numbers of answers before they are answers: for a window or a batch of texts, and for each text as one row.

What the predictor's network gave is put in here; `prediction` has what is made of it. It runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import DataError
from finsa_moe.polarity import ENGLISH
from finsa_moe.runtime.repeats import Rows


@dataclass(frozen=True)
class Numbers:
    """The numbers for some texts, a window or a batch; rows of refused texts are zero."""

    probs: NDArray[np.float32]
    gate: NDArray[np.float32]
    novelty: NDArray[np.float32] | None
    experts: NDArray[np.int64]
    truncated: list[bool]
    refused: dict[int, DataError]
    seconds: float

    @classmethod
    def of(cls, rows: Rows, refused: dict[int, DataError], seconds: float) -> Numbers:
        """From one row a text (`row_type`)."""
        novelty = None if np.isnan(rows["novelty"]).all() else np.nan_to_num(rows["novelty"])
        return cls(rows["probs"], rows["gate"], novelty, rows["expert"], rows["truncated"].tolist(), refused, seconds)


def row_type(experts: int) -> np.dtype[Any]:
    """The type of one text's row, of a mixture of so many experts; `novelty` is NaN where the model cannot say."""
    return np.dtype([
        ("probs", np.float32, len(ENGLISH)), ("gate", np.float32, experts), ("novelty", np.float32),
        ("expert", np.int64), ("truncated", np.bool_), ("refused", np.bool_),
    ])  # fmt: skip


def refusal(text: object, position: int) -> DataError:
    """Why a text that gave no token is not answered."""
    if not isinstance(text, str):
        return DataError(f"text {position} is {text!r} ({type(text).__name__}), not a string; drop it or fill it")
    found = "is empty" if not text else "holds nothing but whitespace or characters that carry no text"
    return DataError(f"text {position} (counted from 0) {found}; drop it or fill it")
