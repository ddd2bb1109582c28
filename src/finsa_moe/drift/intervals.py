"""How sure a share and its change are: bootstrap draws of whole texts, and score intervals where those have no width.

Repeats of texts and what each adds to the totals go in, draws and ends of intervals come out. It does not know what is
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.runtime.distinct import Pool

Reals = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


def places_of(old: Pool, new: Pool) -> list[NDArray[np.int64]]:
    """For each text of each pool its number among the distinct texts of both."""
    numbers: dict[str, int] = {}
    return [np.array([numbers.setdefault(key, len(numbers)) for key in pool.keys]) for pool in (old, new)]


def draws_of(
    bodies: Sequence[Reals], places: Sequence[NDArray[np.int64]], draws: int, rng: np.random.Generator,
    progress: Progress | None,
) -> list[Reals]:  # fmt: skip
    """Totals of each pool, (draws, columns), the texts of both drawn together, with replacement.

    A text that stands in both is drawn for both: drawn for each by itself it would seem to come and go, and where texts
    repeat from file to file the interval of the change would be three times as wide as it has to be.

    Args:
        bodies: What each text adds to every total, (texts, columns), by pool.
        places: See `places_of`.
        draws: How many.
        rng: What draws.
        progress: See `shift.compare`.
    """
    texts = int(max(place.max() for place in places)) + 1
    found = [np.empty((draws, body.shape[1])) for body in bodies]
    for at in range(draws):
        while True:
            times = np.bincount(rng.integers(texts, size=texts), minlength=texts)
            if all(times[place].any() for place in places):  # a pool of few texts may get none of them
                break
        for totals, body, place in zip(found, bodies, places, strict=True):
            totals[at] = times[place] @ body
        if progress is not None and (at + 1) % 100 == 0:
            progress("drawing", at + 1, draws)
    return found


def stays(old: NDArray[np.int64], new: NDArray[np.int64], places: Sequence[NDArray[np.int64]]) -> float:
    """What the texts of both leave of the variance of a change: Σ (w − v)² / (Σ w² + Σ v²).

    w and v are a text's shares of the rows before and now; 1 where no text stands in both, 0 where the files are equal.
    """
    texts = int(max(place.max() for place in places)) + 1
    before = np.bincount(places[0], old / old.sum(), texts)
    now = np.bincount(places[1], new / new.sum(), texts)
    return float(((before - now) ** 2).sum() / (before @ before + now @ now))


def effective(repeats: NDArray[np.int64]) -> float:
    """So many texts of one row each tell as much of a share as these do (Kish 1965): (Σ r)² / Σ r²."""
    rows = repeats.astype(np.float64)
    return float(rows.sum() ** 2 / (rows**2).sum())


def newcombe(
    old: Reals, new: Reals, before: tuple[Reals, Reals], now: tuple[Reals, Reals], part: float
) -> tuple[Reals, Reals]:
    """Newcombe's hybrid score interval of new − old (1998, method 10), from the two shares' own intervals.

    `part` is what of the variance remains, see `stays`.
    """
    change = new - old
    low = change - np.sqrt(part * ((new - now[0]) ** 2 + (before[1] - old) ** 2))
    high = change + np.sqrt(part * ((now[1] - new) ** 2 + (old - before[0]) ** 2))
    return low, high


def ends_of(values: Reals) -> list[tuple[float, float]]:
    """The middle 95 % of each column."""
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
