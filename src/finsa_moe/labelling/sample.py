"""`finsa sample`: of a file's texts those to label next, with the model's guess and why each was chosen.

A pool in, rows of a table out. What is worth choosing is `sampling`'s business; here texts near to ones already
labelled, or to each other, are left out, and experts get their shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.data.keys import duplicate_keys
from finsa_moe.data.reading.rows import told_apart
from finsa_moe.errors import ConfigError
from finsa_moe.labelling.sampling import BREADTH, Chosen, choose, gumbel, shares, standing, worth
from finsa_moe.polarity import ENGLISH, NAMES
from finsa_moe.runtime.distinct import Pool, Progress
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.states import pooled_states
from finsa_moe.runtime.writers import Writer

COLUMNS: dict[str, type] = {
    "id": str, "text": str, "date": str, "guess": str, "confidence": float, **dict.fromkeys(ENGLISH, float),
    "expert": str, "novelty": float, "why": str,
}  # fmt: skip
"""Columns of a sample; none bears a name that `finsa prepare` would take for a label."""
RANDOM = "at random"


@dataclass(frozen=True)
class SampleSettings:
    """What is asked for.

    Attributes:
        n: How many texts to choose.
        breadth: See `sampling.standing`.
        by_expert: Whether every expert the router chose gets an equal share.
        at_random: Whether chance alone chooses: for rows to measure a model by, which its doubts must not have picked.
        seed: Random seed for the draws and for the clusters.
    """

    n: int
    breadth: float = BREADTH
    by_expert: bool = False
    at_random: bool = False
    seed: int = 13

    def __post_init__(self) -> None:
        if self.n < 1 or not self.breadth >= 1:
            raise ConfigError(f"--n {self.n}, --breadth {self.breadth:g}: both must be 1 or more")


def sample(
    predictor: Predictor, pool: Pool, settings: SampleSettings, *, known: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[dict[str, object]]:  # fmt: skip
    """Choose rows of a pool.

    Args:
        predictor: The model that answered the pool; it gives the vectors as well.
        pool: What `read_pool` gives.
        settings: How many, and how.
        known: Texts already labelled: none that is equal or near to one is chosen.
        progress: Called with what is under way, how much of it is done and how much there is.

    Returns:
        Rows with the keys of `COLUMNS`, the worthiest first; fewer than asked for where the file has no more. An id
        that an earlier row of the pool has is numbered, as in ``7_2``.
    """
    if settings.at_random:
        worths: NDArray[np.float64] = np.ones(len(pool))  # the draw of those that stand is the choice
    else:
        worths = worth(pool.probs, pool.novelty)
    labelled = set(duplicate_keys(known)) if known else set()
    fresh = np.array([at for at, key in enumerate(pool.keys) if key not in labelled], dtype=np.int64)
    groups = [fresh]
    if settings.by_expert:
        groups = [fresh[pool.experts[fresh] == expert] for expert in np.unique(pool.experts[fresh])]
    found: list[Chosen] = []
    taken, noise = list(known), gumbel(len(pool), settings.seed)
    for group, count in _dealt(groups, settings.n, found):
        stand = _standing(pool, worths, noise, group, count, settings, taken)
        if settings.at_random:
            part = [Chosen(int(at), float(worths[at]), 1) for at in stand[:count]]
        else:
            told = (lambda done, of: progress("comparing", done, of)) if progress is not None else None
            states = pooled_states(predictor, [pool.texts[at] for at in stand], pool.experts[stand], told)
            guesses = pool.probs[stand].argmax(axis=1)
            chosen = choose(worths[stand], states, count, kinds=guesses, seed=settings.seed)
            part = [Chosen(int(stand[one.at]), one.worth, one.group) for one in chosen]
        taken += [pool.texts[one.at] for one in part]
        found += part
    found.sort(key=lambda one: (-one.worth, one.at))
    pool = replace(pool, ids=told_apart(pool.ids))  # of all rows: another sample calls a row by the same
    return [_row(pool, one, settings.at_random) for one in found]


def _dealt(
    groups: Sequence[NDArray[np.int64]], n: int, found: Sequence[Chosen]
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Groups and how many to choose of each; what one cannot give, as its texts are near to others, the rest are asked.

    `found` grows as the caller chooses, and tells what is still wanted.
    """
    while groups and (wanted := n - len(found)):
        able = []
        for group, count in zip(groups, shares([len(group) for group in groups], wanted), strict=True):
            before = len(found)
            if count:
                yield group, count
            left = group[~np.isin(group, [one.at for one in found[before:]])]
            if len(found) - before == count and len(left):
                able.append(left)
        if len(found) == n - wanted:
            return
        groups = able


def write_sample(target: Path, rows: Sequence[dict[str, object]], *, bom: bool = False) -> None:
    """Write the rows, whole or not at all; columns that no row fills are left out."""
    names = [name for name in COLUMNS if any(row[name] is not None for row in rows)]
    with Writer(target, names, COLUMNS, bom=bom) as out:
        out.write([[row[name] for name in names] for row in rows])
        out.commit()


def _standing(
    pool: Pool, worths: NDArray[np.float64], noise: NDArray[np.float64], group: NDArray[np.int64], n: int,
    settings: SampleSettings, taken: Sequence[str],
) -> NDArray[np.int64]:  # fmt: skip
    """Positions that stand for choice: near to none of those taken, and no two near each other."""
    breadth = 1.0 if settings.at_random else settings.breadth
    wanted, looked = int(min(len(group), breadth * n)), 2 * breadth
    while True:
        first = group[standing(worths[group], n, breadth=looked, noise=noise[group])]
        near = near_clusters([*taken, *(pool.texts[at] for at in first)]).ids
        theirs, own = near[: len(taken)], near[len(taken) :]
        free = ~np.isin(own, theirs)
        kept = first[free]
        stand = kept[standing(worths[kept], n, breadth=breadth, clusters=own[free], noise=noise[kept])]
        if len(stand) >= wanted or len(first) == len(group):
            return stand
        looked *= 4  # a file of copies: look further down


def _row(pool: Pool, one: Chosen, at_random: bool) -> dict[str, object]:
    probs = pool.probs[one.at]
    novelty = None if pool.novelty is None else float(pool.novelty[one.at])
    return {
        "id": pool.ids[one.at],
        "text": pool.texts[one.at],
        "date": None if pool.dates is None else pool.dates[one.at],
        "guess": NAMES[int(probs.argmax())],
        "confidence": float(probs.max()),
        **dict(zip(ENGLISH, probs.tolist(), strict=True)),
        "expert": pool.domains[pool.experts[one.at]],
        "novelty": novelty,
        "why": RANDOM if at_random else _why(probs, novelty, one.group),
    }


def _why(probs: NDArray[np.float64], novelty: float | None, group: int) -> str:
    first, second = np.argsort(-probs, kind="stable")[:2]
    doubt = f"{NAMES[first]} {probs[first]:.2f} or {NAMES[second]} {probs[second]:.2f}"
    # 99.9 is not 100, which would say that none is as unusual
    new = "" if novelty is None else f"; more unusual than {min(99, round(100 * novelty))} % of known texts"
    return doubt + new + (f"; of a group of {group}" if group > 1 else "")
