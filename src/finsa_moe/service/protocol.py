"""uvicorn's HTTP protocol with what it leaves unbounded bounded: the size of a head, the time to send one, to take an
answer and to ask again, and how many connections there are.

httptools gathers headers without end, and a connection that never finishes its first line, sends a byte now and then,
or never reads what it asked for, would stay for ever.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from finsa_moe.service.bodies import RATE
from finsa_moe.service.guard import CROWDED, HEADERS
from finsa_moe.service.problems import MEDIA, Problem

HEAD_BYTES = 16 << 10
HEAD_SECONDS = 10.0
IDLE_SECONDS = 30
"""So long a connection is kept on which nothing is asked."""
LINGER_SECONDS = 5.0
"""A client that still sends what nobody needs has its connection closed after so long without a byte: closed under what
comes, it would lose the answer."""
LINGER_MOST = 60.0
"""So long that goes on at most."""
CONNECTIONS = 4096
"""Connections of one worker, beyond which requests of new ones are refused. Half of them may be of one address; behind
a proxy, whose address they all have, any number."""
CROWDED_SECONDS = 1.0
"""So long one that is too many is kept without a whole head of a request."""
TAKE_SECONDS = 30.0
"""So much longer than it would at `RATE` may a client take over what waits for it."""


SENDING = 256 << 10
"""Bytes that the system may hold for a client. It asks for more once it is rid of a third of them: by itself it would
hold megabytes, and a client at `RATE` would take a third of those in over `TAKE_SECONDS`."""


class _Counted:
    """A transport that counts what is written to it, and is closed as its protocol has it."""

    def __init__(self, transport: Any, end: Callable[[], None]) -> None:
        self._transport, self._end = transport, end
        self.written = 0
        self.ending = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Count before writing, which may pause the answer."""
        if not self.ending:
            self.written += len(data)
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing is written any more."""
        return self.ending or self._transport.is_closing()

    def close(self) -> None:
        """Close it once the client has had time to read."""
        if not self.ending:
            self.ending = True
            self._end()

    def shut(self) -> None:
        """Close it when what is written has been taken."""
        self.ending = True
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    held: ClassVar[Counter[tuple[int, str]]] = Counter()
    """Connections of each server by the client's address."""
    crowded = False
    """Whether there were too many when it was made."""
    head = 0
    in_head = True
    receiving = False
    """Whether a request has begun to come and has not ended."""
    keeps = True
    """Whether the connection is kept after the answer to the request that is coming, if that ends before it."""
    timer: asyncio.TimerHandle | None = None
    """The end of the time that the client has now; no byte moves it but the last of a head."""
    taking: asyncio.TimerHandle | None = None
    late = 0.0
    """Seconds of this answer that the client has waited with what was ready for it, beyond those it needs at `RATE`."""
    until = 0.0
    """How long what still comes may be read after the answer; a time of the loop."""
    waited_from = 0.0
    """Since when the client has to take what waits for it before there is more."""
    given = 0
    """Bytes that the system had taken when `late` was last brought up to date."""

    def connection_made(self, transport: Any) -> None:
        """Give a new connection so long to send a head."""
        super().connection_made(transport)
        self.transport = _Counted(transport, self._end)  # type: ignore[assignment]
        self.held[self._place()] += 1
        most = CONNECTIONS if self.config.proxy_headers else CONNECTIONS // 2
        self.crowded = len(self.connections) > CONNECTIONS or self.held[self._place()] > most
        with suppress(OSError):  # it may be closed by now
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
        if self.crowded:
            self._within(CROWDED_SECONDS, self.transport.close)
        else:
            self._within(HEAD_SECONDS, self._late)

    def _place(self) -> tuple[int, str]:
        return id(self.connections), self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._known()
        self._taken()
        self.transport.ending = True  # type: ignore[attr-defined]
        self.held[self._place()] -= 1
        if not self.held[self._place()]:
            del self.held[self._place()]
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The client sends no more."""
        self.receiving = False
        self.transport.close()

    def shutdown(self) -> None:
        """The service ends, once the answer under way is sent."""
        self.keeps = self.receiving = False
        super().shutdown()

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
        if self.transport.is_closing():
            if self.loop.time() + LINGER_SECONDS < self.until:
                self._within(LINGER_SECONDS, self._shut)
            return
        if self.in_head and b"\r\n\r\n" not in data:
            self.head += len(data)
            if self.head > HEAD_BYTES:
                self.send_400_response("")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        if self.timer is not None and not self.in_head:  # nothing was asked until now
            self._within(HEAD_SECONDS, self._late)
        self.in_head, self.receiving, self.late = True, True, 0.0  # a proxy's connection carries answers to many

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
        if self.crowded:
            self.scope[CROWDED] = True  # type: ignore[literal-required]
        super().on_headers_complete()
        # an answer that begins before the request has ended says that the connection is closed after it
        self.keeps, self.cycle.keep_alive = self.cycle.keep_alive and not self.crowded, False

    def on_message_complete(self) -> None:
        """A request has ended."""
        self.receiving = False
        if not self.cycle.response_started:
            self.cycle.keep_alive = self.keeps
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Where nothing else is asked, give the client so long to send a head; uvicorn's own timer ends by any byte."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
            self._within(HEAD_SECONDS if self.in_head else IDLE_SECONDS, self._late)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem as well."""
        if self.head > HEAD_BYTES:
            self._refuse(431, "head", f"the head of the request is over {HEAD_BYTES:,} bytes")
        else:
            self._refuse(400, "not-http", "this is not an HTTP/1.1 request")

    def _within(self, seconds: float, then: Callable[[], None]) -> None:
        self._known()
        self.timer = self.loop.call_later(seconds, then)

    def _known(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _late(self) -> None:
        self.timer = None
        if self.in_head:
            self._refuse(408, "slow", f"no whole head of a request in {HEAD_SECONDS:g} seconds")
        else:
            self.transport.close()

    def _end(self) -> None:
        """Close the connection; of a client that still sends a body, what comes is read: unread it costs the answer."""
        if self.receiving and not self.in_head:
            self.flow.resume_reading()
            self.transport.write_eof()
            self.until = self.loop.time() + LINGER_MOST
            self._within(LINGER_SECONDS, self._shut)
        else:
            self._shut()

    def _shut(self) -> None:
        self.until = 0.0
        self._known()
        self.transport.shut()  # type: ignore[attr-defined]
        if waits := self.transport.get_write_buffer_size():  # it may be too little to have paused the answer
            self._within(TAKE_SECONDS + waits / RATE, self.transport.abort)

    def _refuse(self, status: int, kind: str, detail: str) -> None:
        if self.transport.is_closing():
            return
        body = bytes(Problem(status, kind, detail).response().body)
        head = [STATUS_LINE[status], b"content-type: ", MEDIA.encode(), b"\r\nconnection: close\r\n"]
        head += [name + b": " + value + b"\r\n" for name, value in HEADERS]
        self.transport.write(b"".join([*head, b"content-length: ", str(len(body)).encode(), b"\r\n\r\n", body]))
        self.transport.close()
