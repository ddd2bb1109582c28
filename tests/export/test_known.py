from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.errors import ModelError
from finsa_moe.export.known import KNOWN, Known

RNG = np.random.default_rng(1)
TEXTS = [RNG.integers(0, 30, RNG.integers(3, 9)).tolist() for _ in range(60)]
STATES = RNG.normal(size=(60, 5)).astype(np.float32)
WHOSE = np.repeat([0, 1, 2], [30, 10, 20])
BACKGROUND = RNG.integers(0, 9, 30).astype(np.float32)


def known(domains: tuple[int, ...], background: np.ndarray | None = None) -> Known:
    at = np.flatnonzero(np.isin(WHOSE, domains))
    places = np.searchsorted(domains, WHOSE[at])
    return Known.of([f"d{d}" for d in domains], [TEXTS[i] for i in at], STATES[at], places, background, 30)


def same(one: Known, other: Known) -> None:
    for part in fields(Known):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        else:
            assert a == b


def test_sums_of_parts_are_the_sums_of_all() -> None:
    same(known((0, 1), BACKGROUND).joined(known((2,))), known((0, 1, 2), BACKGROUND))
    same(known((0, 1)).joined(known((2,), BACKGROUND)), known((0, 1, 2), BACKGROUND))


def test_the_covariance_is_that_about_each_domains_mean() -> None:
    centred = np.concatenate([STATES[d == WHOSE] - STATES[d == WHOSE].mean(0) for d in range(3)])
    np.testing.assert_allclose(known((0, 1, 2)).covariance, centred.T @ centred / 57, atol=1e-5)


def test_the_covariance_of_some_is_that_of_all() -> None:
    """What held-out texts measured was measured under it; a new domain's own scatter comes beside it, once."""
    whole = known((0, 1, 2))
    np.testing.assert_allclose(whole.only(["d0", "d2"]).covariance, whole.covariance, rtol=1e-12)
    again = whole.only(["d0", "d2"]).joined(known((1,)))
    np.testing.assert_allclose(np.trace(again.covariance), np.trace(whole.covariance), rtol=0.2)


@pytest.mark.parametrize("background", [None, BACKGROUND])
def test_written_and_read_again(background: np.ndarray | None, tmp_path: Path) -> None:
    assert Known.load(tmp_path) is None
    one = replace(known((0, 2), background), measures=RNG.normal(size=(7, 3)).astype(np.float32))
    one.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [KNOWN]
    found = Known.load(tmp_path)
    assert found is not None
    same(found, one)
    assert found.only(["d2"]).counts.shape == (1, 30)


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="d1 is there already"):
        known((0, 1)).joined(known((1, 2)))
    other = replace(known((2,)), counts=np.zeros((1, 31), dtype=np.float32))
    with pytest.raises(ModelError, match="another vocabulary"):
        known((0, 1)).joined(other)
    (tmp_path / KNOWN).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="damaged"):
        Known.load(tmp_path)
