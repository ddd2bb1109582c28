"""What no client should send: ten thousand requests at a real socket, each refused in words, none a fault or a crash."""

from __future__ import annotations

import gzip
import json
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.service.served import Service, Settings, serving, until

PATHS = [
    b"/v1/predict",
    b"/v1/predict/file",
    b"/v1/model",
    b"/v1/files/x",
    b"/",
    b"/page/app.js",
    b"/metrics",
    b"/v1/reload",
]
ODD = [
    None,
    True,
    3,
    -1e308,
    "涨",
    "",
    [],
    {},
    [[]],
    {"a": 1},
    ["涨"],
    "\ud800",
    "\x00",
    "\u202e涨",
    "涨" * 5000,
    ["涨"] * 600,
]
TRICKS = [
    "../../etc/passwd", "..\\..\\x", "%2e%2e%2f", "\x00.csv", "con.csv", "a" * 5000 + ".csv", ".csv", "a.csv/../b", "a\r\nX: y.csv",
    "файл.csv", "帖子.csv", "a.csv.exe", "~/.ssh/id.csv", "file:///etc/passwd", "|id.csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(
        Settings(
            max_texts=500,
            max_chars=4000,
            max_body=300_000,
            max_file=300_000,
            body_seconds=1.0,
            per_client=1000,
            files_at_once=32,
        )
    ) as found:
        yield found


def send(service: Service, raw: bytes, *, patience: float = 120.0) -> bytes:
    """One connection, whatever is sent on it; what comes back before it is closed, or until patience ends."""
    found = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=patience) as connection:
        try:
            connection.sendall(raw)
            while len(found) < 1_000_000 and (block := connection.recv(65536)):
                found += block
        except OSError:  # nothing came, or it ended the connection on what is not HTTP
            pass
    return found


def head(method: bytes, path: bytes, fields: list[tuple[bytes, bytes]], length: int | None) -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"]
    lines += [name + b": " + value for name, value in fields]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def quoted(name: str) -> bytes:
    from urllib.parse import quote

    return quote(name.encode("utf-8", "surrogatepass")).encode()


def broken_json(rng: random.Random) -> bytes:
    whole = json.dumps({"texts": ["涨停", "跌停"], "domain": None, "scores": True}).encode()
    kind = rng.randrange(6)
    if kind == 0:
        return whole[: rng.randrange(1, len(whole))]
    if kind == 1:
        bad = bytearray(whole)
        bad[rng.randrange(len(bad))] = rng.randrange(256)
        return bytes(bad)
    if kind == 2:
        return rng.choice([b"[", b'{"texts":', b'{"a":[']) * rng.randrange(1, 20_000)
    if kind == 3:
        return rng.randbytes(rng.randrange(1, 400))
    if kind == 4:
        return whole.decode().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))
    return whole + whole


def odd_fields(rng: random.Random) -> bytes:
    body = {"texts": rng.choice(ODD)}
    for name in rng.sample(
        ["domain", "scores", "explain", "texts ", "__proto__", "model", "path"], rng.randrange(1, 4)
    ):
        body[name] = rng.choice(ODD)
    return json.dumps(body).encode("utf-8", "surrogatepass")


def request(rng: random.Random) -> bytes:
    """One hostile request."""
    kind = (b"Content-Type", b"application/json")
    choice = rng.randrange(12)
    if choice <= 2:
        body = broken_json(rng)
        return head(b"POST", b"/v1/predict", [kind], len(body)) + body
    if choice <= 5:
        body = odd_fields(rng)
        return head(b"POST", b"/v1/predict", [kind], len(body)) + body
    if choice == 6:  # compressed: half a megabyte of nothing in a few hundred bytes
        body = gzip.compress(b" " * 500_000)
        return (
            head(
                b"POST",
                b"/v1/predict",
                [kind, (b"Content-Encoding", rng.choice([b"gzip", b"br", b"deflate, gzip"]))],
                len(body),
            )
            + body
        )
    if choice == 7:  # file names
        body = rng.choice(
            [b"text\n\xe6\xb6\xa8\n", b"", b"\x00" * 50, rng.randbytes(300), b'"' * 999, b"PAR1" + rng.randbytes(60)]
        )
        media = rng.choice([b"text/csv", b"application/x-ndjson", b"application/octet-stream", b"text/html"])
        path = (
            b"/v1/predict/file?name="
            + quoted(rng.choice(TRICKS))
            + b"&text="
            + quoted(rng.choice(["", "x", "\x00", "+", "../x"]))
        )
        return head(b"POST", path, [(b"Content-Type", media)], len(body)) + body
    if choice == 8:  # paths
        path = b"/" + rng.choice([b"page/", b"v1/files/", b"v1/", b""]) + quoted(rng.choice(TRICKS))
        return head(rng.choice([b"GET", b"HEAD", b"DELETE", b"OPTIONS"]), path[:8000], [], None)
    if choice == 9:  # heads
        fields = [(rng.choice([b"X-A", b"Cookie", b"Host", b"Origin", b"Authorization", b"Expect", b"Range", b"Upgrade"]),
                   rng.choice([b"", b"\xff\xfe", b"a" * rng.randrange(30_000), b"bytes=0-9999", b"100-continue", b"http://x", b"h2c"]))
                  for _ in range(rng.randrange(1, 60))]  # fmt: skip
        return head(rng.choice([b"GET", b"POST", b"BREW", b"CONNECT"]), rng.choice(PATHS), fields, None)
    if choice == 10:  # lengths that lie, and chunks that are none
        body = b'{"texts": ["a"]}'
        lie = rng.choice([b"Content-Length: -1", b"Content-Length: 9" + b"9" * 30, b"Content-Length: 5\r\nContent-Length: 6",
                          b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Transfer-Encoding: chunked", b"Content-Length: 0x10"])  # fmt: skip
        return (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + lie
            + b"\r\n\r\n"
            + body
        )
    return rng.randbytes(rng.randrange(1, 3000))  # not HTTP at all


def check(reply: bytes, raw: bytes) -> int:
    """The status; an answer there is must be one a client can read, and never one of a fault."""
    assert b"Traceback" not in reply
    assert b'File "' not in reply
    if not reply:
        return 0
    status = int(reply.split(b" ", 2)[1])
    assert status < 500, (raw[:300], reply[:400])
    return status


def attack(service: Service, count: int, seed: int) -> Counter[int]:
    rng = random.Random(seed)
    requests = [request(rng) for _ in range(count)]
    with ThreadPoolExecutor(16) as clients:
        met = Counter(clients.map(lambda raw: check(send(service, raw, patience=1.5), raw), requests))
    assert service.predict("涨").json()["predictions"][0]["sentiment"] == "利好"
    until(lambda: service.metric("finsa_in_flight") <= 1)  # none goes on for ever
    return met


def test_some_hostile_requests(service: Service) -> None:
    met = attack(service, 600, seed=1)
    assert {400, 404, 405, 415, 422} <= set(met)


@pytest.mark.slow
def test_ten_thousand_hostile_requests(service: Service) -> None:
    from finsa_moe.service.guard import log

    faults: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: faults.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        met = attack(service, 9400, seed=2)
    finally:
        log.removeHandler(handler)
    assert not faults
    assert sum(met.values()) == 9400
    assert met.get(0, 0) < 1000  # most are answered in words


def test_requests_that_stop_half_way(service: Service) -> None:
    """Cut off in the head, or in the body, by clients that left; nothing stays."""
    whole = head(b"POST", b"/v1/predict", [(b"Content-Type", b"application/json")], 40) + b'{"texts": ["'
    for end in range(1, len(whole), 7):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(whole[:end])
    until(lambda: service.metric("finsa_in_flight") <= 1)


def test_slow_ones_are_told_to_go(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from finsa_moe.service import protocol

    began = time.monotonic()
    body = head(b"POST", b"/v1/predict", [(b"Content-Type", b"application/json")], 40) + b"{"
    assert send(service, body).split(b" ", 2)[1] == b"408"
    assert 0.8 < time.monotonic() - began < 60
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    assert send(service, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").split(b" ", 2)[1] == b"408"
    assert send(service, b"").split(b" ", 2)[1] == b"408"


def test_a_head_without_end_is_cut(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as connection:
        sent = 0
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionError):
            while sent < 50_000_000:
                connection.sendall(b"X-A: " + b"a" * 8000 + b"\r\n")
                sent += 8007
                time.sleep(0.001)
    assert sent < 5_000_000
