"""What a caller hands over as texts, and frames with their answers: a pandas or polars frame, a list, one string.

Neither library is imported before one of its frames is there. It answers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finsa_moe.errors import DataError, closest, require
from finsa_moe.runtime.prediction import Prediction, answer_columns, free_names


def texts_of(given: Any, column: str | None) -> Iterable[str]:
    """What a caller handed over, as texts: a string is one, a frame has a column of them, others are gone through.

    Raises:
        DataError: For what holds no texts in an order; a frame without that column; a column where there is no frame.
    """
    if is_frame(given):
        return _column(given, column)
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray | Mapping):
        raise DataError(
            f"texts are a {type(given).__name__}; allowed are a string, a list or Series of strings, or a pandas or "
            "polars DataFrame with column=NAME: turn it into one of these, a LazyFrame by collect()"
        )
    if column is not None:
        raise DataError("column= is for pandas and polars frames; leave it out for a list of texts")
    return [given] if isinstance(given, str) else given


def is_frame(given: Any) -> bool:
    """Whether it is a pandas or polars frame with its rows in memory; neither needs to be installed for that."""
    kind = type(given)
    grows = hasattr(kind, "with_columns") or hasattr(kind, "assign")
    return grows and hasattr(kind, "columns") and hasattr(kind, "__len__")


def with_answers(frame: Any, predictions: Sequence[Prediction | None], domains: Sequence[str]) -> Any:
    """The frame with the answers as further columns, null in a row that has none."""
    kinds = answer_columns(domains)
    rows = [dict.fromkeys(kinds) if one is None else one.answers() for one in predictions]
    names = free_names(list(kinds), [str(name) for name in frame.columns])
    added = {names[key]: [row[key] for row in rows] for key in names}
    if hasattr(frame, "with_columns"):
        polars = require("polars", "data", "answering a polars frame")
        types = {str: polars.String, float: polars.Float64, bool: polars.Boolean}
        return frame.with_columns(
            polars.Series(names[key], added[names[key]], dtype=types[kind]) for key, kind in kinds.items()
        )
    return frame.assign(**added)


def _column(frame: Any, column: str | None) -> list[str]:
    known = [str(name) for name in frame.columns]
    if column is None or column not in known:
        said = "no column= was given" if column is None else f"there is no column {column!r}"
        raise DataError(
            f"{said}; the frame has {', '.join(known) or 'no columns'}{closest(column or 'text', known)}; "
            "say column=NAME for the one that holds the texts"
        )
    if known.count(column) > 1:
        raise DataError(f"the frame has {known.count(column)} columns {column!r}; rename all but the one of the texts")
    return list(frame[frame.columns[known.index(column)]])
