"""One request against a server that answers, refuses, lies, stalls and leaves."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError, EndpointError
from finsa_moe.llm.endpoint import KEY, Answer, Endpoint, PassingError, RefusedError, read_key
from tests.llm.server import Handler, breaks_off, closes, raw, says, serving, slow, status

ASKED = [{"role": "system", "content": "改写"}, {"role": "user", "content": "涨了"}]


@pytest.mark.parametrize(("form", "place"), [("openai", "/chat/completions"), ("ollama", "/api/chat")])
def test_an_answer_in_either_form(form: str, place: str) -> None:
    with serving(says("又涨了😀")) as server:
        endpoint = Endpoint(server.url + "/", "m", form, key="s3cret")
        assert endpoint.ask(endpoint.request(ASKED, 0.5, 99)) == Answer("又涨了😀", 7, 3)
        path, body, headers = server.requests[0]
    assert (path, body["model"], body["messages"]) == (place, "m", ASKED)
    assert headers["Authorization"] == "Bearer s3cret"
    wanted = {"temperature": 0.5, "num_predict": 99} if form == "ollama" else 99
    assert body["options" if form == "ollama" else "max_tokens"] == wanted


@pytest.mark.parametrize(
    ("behaviour", "says_why"),
    [
        (status(500, b"<html>  boom\n</html>"), "status 500: <html> boom </html>"), (status(429), "status 429"),
        (status(503), "status 503"), (raw(b"not json"), "not an answer of the form openai: 'not json'"),
        (raw(b"[]"), "not an answer"), (raw(b'{"choices": []}'), "not an answer"), (raw(b""), "not an answer"),
        (raw(b'{"choices": [{"message": {"content": null}}]}'), "not an answer"), (raw(b"\xff\xfe"), "not an answer"),
        (raw(b"[" * 200_000), "not an answer"),
        (raw(b"x" * (1 << 22) + b"y"), "over 4 MiB"), (closes, "http://127.0.0.1"), (breaks_off, "http://127.0.0.1"),
        (slow(30.0), "timed out"),
    ],
)  # fmt: skip
def test_what_may_pass(behaviour, says_why: str) -> None:
    with serving(behaviour) as server:
        endpoint = Endpoint(server.url, "m", timeout=0.4 if says_why == "timed out" else 120)
        with pytest.raises(PassingError) as caught:
            endpoint.ask(endpoint.request(ASKED, 0, 9))
    assert says_why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_what_is_refused_for_good(code: int) -> None:
    with serving(status(code, b"no such model")) as server:
        endpoint = Endpoint(server.url, "m", key="s3cret")
        with pytest.raises(EndpointError, match=f"status {code}: no such model; check the address") as caught:
            endpoint.ask(endpoint.request(ASKED, 0, 9))
    assert not isinstance(caught.value, PassingError)
    assert "s3cret" not in str(caught.value)


def test_one_that_trickles_is_left() -> None:
    def trickles(handler: Handler, body: dict[str, object]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(2400):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    with serving(trickles) as server:
        began = time.monotonic()
        with pytest.raises(PassingError, match="did not end in time"):
            Endpoint(server.url, "m", timeout=1.0).ask({})
        assert time.monotonic() - began < 60  # it would go on for two minutes


@pytest.mark.parametrize(
    ("told", "least", "most"), [("7", 7, 7), ("0.5", 0.5, 0.5), ("soon", 0, 0), ("-3", 0, 0), ("date", 500, 600)]
)
def test_how_long_it_asks_to_wait(told: str, least: float, most: float) -> None:
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True) if told == "date" else told
    with serving(status(429, Retry_After=value)) as server, pytest.raises(PassingError) as caught:
        Endpoint(server.url, "m").ask({})
    assert least <= caught.value.wait <= most


def test_no_request_goes_where_the_user_has_not_sent_it() -> None:
    with serving(says("stolen")) as other:
        for code in (301, 302, 303, 307, 308):
            away = status(code, b"", Location=other.url + "/chat/completions")
            with serving(away) as server, pytest.raises(EndpointError, match="sends requests elsewhere") as caught:
                Endpoint(server.url, "m", key="s3cret").ask({})
            assert not isinstance(caught.value, PassingError)
        assert not other.requests


def test_a_key_is_not_shown_though_the_server_does() -> None:
    with serving(status(401, b"wrong key: s3cret!")) as server, pytest.raises(EndpointError, match="wrong key: …!"):
        Endpoint(server.url, "m", key="s3cret").ask({})
    shown = repr(Endpoint("http://a", "m", key="s3cret"))
    assert "s3cret" not in shown


@pytest.mark.parametrize("form", ["openai", "ollama"])
def test_fields_are_added_changed_and_taken_out(form: str) -> None:
    fields = {"think": False, "stream": None, "temperature": None, "max_tokens": 5}
    body = Endpoint("http://a", "m", form, fields=fields).request(ASKED, 0.5, 99)
    assert body["think"] is False
    assert body["max_tokens"] == 5
    assert {"stream", "temperature"}.isdisjoint(body)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("openai", b'{"choices": [{"message": {"content": "half"}, "finish_reason": "length"}]}'),
        ("ollama", b'{"message": {"content": "half"}, "done_reason": "length"}'),
    ],
)
def test_an_answer_that_was_cut_off_says_so(form: str, content: bytes) -> None:
    for text, told in ((b'"half"', "half"), (b"null", "")):
        with serving(raw(content.replace(b'"half"', text))) as server:
            assert Endpoint(server.url, "m", form).ask({}) == Answer(told, 0, 0, cut=True)
    with serving(says("whole")) as server:
        assert not Endpoint(server.url, "m", form).ask({}).cut


def test_halves_of_characters_become_question_marks() -> None:
    with serving(raw(b'{"choices": [{"message": {"content": "a\\ud83db"}}]}')) as server:
        assert Endpoint(server.url, "m").ask({}).text == "a?b"


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(PassingError, match="refused"):  # held, so that no other process comes to listen there
            Endpoint(url, "m").ask({})


@pytest.mark.parametrize("ended", ["content_filter", "sensitive"])
def test_a_filter_cuts_an_answer_off_or_keeps_it_back(ended: str) -> None:
    content = f'{{"choices": [{{"message": {{"content": "公司公告净利"}}, "finish_reason": "{ended}"}}]}}'
    with serving(raw(content.encode())) as server:
        assert Endpoint(server.url, "m").ask({}) == Answer("公司公告净利", 0, 0, cut=True)
    for nothing in ("null", '""'):
        with (
            serving(raw(content.replace('"公司公告净利"', nothing).encode())) as server,
            pytest.raises(RefusedError, match=f"a filter kept the answer back: {ended}"),
        ):
            Endpoint(server.url, "m").ask({})


@pytest.mark.parametrize("ended", ["insufficient_system_resource", "network_error"])
def test_an_answer_that_the_endpoint_broke_off_is_asked_for_again(ended: str) -> None:
    for text in ('"公司公告净利"', "null"):
        content = f'{{"choices": [{{"message": {{"content": {text}}}, "finish_reason": "{ended}"}}]}}'
        with serving(raw(content.encode())) as server, pytest.raises(PassingError, match=f"broken off: {ended}"):
            Endpoint(server.url, "m").ask({})


@pytest.mark.parametrize(
    ("values", "says_why"),
    [
        ({"url": "localhost:1"}, "allowed is an address"), ({"url": "ftp://a/b"}, "allowed is an address"),
        ({"url": "http://"}, "allowed is an address"), ({"url": "http://a b"}, "allowed is an address"),
        ({"url": "http://股"}, "allowed is an address"), ({"url": "http://me:s3@a"}, "no name or password"),
        ({"url": "http://[::1/v1"}, "no address .*such as http://localhost"), ({"url": "http://a..b/v1"}, "no address"),
        ({"url": "http://a:99999/v1"}, "no address"), ({"url": "http://a:abc/v1"}, "no address"),
        ({"url": "http://a:-1"}, "no address"), ({"url": "http://a:0"}, "allowed is an address"),
        ({"url": f"http://{'a' * 70}.com"}, "no address"), ({"url": "https://a/b?version=1"}, "no ? and no #"),
        ({"url": "http://a/v1#x"}, "no ? and no #"), ({"url": "http://a/v1?"}, "no ? and no #"),
        ({"key": "钥匙"}, "no key holds"), ({"key": "a\nb"}, "no key holds"), ({"form": "grpc"}, "allowed are openai, ollama"),
        ({"model": ""}, "no model named"), ({"timeout": 0}, "allowed are seconds above 0"),
        ({"timeout": float("inf")}, "time-out inf: allowed"), ({"timeout": float("nan")}, "time-out nan: allowed"),
    ],
)  # fmt: skip
def test_what_is_no_endpoint(values: dict[str, object], says_why: str) -> None:
    with pytest.raises(ConfigError, match=says_why.replace("?", r"\?")) as caught:
        Endpoint(**{"url": "http://a", "model": "m", **values})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:s3cret@[::1/v1", "http://me:s3cret@a:x", "http://me:s3cret@a..b/v1"])
def test_a_password_is_not_shown_though_the_address_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="no address") as caught:
        Endpoint(url, "m")
    assert "s3cret" not in str(caught.value)


def test_addresses_of_every_form() -> None:
    for url in ("http://[::1]:8000/v1", "http://127.0.0.1", "https://host.example:8443/v1/"):
        assert Endpoint(url, "m").url == url


def test_where_a_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    assert read_key() == ""
    monkeypatch.setenv(KEY, " from-outside ")
    assert read_key() == "from-outside"
    file = tmp_path / "key"
    for content, says_why in (("", "0 words"), ("two words", "2 words")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=says_why):
            read_key(file)
    file.write_text("k3y\n", encoding="utf-8")
    assert read_key(file) == "k3y"
    with pytest.raises(ConfigError, match="no key can be read"):
        read_key(tmp_path / "none")
