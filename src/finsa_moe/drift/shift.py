"""How new texts differ from old ones: share of novel texts, routing, sentiment mix, words, each with an interval.

Two pools of answered texts in, a `Drift` out. It reads no file, draws nothing, and does not say how much is too much:
`Drift.beyond` is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from finsa_moe.data.shares import wilson
from finsa_moe.drift.intervals import (
    Progress,
    Reals,
    draws_of,
    effective,
    ends_of,
    newcombe,
    places_of,
    stays,
)
from finsa_moe.drift.words import count_matrix, log_odds, prior_of, strongest, word_counts, z_scores
from finsa_moe.errors import ConfigError
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.distinct import Pool
from finsa_moe.runtime.prediction import STRANGE

DRAWS = 1_000
WORDS = 15
LEAST = 3
"""Distinct texts that a word must stand in to be looked at."""


@dataclass(frozen=True)
class Change:
    """A share of rows, before and now, in [0, 1], with 95 % intervals: of a bootstrap, or a score interval where wider.

    Attributes:
        kind: ``novel``, ``routing`` or ``sentiment``.
        name: The expert or the class; ``novel`` for the share of novel texts.
    """

    kind: str
    name: str
    old: float
    new: float
    old_interval: tuple[float, float]
    new_interval: tuple[float, float]
    interval: tuple[float, float]

    @property
    def change(self) -> float:
        """The new share less the old one; `interval` is this one's."""
        return self.new - self.old

    def beyond(self, limit: float) -> bool:
        """Whether the whole interval lies beyond the limit; of novel texts only a rise counts."""
        low, high = self.interval
        return low > limit or (self.kind != "novel" and high < -limit)


@dataclass(frozen=True)
class WordShift:
    """A word used more or less than before.

    Attributes:
        word: As `explain.words` cuts and spells it.
        old: Occurrences before.
        new: Occurrences now.
        log_odds: See `drift.words.log_odds`; above 0: more now.
        z: Log-odds over their standard deviation among distinct texts, each counted once: what words are chosen by.
        interval: 95 % bootstrap interval of `log_odds`, over texts.
    """

    word: str
    old: int
    new: int
    log_odds: float
    z: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Drift:
    """What has changed.

    Attributes:
        old_rows: Rows answered before.
        new_rows: Rows answered now.
        old_texts: Distinct texts of them.
        new_texts: Likewise.
        changes: The share of novel texts first (absent where the model cannot say), then experts, then classes.
        words: Those that surely shifted, the strongest first, risen ones before fallen ones.
    """

    old_rows: int
    new_rows: int
    old_texts: int
    new_texts: int
    changes: list[Change]
    words: list[WordShift]

    def of(self, kind: str) -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.changes if change.kind == kind]

    def beyond(self, limits: dict[str, float]) -> list[Change]:
        """The changes that surely pass the limit of their kind."""
        return [change for change in self.changes if change.kind in limits and change.beyond(limits[change.kind])]

    def as_dict(self) -> dict[str, object]:
        """Plain dict, ready for JSON."""
        changes = [{**asdict(one), "change": one.change} for one in self.changes]
        return {**asdict(self), "changes": changes}


def compare(
    old: Pool, new: Pool, *, words: int = WORDS, draws: int = DRAWS, seed: int = 13, progress: Progress | None = None
) -> Drift:
    """Compare two pools answered by one model.

    Rows of one text stand or fall together in a bootstrap draw, as a post copied a thousand times is one event; those
    of a text that both pools have do so in both, since it makes them no different.

    Args:
        old: What the model was fit for.
        new: What it is asked now.
        words: Most words shown that are used more, and most that are used less.
        draws: How many bootstrap draws.
        seed: Random seed for the bootstrap draws.
        progress: Called with what is under way, how much is done and how much there is.

    Raises:
        ConfigError: If the pools were answered by different mixtures, or `draws` is under 100.
    """
    if old.domains != new.domains:
        raise ConfigError(f"answered by experts {', '.join(old.domains)} and {', '.join(new.domains)}: use one model")
    if draws < 100:
        raise ConfigError(f"{draws} draws: an interval takes 100 or more")
    rng = np.random.default_rng(seed)
    names, kinds = _columns(old, new)
    counted = [_counted(pool, progress) for pool in (old, new)]
    chosen, z, prior, ratios = _words(old, new, counted, words)
    bodies = [_body(pool, counts, chosen, len(kinds) > len(old.domains) + len(NAMES)) for pool, counts in
              zip((old, new), counted, strict=True)]  # fmt: skip
    places = places_of(old, new)
    drawn = draws_of(bodies, places, draws, rng, progress)
    sums = [body.sum(axis=0, keepdims=True) for body in bodies]
    wide = len(names)
    shares = [total[:, 1 : wide + 1] / total[:, :1] for total in sums]
    spread = [total[:, 1 : wide + 1] / total[:, :1] for total in drawn]
    weights = [effective(pool.repeats) for pool in (old, new)]
    scored = [wilson(share[0], n) for share, n in zip(shares, weights, strict=True)]
    part = stays(old.repeats, new.repeats, places)
    scored.append(newcombe(shares[0][0], shares[1][0], scored[0], scored[1], part))
    ends = [
        [(min(low, under), max(high, over)) for (low, high), under, over in zip(ends_of(one), *bounds, strict=True)]
        for one, bounds in zip((*spread, spread[1] - spread[0]), scored, strict=True)
    ]
    changes = [
        Change(kind, name, float(shares[0][0, at]), float(shares[1][0, at]), *(one[at] for one in ends))
        for at, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]
    parts = [(total[:, wide + 2 :], total[:, wide + 1 : wide + 2]) for total in drawn]
    intervals = ends_of(log_odds(parts[0][0], parts[1][0], parts[0][1], parts[1][1], prior))
    totals = [total[0, wide + 2 :] for total in sums]
    shifts = [
        WordShift(word, int(totals[0][at]), int(totals[1][at]), float(ratios[at]), float(z[at]), intervals[at])
        for at, word in enumerate(chosen)
    ]
    return Drift(
        old_rows=int(old.repeats.sum()), new_rows=int(new.repeats.sum()), old_texts=len(old), new_texts=len(new),
        changes=changes, words=[one for one in shifts if (one.interval[0] > 0 if one.z > 0 else one.interval[1] < 0)],
    )  # fmt: skip


def _columns(old: Pool, new: Pool) -> tuple[list[str], list[str]]:
    """Names and kinds of the shares, in the order of `_body`'s columns."""
    novel = ["novel"] if old.novelty is not None and new.novelty is not None else []
    return [*novel, *old.domains, *NAMES], [*novel, *["routing"] * len(old.domains), *["sentiment"] * len(NAMES)]


def _counted(pool: Pool, progress: Progress | None) -> list[Counter[str]]:
    counted = []
    for at, text in enumerate(pool.texts, 1):
        counted.append(word_counts(text))
        if progress is not None and (at % 1000 == 0 or at == len(pool)):
            progress("reading words", at, len(pool))
    return counted


def _words(
    old: Pool, new: Pool, counted: Sequence[Sequence[Counter[str]]], n: int
) -> tuple[list[str], Reals, Reals, Reals]:
    """The words whose use surely shifted with their z-scores, by distinct texts; their priors and log-odds, by rows."""
    once: list[Counter[str]] = [Counter(), Counter()]
    copied: list[Counter[str]] = [Counter(), Counter()]
    stands: Counter[str] = Counter()
    met: set[str] = set()  # a text of both pools is one
    for single, tally, pool, texts in zip(once, copied, (old, new), counted, strict=True):
        for key, counter, rows in zip(pool.keys, texts, pool.repeats.tolist(), strict=True):
            if key not in met:
                met.add(key)
                stands.update(counter.keys())
            single.update(counter)
            for word, count in counter.items():
                tally[word] += count * rows
    every = sorted(stands)
    _, _, z = _scored(every, once)
    often = np.array([stands[word] >= LEAST for word in every], dtype=np.bool_)
    at = strongest(np.where(often, z, 0.0), n, int(often.sum()))
    prior, ratios, _ = _scored(every, copied)
    return [every[i] for i in at], z[at], prior[at], ratios[at]


def _scored(words: Sequence[str], tallies: Sequence[Counter[str]]) -> tuple[Reals, Reals, Reals]:
    """Priors, log-odds and z-scores of all words, by their counts before and now."""
    before, now = (np.array([tally[word] for word in words], dtype=np.float64) for tally in tallies)
    prior = prior_of(before, now)
    ratios = log_odds(before, now, before.sum(), now.sum(), prior) if words else np.zeros(0)
    return prior, ratios, z_scores(before, now, ratios, prior)


def _body(pool: Pool, counted: Sequence[Counter[str]], words: Sequence[str], novel: bool) -> Reals:
    """What each distinct text adds to every total: rows, rows of each share, words in all, the chosen words."""
    shares = [np.eye(len(pool.domains))[pool.experts], np.eye(len(NAMES))[pool.probs.argmax(axis=1)]]
    if novel:
        assert pool.novelty is not None
        shares.insert(0, (pool.novelty >= STRANGE).astype(np.float64)[:, None])
    all_words = np.array([[counter.total()] for counter in counted], dtype=np.float64)
    columns = [np.ones((len(pool), 1)), *shares, all_words, count_matrix(counted, words)]
    found: Reals = np.concatenate(columns, axis=1) * pool.repeats[:, None]
    return found
