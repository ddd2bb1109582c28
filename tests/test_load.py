"""The load that benchmarks send: each request is timed from when it was due, however late it could be sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.load import Client, opened


def test_a_request_that_is_sent_late_has_waited_since_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(self: Client, raw: bytes, due: float | None = None) -> tuple[int, float]:
        time.sleep(0.02)  # the loop is busy: requests wait to be sent
        return 200, time.perf_counter() - (due or time.perf_counter())

    monkeypatch.setattr(Client, "send", answered)
    found = asyncio.run(opened(Client(0, None), [b""], rate=200, seconds=0.2))
    assert found["times"]["200"]["p100"] > 0.1


def test_seconds_count_from_the_moment_given() -> None:
    status, seconds = asyncio.run(Client(1, None).send(b"", time.perf_counter() - 5))  # nobody listens there
    assert status == 0
    assert 5 <= seconds < 10
