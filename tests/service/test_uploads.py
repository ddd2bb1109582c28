"""Clients that send a file, or take its answer, as slowly as they can: they keep nobody else from theirs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.service.served import Settings, serving, until

from finsa_moe.service import bodies, protocol, uploads  # isort: skip
from finsa_moe.service.problems import Problem  # isort: skip

CSV = {"Content-Type": "text/csv"}
FILE = "/v1/predict/file"


def head(length: int) -> bytes:
    lines = [f"POST {FILE} HTTP/1.1", "Host: localhost", "Content-Type: text/csv", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "\r\n"]).encode()


def test_who_sends_slowly_takes_no_place_of_an_answer() -> None:
    with serving(Settings(files_at_once=1, body_seconds=600)) as service, ExitStack() as clients:
        for at in range(uploads.UPLOADS):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(head(1000) + b"text\n")
            until(lambda at=at: service.metric("finsa_in_flight") == at + 2)  # with this question
            if at + 1 < uploads.UPLOADS:
                assert service.ask("POST", FILE, b"text\na\n", CSV).status == 200
        full = service.ask("POST", FILE, b"text\na\n", CSV)  # what lies on the disk is bounded as well
        assert full.status == 503
        assert "being sent" in full.json()["detail"]
        assert "retry-after" in full.headers
        clients.close()
        until(lambda: service.ask("POST", FILE, b"text\na\n", CSV).status == 200)


@pytest.mark.parametrize(("size", "pause", "sent"), [(1, 9.0, 2), (bodies.RATE, 2.0, 10), (bodies.RATE, 0.9, None)])
def test_a_body_must_come_at_a_rate(size: int, pause: float, sent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on `pause` seconds with every chunk: ten seconds in all may be lost."""
    now, came = 1000.0, 0
    monkeypatch.setattr(bodies.time, "monotonic", lambda: now)

    async def receive() -> dict[str, object]:
        nonlocal now, came
        now, came = now + pause, came + 1
        return {"type": "http.request", "body": b"a" * size, "more_body": came < 100}

    async def waited(work: AsyncIterator[object], seconds: float) -> object:
        if seconds <= 0:
            work.close()  # type: ignore[attr-defined]
            raise TimeoutError
        return await work  # type: ignore[misc]

    monkeypatch.setattr(bodies.asyncio, "wait_for", waited)

    async def read() -> None:
        async for _ in bodies.chunks(SimpleNamespace(receive=receive), 1 << 30, 10.0):  # type: ignore[arg-type]
            pass

    if sent is None:
        asyncio.run(read())
        assert came == 100
        return
    with pytest.raises(Problem) as caught:
        asyncio.run(read())
    assert (caught.value.status, came) == (408, sent)


def test_an_answer_that_nobody_takes_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKE_SECONDS", 0.2)
    body = b"text,note\n" + (b"a," + b"b" * 10_000 + b"\n") * 2_000  # more than any socket holds by itself
    with serving(Settings(files_at_once=1)) as service, socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(("127.0.0.1", service.port))
        idle.sendall(head(len(body)) + body)  # done once most of it was read
        until(lambda: service.metric("finsa_in_flight") == 1)  # this question
        assert service.ask("POST", FILE, b"text\na\n", CSV).status == 200


class Clock:
    """A loop's timers, which go off when the test says so."""

    def __init__(self) -> None:
        self.timers: list[SimpleNamespace] = []

    def call_later(self, seconds: float, work: Callable[..., None], *arguments: object) -> SimpleNamespace:
        timer = SimpleNamespace(seconds=seconds, go=lambda: work(*arguments))
        timer.cancel = lambda: self.timers.remove(timer)
        self.timers.append(timer)
        return timer

    def strike(self) -> None:
        self.timers.pop().go()


def test_who_takes_an_answer_at_the_rate_is_left_alone() -> None:
    ended: list[str] = []
    waiting = 10_000_000
    connection = object.__new__(protocol.BoundedProtocol)
    connection.loop = clock = Clock()  # type: ignore[assignment]
    connection.flow = SimpleNamespace(pause_writing=lambda: None, resume_writing=lambda: None)  # type: ignore[assignment]
    connection.transport = SimpleNamespace(  # type: ignore[assignment]
        get_write_buffer_size=lambda: waiting, abort=lambda: ended.append("aborted")
    )
    connection.pause_writing()
    connection.resume_writing()
    assert not clock.timers
    connection.pause_writing()
    for _ in range(3):
        assert clock.timers[0].seconds == protocol.TAKE_SECONDS
        waiting -= int(bodies.RATE * protocol.TAKE_SECONDS)
        clock.strike()
        assert not ended
    waiting -= 1000
    clock.strike()
    assert ended == ["aborted"]
    assert not clock.timers
