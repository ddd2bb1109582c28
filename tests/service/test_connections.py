"""Connections on which nothing is asked, or whose requests never end: closed in time, and too many of them refused."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.service.served import Service, Settings, serving, until

from finsa_moe.service import protocol  # isort: skip

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENDLESS = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n",  # 415
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n",
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings()) as found:
        yield found


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_SECONDS", "LINGER_SECONDS", "LINGER_MOST", "CROWDED_SECONDS"):
        monkeypatch.setattr(protocol, name, 0.3)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 60)


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = connection.recv(65536)
        assert piece, "closed without an answer"
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        piece = connection.recv(65536)
        assert piece, "closed within an answer"
        body += piece
    return head, body


def closed_within(connection: socket.socket, byte: bytes, seconds: float) -> bool:
    """Whether it is closed, whatever byte is sent on it every tenth of a second."""
    end = time.monotonic() + seconds
    connection.settimeout(0.1)
    while time.monotonic() < end:
        try:
            connection.sendall(byte)
            if not connection.recv(65536):
                time.sleep(0.1)  # half of it; the other goes later, which a further byte tells
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


@pytest.mark.parametrize(
    ("begins", "byte"),
    [(b"", b"\r\n"), (b"GET / HTTP/1.1\r\nX: ", b"a")],
    ids=["empty lines", "a head that does not end"],
)
def test_no_byte_keeps_a_connection_on_which_nothing_is_asked(
    service: Service, begins: bytes, byte: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(service) as connection:
        connection.sendall(HEALTH)
        assert answer(connection)[0].startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
        connection.sendall(begins)
        assert closed_within(connection, byte, 60)


@pytest.mark.parametrize("request_", ENDLESS)
def test_who_is_answered_before_the_body_has_ended_is_let_go(service: Service, request_: bytes) -> None:
    with connected(service) as connection:
        connection.sendall(request_)
        assert b"\r\nconnection: close" in answer(connection)[0]
        assert closed_within(connection, b"a", 60)


def test_who_sends_the_whole_body_gets_the_answer_that_came_before_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed at once, the connection would be reset under what is still sent, and the answer with it."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 60)
    with connected(service) as connection:
        connection.sendall(ENDLESS[0])
        with suppress(TimeoutError):
            connection.sendall(b"a" * 9_000_000)
        assert answer(connection)[0].startswith(b"HTTP/1.1 200")


def test_who_sends_slowly_gets_the_answer_that_came_long_before_the_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 1)
    monkeypatch.setattr(protocol, "LINGER_MOST", 60)
    with connected(service) as connection:
        connection.sendall(ENDLESS[0])
        for _ in range(15):
            connection.sendall(b"a" * 10_000)
            time.sleep(0.1)
        assert answer(connection)[0].startswith(b"HTTP/1.1 200")


def test_a_connection_is_kept_for_one_request_after_another(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 60)
    whole = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n"
    )
    with connected(service) as connection:
        for piece in (HEALTH, whole + b'{"texts": "a"}', HEALTH):
            connection.sendall(piece[:-5])
            time.sleep(0.05)
            connection.sendall(piece[-5:])
            head, _ = answer(connection)
            assert head.startswith(b"HTTP/1.1 200")
            assert b"connection: close" not in head


def test_behind_a_proxy_all_may_be_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 60)
    monkeypatch.setattr(protocol, "CROWDED_SECONDS", 60)
    monkeypatch.setattr(protocol, "CONNECTIONS", 3)
    with serving(Settings(behind_proxy=True)) as service, ExitStack() as held:
        for status in (b"200", b"200", b"200", b"503"):
            connection = held.enter_context(connected(service))
            connection.sendall(HEALTH.replace(b"/healthz", b"/readyz"))
            assert answer(connection)[0].startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("most", [3, 6], ids=["of all", "of one address"])
def test_one_connection_too_many_is_refused_as_any_request_is(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 60)
    monkeypatch.setattr(protocol, "CONNECTIONS", most)
    if most == 3:
        monkeypatch.setattr(protocol.BoundedProtocol, "_place", lambda self: (id(self), ""))
    with serving() as service, ExitStack() as held:
        until(lambda: not protocol.BoundedProtocol.held)
        for _ in range(3):
            connection = held.enter_context(connected(service))
            connection.sendall(HEALTH)
            assert answer(connection)[0].startswith(b"HTTP/1.1 200")
        with connected(service) as late:
            assert late.recv(1) == b""  # who asks nothing takes no place for long
        monkeypatch.setattr(protocol, "CROWDED_SECONDS", 60)
        with connected(service) as late:
            late.sendall(HEALTH)  # a probe of life is answered, or the service would be ended
            head, _ = answer(late)
            assert head.startswith(b"HTTP/1.1 200")
            assert b"\r\nconnection: close" in head
        with connected(service) as late:
            late.sendall(HEALTH.replace(b"/healthz", b"/readyz"))
            head, body = answer(late)
            assert head.startswith(b"HTTP/1.1 503")
            assert b"\r\nretry-after: 1" in head
            assert b"\r\ncontent-type: application/problem+json" in head
            assert b"\r\nconnection: close" in head
            assert json.loads(body)["type"] == "urn:finsa:connections"
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")  # who was there first is answered
        assert b'finsa_refused_total{kind="connections"} 1.0' in answer(connection)[1]
