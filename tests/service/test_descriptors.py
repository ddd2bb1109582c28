"""A process may hold more descriptors open than the system's usual 1,024, and never fewer than before."""

from __future__ import annotations

import pytest

from finsa_moe.service import descriptors

resource = pytest.importorskip("resource", reason="a system without limits of this kind")
INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [(1024, 1 << 20, 8192), (1024, 4096, 4096), (1024, INFINITE, 8192), (65536, 1 << 20, None), (INFINITE, INFINITE, None)],
)  # fmt: skip
def test_the_limit_is_raised_as_far_as_may_be(
    soft: int, hard: int, then: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: told.append(limits))
    descriptors.raise_limit()
    assert told == ([] if then is None else [(then, hard)])


def test_a_system_that_refuses_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, INFINITE))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    descriptors.raise_limit()
