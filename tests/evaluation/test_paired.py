from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from finsa_moe.evaluation.comparison.paired import mcnemar


def told(ours: int, theirs: int) -> tuple[list[int], list[int], list[int]]:
    """Truth and two predictions with so many texts that one alone gets right."""
    truth = [0] * (ours + theirs + 4)
    first = [0] * ours + [1] * theirs + [0, 0, 2, 2]
    second = [1] * ours + [0] * theirs + [0, 0, 2, 2]
    return truth, first, second


@settings(deadline=None, max_examples=60)
@given(ours=st.integers(0, 60), theirs=st.integers(0, 60))
def test_against_scipy(ours: int, theirs: int) -> None:
    found = mcnemar(*told(ours, theirs))
    assert (found.only_first, found.only_second) == (ours, theirs)
    n, k = ours + theirs, min(ours, theirs)
    if n == 0:
        assert (found.exact, found.mid) == (1.0, 1.0)
        return
    assert found.exact == pytest.approx(binomtest(k, n).pvalue, abs=1e-9)
    # what is more extreme, and half of what is just as extreme; of a tie there is one such outcome, else two
    seen = binom.pmf(k, n, 0.5) * (1 if ours == theirs else 2)
    more = sum(p for i in range(n + 1) if (p := binom.pmf(i, n, 0.5)) < binom.pmf(k, n, 0.5) * (1 - 1e-9))
    assert found.mid == pytest.approx(more + seen / 2, abs=1e-9)


def test_by_hand() -> None:
    """Nine against one: 2 · (1 + 10) / 2^10, and less 10 / 2^10."""
    found = mcnemar(*told(9, 1))
    assert found.exact == pytest.approx(22 / 1024)
    assert found.mid == pytest.approx(12 / 1024)


def test_who_is_right_is_what_counts() -> None:
    """Two models that are wrong in different ways do not differ."""
    assert mcnemar([0, 0, 0], np.array([1, 1, 0]), np.array([2, 2, 0])).exact == 1.0
