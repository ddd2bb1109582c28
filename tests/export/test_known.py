from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

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
    measures, whose = RNG.normal(size=(7, 3)).astype(np.float32), np.repeat([0, 1, -1], [3, 2, 2])
    one = replace(known((0, 2), background), measures=measures, whose=whose)
    one.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [KNOWN]
    found = Known.load(tmp_path)
    assert found is not None
    same(found, one)
    assert found.only(["d2"]).counts.shape == (1, 30)


def test_what_held_out_texts_measured_goes_with_their_domain() -> None:
    measures = RNG.normal(size=(6, 3)).astype(np.float32)
    whole = replace(known((0, 1, 2)), measures=measures, whose=np.array([2, 0, 1, 1, -1, 2]))
    two = whole.only(["d2", "d0"])
    assert np.array_equal(two.measures, measures[[0, 1, 4, 5]])
    assert two.whose.tolist() == [0, 1, -1, 0]
    other = replace(known((1,)), measures=measures[2:4], whose=np.array([0, 0]))
    assert two.joined(other).whose.tolist() == [0, 1, -1, 0, 2, 2]
    assert whole.forget(["d2"]).whose.tolist() == [0, 1, 1, -1]


def test_sums_of_an_earlier_version_do_not_say_whose_measures_they_are(tmp_path: Path) -> None:
    one = replace(known((0, 1)), measures=np.ones((3, 3), np.float32), whose=np.array([0, 0, 1]))
    one.save(tmp_path)
    tensors = load_file(tmp_path / KNOWN)
    del tensors["whose"]
    save_file(tensors, tmp_path / KNOWN, metadata={"domains": '["d0", "d1"]'})
    found = Known.load(tmp_path)
    assert found is not None
    assert found.whose.tolist() == [-1, -1, -1]
    assert len(found.only(["d1"]).measures) == 3


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="d1 is there already"):
        known((0, 1)).joined(known((1, 2)))
    other = replace(known((2,)), counts=np.zeros((1, 31), dtype=np.float32))
    with pytest.raises(ModelError, match="another vocabulary"):
        known((0, 1)).joined(other)
    (tmp_path / KNOWN).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="damaged"):
        Known.load(tmp_path)
