"""Answers over a real connection, whose system takes them in steps of its own, to clients that read at some pace."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.served import until, uvicorn

from finsa_moe.service import protocol  # isort: skip
from finsa_moe.service.run import bound, configured  # isort: skip
from finsa_moe.service.settings import Settings  # isort: skip

RATE, SECONDS = 800_000, 1.0
PIECES, PIECE = 160, b"a" * 65_536


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """As a long file is answered; at /once as many texts are, in one piece."""
    head = [(b"content-length", str(PIECES * len(PIECE)).encode())]
    if scope["path"] == "/once":
        await send({"type": "http.response.start", "status": 200, "headers": [*head, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": PIECE * PIECES})
        return
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for at in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": at < PIECES - 1})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = configured(answer, Settings())
    config.lifespan = "off"
    listening, server = bound("127.0.0.1", 0), uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until(lambda: server.started)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(60)
    listening.close()


def taken(connection: socket.socket, path: bytes, pace: float) -> int:
    """Ask, and read at so many bytes a second to the end of the answer or of the connection: how many came."""
    connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    began, found = time.monotonic(), 0
    try:
        while found < PIECES * len(PIECE) and (block := connection.recv(16_384)):
            found += len(block)
            time.sleep(max(0.0, began + found / pace - time.monotonic()))
    except ConnectionError:
        pass
    return found


@pytest.mark.parametrize("path", [b"/", b"/once"])
@pytest.mark.parametrize(("share", "whole"), [(4, True), (0.5, False)])
def test_who_reads_faster_than_the_rate_gets_the_whole_answer(
    port: int, path: bytes, share: float, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "RATE", RATE)
    monkeypatch.setattr(protocol, "TAKE_SECONDS", SECONDS)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        began = time.monotonic()
        found = taken(connection, path, RATE * share)
    assert (found >= PIECES * len(PIECE)) == whole
    assert whole or time.monotonic() - began < 8 * SECONDS
