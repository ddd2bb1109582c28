"""McNemar's test: whether two models that answered the same texts are right equally often.

Truth and two predictions in, counts and p-values out. Clusters are not heeded here; `clustered` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class McNemar:
    """Texts on which one model alone is right.

    Attributes:
        only_first: Texts that the first model alone gets right.
        only_second: Texts that the second alone gets right.
        exact: Two-sided p-value of the exact binomial test.
        mid: The same with half the probability of what is just as extreme as what was seen (mid-p; Fagerland, Lydersen
            and Laake 2013).
    """

    only_first: int
    only_second: int
    exact: float
    mid: float


def mcnemar(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> McNemar:
    """Test two predictions (n,) against the true classes (n,)."""
    true = np.asarray(truth)
    right, other = np.asarray(first) == true, np.asarray(second) == true
    ours, theirs = int((right & ~other).sum()), int((~right & other).sum())
    n, k = ours + theirs, min(ours, theirs)
    if n == 0:
        return McNemar(0, 0, 1.0, 1.0)
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    tail = math.fsum(map(math.exp, logs))
    exact = min(1.0, 2 * tail)
    # with as many on either side nothing is less extreme than what was seen, which stands in the middle, once
    mid = 1.0 - 0.5 * math.exp(logs[-1]) if ours == theirs else 2 * tail - math.exp(logs[-1])
    return McNemar(ours, theirs, exact, mid)
