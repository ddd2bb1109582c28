"""Who is let in without a token: whoever names this machine as it may be listened at, and nobody else.

And how a request is counted whose client leaves, or whose answer is broken off, and what is logged of a fault.
"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.errors import ConfigError
from tests.service.served import Service, Settings, SlowEngine, configured, serving, until


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as found:
        yield found


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.2", 200), ("127.8.9.1:8000", 200), ("[::1]", 200), ("[::1]:8000", 200),
        ("LocalHost:8000", 200), ("0.0.0.0", 421), ("192.0.2.1", 421), ("[::]:8000", 421), ("[2001:db8::1]", 421),
        ("127.0.0.1.evil.example", 421), ("localhost.evil.example:8000", 421), ("", 421), ("[", 421),
    ],
)  # fmt: skip
def test_every_loopback_address_and_no_other_name_is_answered(service: Service, host: str, status: int) -> None:
    assert service.ask("GET", "/v1/model", headers={"Host": host}).status == status


@pytest.mark.parametrize("origin", ["http://[", "http://]", "http://[x]", "http://a\xbdb", "//[::1"])
def test_an_origin_that_is_no_address_is_foreign(service: Service, origin: str) -> None:
    for path in ("/v1/model", "/healthz"):
        reply = service.ask("GET", path, headers={"Origin": origin})
        assert (reply.status, reply.json()["type"]) == (403, "urn:finsa:origin")


def test_a_token_is_compared_in_a_time_that_does_not_tell_how_much_of_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the standard library's comparison, whose word is the last."""
    asked: list[tuple[bytes, bytes]] = []
    right = False

    def compare(given: bytes, token: bytes) -> bool:
        asked.append((given, token))
        return right

    (tmp_path / "token").write_text("0123456789abcdef0123")
    with serving(Settings(token_file=str(tmp_path / "token"))) as service:
        monkeypatch.setattr("hmac.compare_digest", compare)
        for right in (False, True):
            for given in ("0123456789abcdef0123", "0"):
                reply = service.ask("GET", "/v1/model", headers={"Authorization": f"Bearer {given}"})
                assert reply.status == (200 if right else 401)
                assert asked.pop() == (given.encode(), b"0123456789abcdef0123")


def counted(service: Service, route: str) -> dict[str, float]:
    """How often a route answered, by status; what is 0 left out, but for faults."""
    told = service.ask("GET", "/metrics").body.decode()
    found = re.findall(
        rf'^finsa_requests_total\{{route="{re.escape(route)}",status="(\d+)"\}} (\S+)$', told, re.MULTILINE
    )
    return {status: float(count) for status, count in found}


@pytest.mark.parametrize(
    "route", ["/v1/predict", "/v1/predict/file", "/v1/files/{asked}", "/v1/model", "/", "/openapi.json", "other"]
)
def test_the_first_fault_of_a_route_is_an_increase(route: str) -> None:
    with serving() as service:
        assert counted(service, route) == {"500": 0.0}


def test_the_leaving_of_a_client_is_no_fault() -> None:
    """In the midst of its body, and while it waits for the answer."""
    engine = SlowEngine()
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n"
    )
    with serving(engine=engine) as service:
        engine.gate.clear()
        for times, body in enumerate((b'{"texts', '{"texts": "涨涨"}'.encode()), 1):
            with socket.create_connection(("127.0.0.1", service.port)) as left:
                left.sendall(head + body)
                until(lambda: service.metric("finsa_in_flight") == 2)  # and this question
            until(lambda times=times: sum(counted(service, "/v1/predict").values()) == times)
        assert counted(service, "/v1/predict") == {"500": 0.0, "499": 2.0}


def test_an_answer_broken_off_by_a_fault_counts_as_one() -> None:
    class Breaking(SlowEngine):
        good: int | None = None  # texts still to be answered

        def run(self, ids: Any, mask: Any, experts: Any) -> Any:
            if self.good is not None:
                self.good -= len(ids)
                if self.good < 0:
                    raise RuntimeError("as tried")
            return super().run(ids, mask, experts)

    engine = Breaking()
    with serving(engine=engine) as service:
        engine.good = 600
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
        connection.request("POST", "/v1/predict/file", b"text\n" + "涨\n".encode() * 3000, {"Content-Type": "text/csv"})
        reply = connection.getresponse()
        assert reply.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            reply.read()
        connection.close()
        until(lambda: service.metric("finsa_in_flight") == 1)
        assert counted(service, "/v1/predict/file") == {"500": 1.0}


@pytest.mark.parametrize("log_texts", [False, True])
def test_a_fault_is_told_without_its_words(log_texts: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """To the client never, and in the log where that was asked for."""

    class Broken(SlowEngine):
        works = True

        def run(self, ids, mask, experts):  # type: ignore[no-untyped-def]
            if not self.works:
                raise RuntimeError("秘密的文本")
            return super().run(ids, mask, experts)

    engine = Broken()
    with serving(Settings(log_texts=log_texts), engine) as service:
        engine.works = False
        reply = service.predict("涨")
        assert reply.status == 500
        assert reply.json()["type"] == "urn:finsa:fault"
        assert "秘密" not in reply.body.decode()
        assert service.ask("GET", "/healthz").status == 200
    logged = "".join(capsys.readouterr())
    assert "unforeseen RuntimeError" in logged
    assert " on /v1/predict at " in logged
    assert ("秘密的文本" in logged) == log_texts


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({}, 429), ({"behind_proxy": True}, 200), ({"proxies": "127.0.0.0/8"}, 200), ({"proxies": "10.1.2.3,127.0.0.1"}, 200),
        ({"proxies": "10.88.0.0/16"}, 429), ({"proxies": "10.88.0.0/16", "behind_proxy": True}, 429),
    ],
)  # fmt: skip
def test_clients_are_told_apart_by_a_proxy_that_is_trusted(told: dict[str, Any], status: int) -> None:
    engine = SlowEngine()
    with serving(Settings(per_client=1, **told), engine) as service, socket.socket() as first:
        engine.gate.clear()
        first.connect(("127.0.0.1", service.port))
        first.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'X-Forwarded-For: 192.0.2.1\r\nContent-Length: 14\r\n\r\n{"texts": "a"}'
        )
        until(lambda: engine.held)
        assert service.ask("GET", "/v1/model", headers={"X-Forwarded-For": "192.0.2.2"}).status == status
        engine.gate.set()


def test_proxies_that_the_environment_names_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.88.0.1")
    assert configured("app", Settings(behind_proxy=True)).forwarded_allow_ips == "10.88.0.1"
    assert configured("app", Settings(proxies="10.1.0.0/16")).forwarded_allow_ips == "10.1.0.0/16"


@pytest.mark.parametrize("proxies", ["", "10.0.0.300", "10.0.0.1,", "10.0.0.1/8", "proxy.example", "*"])
def test_a_proxy_is_an_address_or_a_network(proxies: str) -> None:
    with pytest.raises(ConfigError, match=r"^proxies is .*; name addresses or networks, such as 10\.88\.0\.1,"):
        Settings(proxies=proxies)
