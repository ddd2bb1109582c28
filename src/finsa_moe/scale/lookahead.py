"""Whether an index looks ahead: its days beside the last one that the model has learnt from, as far as that is known.

Days and files of answers go in, one line or nothing comes out. It knows no prices, and no model but by a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from finsa_moe.scale.manifest import header_of
from finsa_moe.scale.scored import manifest_of


def looks_ahead(days: pl.Series, trained_until: date | None, written: Mapping[date, date] | None = None) -> str | None:
    """What a reader has to know of the days of an index; None where they all lie after the model's training.

    Args:
        days: Days that have a score, each as often as it likes.
        trained_until: Last day of the texts the model was trained on; None where nobody knows.
        written: The earliest day on which texts of each day were written (`Daily.written`); without it, that day.
    """
    if trained_until is None:
        return (
            "LOOKS AHEAD? Say --trained-until DAY: a model trained on texts of these days, or on labels made with "
            "later prices, knows how they ended"
        )
    known = sum((written or {}).get(day, day) <= trained_until for day in days.unique())
    if not known:
        return None
    return (
        f"LOOKS AHEAD: {known} of {days.n_unique()} days are within the model's training (until {trained_until}); "
        "score them with a model that was trained before"
    )


def learnt_until(files: Sequence[Path]) -> date | None:
    """The last day that any model behind these answers has learnt from; None where one file does not tell.

    Args:
        files: Shards of `finsa score`, whose manifests may tell; any other file tells nothing.
    """
    told = [None if found is None else _told(found) for found in {manifest_of(file) for file in files}]
    return max((day for day in told if day is not None), default=None) if None not in told else None


def _told(manifest: Path) -> date | None:
    try:
        return date.fromisoformat(header_of(manifest)["trained_until"])
    except (ValueError, KeyError, TypeError):
        return None
