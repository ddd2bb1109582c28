"""A worker and its supervisor: asked to have all reload it leaves this worker out, and its end is this worker's."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from finsa_moe.service import supervised
from finsa_moe.service.supervised import SUPERVISED, Supervised


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that were sent."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(supervised.os, "kill", lambda pid, sign: found.append((pid, sign)))
    monkeypatch.setattr(supervised.os, "getppid", lambda: 4711)
    return found


def test_the_signal_that_a_worker_asked_for_is_no_second_reload(
    told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUPERVISED, "4711")
    found = Supervised()
    assert not found.echoed()
    found.pass_on()
    assert told == [(4711, signal.SIGHUP)]
    assert found.echoed()
    assert not found.echoed()


@pytest.mark.parametrize("pid", ["4712", None])
def test_no_parent_but_the_supervisor_is_sent_a_signal(
    pid: str | None, told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SUPERVISED, raising=False)
    if pid:
        monkeypatch.setenv(SUPERVISED, pid)
    found = Supervised()
    found.pass_on()
    assert not told
    assert found.orphan == (pid is not None)
    assert not found.echoed()


def test_an_orphan_tells_itself_to_end(told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUPERVISED, "4711")
    monkeypatch.setattr(supervised, "TICK", 0.01)

    async def main() -> None:
        watching = asyncio.ensure_future(Supervised().watch())
        await asyncio.sleep(0.05)
        assert not told
        monkeypatch.setattr(supervised.os, "getppid", lambda: 1)
        await watching

    asyncio.run(main())
    assert told == [(os.getpid(), signal.SIGTERM)]
