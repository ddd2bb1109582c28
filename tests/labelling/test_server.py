"""The page's server from outside: its own page is served, other sites' requests are not."""

from __future__ import annotations

import csv
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.labelling.desk import Desk
from finsa_moe.labelling.server import LabelServer
from finsa_moe.labelling.sheet import read_sheet


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LabelServer]:
    path = tmp_path / "batch.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text"], ["a", "涨停"], ["b", "跌停"]])
    with Desk(path, read_sheet(path)) as desk, LabelServer(desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: LabelServer, method: str = "POST", path: str | None = None, body: object = None, **changed: str | None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """A request as the page sends it, but for what is changed; None leaves a header out."""
    host = f"127.0.0.1:{server.server_port}"
    headers: dict[str, str | None] = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    words = json.dumps({"do": "label", "row": "a", "label": "利好"} if body is None else body).encode()
    path = f"/{server.secret}/" + ("act" if method == "POST" else "") if path is None else path
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    if method == "POST" and "Content_Length" not in changed:
        connection.putheader("Content-Length", str(len(words)))
    connection.endheaders(words if method == "POST" else None)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def test_the_page_and_a_key(server: LabelServer) -> None:
    status, page, headers = ask(server, "GET")
    assert (status, page) == (200, server.page)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    status, answer, _ = ask(server)
    assert status == 200
    assert json.loads(answer)["row"] == "b"
    assert server.desk.labelled == 1


def test_the_page_names_no_other_place(server: LabelServer) -> None:
    assert b"http" not in server.page
    assert b"src=" not in server.page


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Host": "finsa.example:80"}, 403),  # a name of another site that leads here
        ({"Host": None}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 403),  # what a form of another site can send unasked
        ({"path": "/guess/act"}, 404),
        ({"path": "/act"}, 404),
        ({"path": "/"}, 404),
        ({"Content_Length": "99999999"}, 413),
        ({"Content_Length": "-1"}, 413),
        ({"body": ["do"]}, 400),
        ({"body": {"do": "label", "row": 1}}, 400),
        ({"body": {"what": "label"}}, 400),
        ({"body": {"do": "label", "row": "z", "label": "利好"}}, 400),
    ],
)
def test_what_others_send_changes_nothing(server: LabelServer, changed: dict[str, str], status: int) -> None:
    assert ask(server, **changed)[0] == status  # type: ignore[arg-type]
    assert server.desk.labelled == 0


def test_the_page_is_kept_from_other_names_too(server: LabelServer) -> None:
    assert ask(server, "GET", Host="finsa.example")[0] == 403
    assert ask(server, "GET", path=f"/{'x' * len(server.secret)}/")[0] == 404
    assert ask(server, "GET", Host=f"localhost:{server.server_port}")[0] == 200


def test_broken_words_are_answered(server: LabelServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as raw:
        host = f"127.0.0.1:{server.server_port}"
        head = f"POST /{server.secret}/act HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 3\r\n\r\n".encode() + b"\xff\xfe{")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")
    assert ask(server)[0] == 200


@pytest.mark.parametrize("fault", [BrokenPipeError, ConnectionResetError, KeyError])
def test_a_tab_closed_before_its_answer_is_no_fault(
    server: LabelServer, fault: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(**asked: str) -> None:
        raise fault("gone")

    monkeypatch.setattr(server.desk, "act", break_off)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server)
    assert ("Traceback" in capsys.readouterr().err) is (fault is KeyError)


def test_every_secret_is_new_and_it_listens_on_this_machine_alone(server: LabelServer) -> None:
    with LabelServer(server.desk) as other:
        assert other.secret != server.secret
        assert len(other.secret) >= 32
        assert other.socket.getsockname()[0] == "127.0.0.1"
        with pytest.raises(ConfigError, match="leave it out to take one that is free"):
            LabelServer(server.desk, other.server_port)
