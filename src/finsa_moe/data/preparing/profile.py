"""What the splits of prepared sets look like beside their polarity: lengths, repeats, the days they span.

Frames by name go in, one table comes out. What splits share with each other is `duplicates.leakage`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import polars as pl

from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.data.hashing import numbers
from finsa_moe.data.reading.days import days
from finsa_moe.data.text import duplicate_key

SCHEMA = pl.Schema(
    {
        "set": pl.String, "shortest": pl.Int64, "quartile_1": pl.Int64, "median": pl.Int64, "quartile_3": pl.Int64,
        "longest": pl.Int64, "equal": pl.Int64, "near": pl.Int64, "first_day": pl.Date, "last_day": pl.Date,
    }
)  # fmt: skip


def profile(
    frames: Mapping[str, pl.DataFrame], *, near: bool = True, progress: Callable[[str, int, int], None] | None = None
) -> pl.DataFrame:
    """Describe the texts of some sets.

    Args:
        frames: Rows with ``text`` and perhaps ``date``, by a name such as ``"news/train"``.
        near: Whether near texts are looked for, a minute for a million rows.
        progress: Called with the set under way, the bands compared and the bands in all.

    Returns:
        One row a set, in the order given (`SCHEMA`): lengths in characters (null of no row), rows whose text equals an
        earlier one, rows equal or near to an earlier one (null when not looked for), first and last day (null without).

    Raises:
        MissingExtra: If near texts are asked for and rensa is not installed.
    """
    rows = []
    for name, frame in frames.items():
        lengths = frame["text"].str.len_chars().sort()
        quarters = [_whole(lengths.quantile(q, "nearest")) for q in (0.0, 0.25, 0.5, 0.75, 1.0)]
        texts = frame["text"].to_list()
        if near:

            def show(done: int, of: int, name: str = name) -> None:
                if progress is not None:
                    progress(f"comparing {name}", done, of)

            clusters = near_clusters(texts, progress=show)
            repeated: tuple[int, int | None] = (
                len(texts) - len(set(clusters.exact.tolist())),
                len(texts) - clusters.count,
            )
        else:
            repeated = len(texts) - len(set(numbers(map(duplicate_key, texts)).tolist())), None
        rows.append((name, *quarters, *repeated, *_span(frame)))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _span(frame: pl.DataFrame) -> tuple[date | None, date | None]:
    if "date" not in frame.columns:
        return None, None
    found = frame.select(day=days())["day"]
    first, last = found.min(), found.max()
    return (first if isinstance(first, date) else None), (last if isinstance(last, date) else None)
