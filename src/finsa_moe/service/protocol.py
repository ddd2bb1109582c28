"""uvicorn's HTTP protocol with what it leaves unbounded bounded: the size of a head, the time to send one and to take
an answer.

httptools gathers headers without end, and a connection that never finishes its first line, or never reads what it asked
for, would stay for ever.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from finsa_moe.service.bodies import RATE
from finsa_moe.service.guard import HEADERS
from finsa_moe.service.problems import MEDIA, Problem

HEAD_BYTES = 16 << 10
HEAD_SECONDS = 10.0
TAKE_SECONDS = 30.0
"""So much longer than it would at `RATE` may a client take over what waits for it."""


SENDING = 256 << 10
"""Bytes that the system may hold for a client. It asks for more once it is rid of a third of them: by itself it would
hold megabytes, and a client at `RATE` would take a third of those in over `TAKE_SECONDS`."""


class _Counted:
    """A transport that counts what is written to it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Count before writing, which may pause the answer."""
        self.written += len(data)
        self._transport.write(data)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    head = 0
    in_head = True
    timer: asyncio.TimerHandle | None = None
    taking: asyncio.TimerHandle | None = None
    late = 0.0
    """Seconds of this answer that the client has waited with what was ready for it, beyond those it needs at `RATE`."""
    waited_from = 0.0
    """Since when the client has to take what waits for it before there is more."""
    given = 0
    """Bytes that the system had taken when `late` was last brought up to date."""

    def connection_made(self, transport: Any) -> None:
        """Give a new connection so long to send a head."""
        super().connection_made(transport)
        self.transport = _Counted(transport)  # type: ignore[assignment]
        with suppress(OSError):  # it may be closed by now
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
        self.timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._known()
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than is held for it; what the system took since the last time it has taken."""
        super().pause_writing()
        self.waited_from = self.loop.time()
        self._count_late()
        self._watch()

    def resume_writing(self) -> None:
        """It has taken most of that; what it lost by then it has lost, whatever small pieces the answer comes in."""
        self._count_late()
        self._taken()
        super().resume_writing()

    def _count_late(self) -> None:
        self.late, self.given = max(0.0, self._late_by_now()), self._given_by_now()
        self.waited_from = self.loop.time()

    def _given_by_now(self) -> int:
        return int(self.transport.written) - self.transport.get_write_buffer_size()  # type: ignore[attr-defined]

    def _late_by_now(self) -> float:
        taken = self._given_by_now() - self.given
        return self.late + self.loop.time() - self.waited_from - taken / RATE

    def _watch(self) -> None:
        self.taking = self.loop.call_later(max(0.1, TAKE_SECONDS - self._late_by_now()), self._look)

    def _look(self) -> None:
        """End a connection whose client does not take its answer; closing would wait for it."""
        if self._late_by_now() >= TAKE_SECONDS:
            self.taking = None
            self.transport.abort()
        else:
            self._watch()

    def _taken(self) -> None:
        if self.taking is not None:
            self.taking.cancel()
            self.taking = None

    def data_received(self, data: bytes) -> None:
        """Count pieces of a head that has no end yet; of one that ends in this piece the fields are counted instead."""
        if self.in_head and b"\r\n\r\n" not in data:
            self.head += len(data)
            if self.head > HEAD_BYTES:
                self.send_400_response("")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self.in_head, self.late = True, 0.0  # a proxy's connection carries answers to many
        if self.timer is None:
            self.timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def on_url(self, url: bytes) -> None:
        """Count the address as a field."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self.head += size
        if self.head > HEAD_BYTES * 2:  # a field that came in pieces has been counted in them as well
            raise ValueError("head too large")  # the parser makes it an error of its own, which ends the connection

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self.in_head, self.head = False, 0
        self._known()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem as well."""
        if self.head > HEAD_BYTES:
            self._refuse(431, "head", f"the head of the request is over {HEAD_BYTES:,} bytes")
        else:
            self._refuse(400, "not-http", "this is not an HTTP/1.1 request")

    def _known(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _late(self) -> None:
        self.timer = None
        if self.in_head and not self.transport.is_closing():
            self._refuse(408, "slow", f"no whole head of a request in {HEAD_SECONDS:g} seconds")

    def _refuse(self, status: int, kind: str, detail: str) -> None:
        if self.transport.is_closing():
            return
        body = bytes(Problem(status, kind, detail).response().body)
        head = [STATUS_LINE[status], b"content-type: ", MEDIA.encode(), b"\r\nconnection: close\r\n"]
        head += [name + b": " + value + b"\r\n" for name, value in HEADERS]
        self.transport.write(b"".join([*head, b"content-length: ", str(len(body)).encode(), b"\r\n\r\n", body]))
        self.transport.close()
