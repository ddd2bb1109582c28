"""uvicorn's HTTP protocol with what it leaves unbounded bounded: the size of a head, and the time to send one.

httptools gathers headers without end, and a connection that never finishes its first line would stay for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from finsa_moe.service.guard import HEADERS
from finsa_moe.service.problems import MEDIA, Problem

HEAD_BYTES = 32 << 10
HEAD_SECONDS = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    head = 0
    in_head = True
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Give a new connection so long to send a head."""
        super().connection_made(transport)
        self.timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._known()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head; the parser says where it ends."""
        if self.in_head:
            self.head += len(data)
            # a body may follow in the same piece: what ends within a piece is no longer than a piece
            if self.head > HEAD_BYTES and b"\r\n\r\n" not in data:
                self._refuse(431, "head", f"the head of the request is over {HEAD_BYTES:,} bytes")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self.in_head, self.head = True, 0
        if self.timer is None:
            self.timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse a head of very many or long headers even where it came in one piece."""
        self.head += len(name) + len(value)
        if self.head > 2 * HEAD_BYTES + (1 << 18):
            raise ValueError("head too large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self.in_head, self.head = False, 0
        self._known()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem as well."""
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
