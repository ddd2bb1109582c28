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


class Taken:
    """A connection whose client takes so many bytes a second of what is written, by a clock of its own."""

    def __init__(self, pace: float) -> None:
        self.now = self.held = 0.0
        self.pace, self.ended = pace, False
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.protocol = object.__new__(protocol.BoundedProtocol)
        self.protocol.loop = SimpleNamespace(time=lambda: self.now, call_later=self.call_later)  # type: ignore[assignment]
        self.protocol.flow = SimpleNamespace(pause_writing=lambda: None, resume_writing=lambda: None)  # type: ignore[assignment]
        self.protocol.transport = SimpleNamespace(  # type: ignore[assignment]
            get_write_buffer_size=lambda: int(self.held), abort=lambda: setattr(self, "ended", True), written=0
        )

    def call_later(self, seconds: float, work: Callable[[], None]) -> SimpleNamespace:
        timer = (self.now + seconds, work)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer) if timer in self.timers else None)

    def wait(self, seconds: float) -> None:
        """Let the client take what it can meanwhile."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.held = max(0.0, self.held - self.pace / 10)
            for timer in [timer for timer in self.timers if timer[0] <= self.now]:
                self.timers.remove(timer)
                timer[1]()

    def write(self, size: int) -> None:
        """Send a piece, once there is room, as the transport and the answer do."""
        self.held += size
        self.protocol.transport.written += size  # type: ignore[attr-defined]
        if self.held <= 65536:
            return
        self.protocol.pause_writing()
        while self.held > 16384 and not self.ended:
            self.wait(0.1)
        if not self.ended:
            self.protocol.resume_writing()


@pytest.mark.parametrize("piece", [4_000, 60_000, 5_000_000])
def test_an_answer_must_be_taken_at_the_rate_whatever_its_pieces(piece: int) -> None:
    slow, quick = Taken(bodies.RATE / 2), Taken(bodies.RATE * 1.1)
    for connection in (slow, quick):
        while not connection.ended and connection.now < 600:
            connection.write(piece)
    assert slow.ended
    assert slow.now < 3 * protocol.TAKE_SECONDS  # of which half is lost, and what the buffer holds comes first
    assert not quick.ended


def test_who_takes_nothing_has_so_many_seconds_and_who_was_quick_no_more() -> None:
    connection = Taken(1_000_000)
    for _ in range(100):
        connection.write(100_000)
    connection.pace, began = 0.0, connection.now
    connection.write(100_000)
    assert connection.ended
    assert abs(connection.now - began - protocol.TAKE_SECONDS) < 1


def test_what_a_slow_stretch_lost_a_quick_one_wins_back() -> None:
    connection = Taken(bodies.RATE / 2)
    for at in range(40):
        connection.pace = bodies.RATE * (10 if at % 2 else 0.5)
        connection.write(100_000)
    assert not connection.ended


def test_time_in_which_nothing_waits_for_the_client_is_not_its() -> None:
    connection = Taken(bodies.RATE * 2)
    for _ in range(20):
        connection.write(100_000)
        connection.wait(60)
    assert not connection.ended
    assert not connection.timers
