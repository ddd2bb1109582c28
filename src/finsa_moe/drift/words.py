"""Words that one body of text uses more than another: log-odds ratios with an informative Dirichlet prior.

Counts in, ratios and z-scores out (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and 22). It does
not know where counts come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from finsa_moe.explain.words import segment

Reals = NDArray[np.float64]
PRIOR = 500.0
"""Words that the prior weighs as much as, spread as the words of both bodies are."""


def word_counts(text: str) -> Counter[str]:
    """The words of a text and how often each occurs; marks, numbers and single letters are left out."""
    words = (word.key for word in segment(text) if word.read)
    return Counter(word for word in words if len(word) > 1 and not any(map(str.isdigit, word)) and _spoken(word))


def _spoken(word: str) -> bool:
    return any(map(str.isalpha, word))


def log_odds(old: Reals, new: Reals, old_total: Reals | float, new_total: Reals | float, prior: Reals) -> Reals:
    """Log of a word's odds in the new body over those in the old, each count raised by the prior's; above 0: more now.

    Args:
        old: Counts of words, (…, words).
        new: Likewise.
        old_total: Words of the old body in all, (…, 1) or one number.
        new_total: Likewise.
        prior: What is added to each word's counts, (words,); its sum over all words is `PRIOR`.
    """
    here, there = new + prior, old + prior
    with np.errstate(divide="ignore", invalid="ignore"):  # of a word that is the only one there is no ratio
        found: Reals = np.log(here / (new_total + PRIOR - here)) - np.log(there / (old_total + PRIOR - there))
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def z_scores(old: Reals, new: Reals, ratios: Reals, prior: Reals) -> Reals:
    """Log-odds ratios over their standard deviation, sqrt(1 / (old + prior) + 1 / (new + prior)); (words,)."""
    found: Reals = ratios / np.sqrt(1 / (old + prior) + 1 / (new + prior))
    return found


def prior_of(old: Reals, new: Reals) -> Reals:
    """The prior of each word, (words,): `PRIOR` words, spread as both bodies' words together are.

    Args:
        old: Counts of all words of the old body, (words,).
        new: Likewise, the same words.
    """
    both = old + new
    found: Reals = PRIOR * both / max(both.sum(), 1.0)
    return found


def strongest(z: Reals, n: int, tests: int, level: float = 0.05) -> NDArray[np.int64]:
    """Positions of at most n words each way whose z-score chance alone would seldom reach, the strongest first.

    Seldom: in a share `level` of comparisons at most, however many words are looked at (Bonferroni).

    Args:
        z: (words,).
        n: Most words up, and most words down.
        tests: Words looked at.
        level: Share of comparisons.
    """
    least = NormalDist().inv_cdf(1 - level / (2 * max(tests, 1)))
    order = np.argsort(-np.abs(z), kind="stable")
    sure = order[np.abs(z[order]) >= least]
    return np.concatenate([sure[z[sure] > 0][:n], sure[z[sure] < 0][:n]]).astype(np.int64)


def count_matrix(counted: Sequence[Counter[str]], words: Sequence[str]) -> Reals:
    """How often each text has each of some words, (texts, words)."""
    return np.array([[counter[word] for word in words] for counter in counted], dtype=np.float64).reshape(
        len(counted), len(words)
    )
