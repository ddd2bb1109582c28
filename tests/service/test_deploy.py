"""The files of `deploy/`, as far as a machine without a container engine can judge them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import typer
import yaml

from finsa_moe.cli import app
from finsa_moe.data.reading.usual import USUAL
from finsa_moe.service import run
from finsa_moe.service.dispatcher import Dispatcher
from finsa_moe.service.summary import TICKERS
from tests.service.served import Service, Settings, serving

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(behind_proxy=True)) as found:
        yield found


def understood(words: list[str]) -> dict[str, object]:
    """The settings of a `finsa serve` command line; an unknown option raises."""
    verb = typer.main.get_command(app).get_command(None, "serve")  # type: ignore[attr-defined, arg-type]
    return verb.make_context("serve", words).params


def test_the_page_on_serving_names_every_column_that_is_looked_for() -> None:
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
    told = re.search(r"Of the day: (.*?)\. Of the ticker: (.*?);", page, re.DOTALL)
    assert told is not None
    assert [re.findall(r"`(.+?)`", part) for part in told.groups()] == [list(USUAL["date"]), list(TICKERS)]


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (DEPLOY / "finsa.service").read_text(encoding="utf-8")
    line = re.search(r"^ExecStart=\S+/finsa serve (.*)$", text, re.MULTILINE)
    assert line
    found = understood(shlex.split(line[1]))
    assert found["host"] == "127.0.0.1"
    assert found["behind_proxy"]
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine; the command line was checked")
    unit = tmp_path / "finsa.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run([program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "finsa.service" in line]
    assert not ours


def test_the_containerfile_names_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((DEPLOY.parent / source).exists() for source in line.split()[1:-1])
    extras = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.search(r"'\.\[([a-z,]+)\]'", text)
    assert asked
    assert set(asked[1].split(",")) <= set(extras)
    command = json.loads(next(line for line in lines if line.startswith("CMD "))[4:])
    assert command[:2] == ["finsa", "serve"]
    assert understood(command[2:])["host"] == "0.0.0.0"  # which asks for a token, as the head of the file gives
    assert "FINSA_TOKEN" in text
    assert lines.index("USER 10001") < next(at for at, line in enumerate(lines) if line.startswith("CMD"))
    image = re.findall(r"^FROM python:3\.(\d+)", text, re.MULTILINE)
    assert len(image) == 2
    assert all(int(minor) >= 11 for minor in image)


def test_the_documented_upload_is_answered(service: Service) -> None:
    """What docs/deploy.md has curl send, sent; and every parameter that it names is one."""
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^curl .*$", page, re.MULTILINE)
    words = shlex.split(line)
    path = words[-1].removeprefix("http://127.0.0.1:8000")
    name, _, value = words[words.index("-H") + 1].partition(": ")
    reply = service.ask("POST", path, "content,text\n涨停,一\n".encode(), {name: value})
    assert reply.status == 200, reply.body
    assert reply.body.decode("utf-8").startswith("\ufeffid,content,text,sentiment")
    known = service.ask("GET", "/openapi.json").json()["paths"]["/v1/predict/file"]["post"]["parameters"]
    described = page[page.index("Of a file,") : page.index("curl ")]
    assert {each["name"] for each in known} == set(re.findall(r"`\??(\w+)=", described))


def test_the_documented_answer_has_the_parts_of_a_given_one(service: Service) -> None:
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
    (asked,) = re.findall(r"The whole answer to `(\{.*?\})`", page)
    (shown,) = re.findall(r"^```json\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    reply = service.ask("POST", "/v1/predict", asked.encode(), {"Content-Type": "application/json"})
    shown, given = json.loads(shown), reply.json()
    assert shown.keys() == given.keys()
    for one, other in zip(shown["predictions"], given["predictions"], strict=True):
        assert one.keys() == other.keys()
        assert one["scores"].keys() == other["scores"].keys()


def test_the_containers_health_is_asked_as_a_test_can(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    command = json.loads(re.search(r"HEALTHCHECK.*?CMD (\[.*\])", text)[1])  # type: ignore[index]
    import sys

    asked = [sys.executable, *command[1:-1], command[-1].replace(":8000", f":{service.port}")]
    assert subprocess.run(asked, check=False, timeout=120).returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "wait", lambda *_: 1e6)
        assert service.ask("GET", "/readyz").status == 503
        assert subprocess.run(asked, check=False, timeout=120).returncode == 0  # a full queue asks for no new start
    asked[-1] = asked[-1].replace("healthz", "nowhere")
    assert subprocess.run(asked, check=False, timeout=120, stderr=subprocess.DEVNULL).returncode != 0


def test_every_metric_that_is_asked_for_exists(service: Service) -> None:
    service.predict(["涨停了", ""])
    told = set(re.findall(r"^# TYPE (\S+) ", service.ask("GET", "/metrics").body.decode(), re.MULTILINE))
    rules = yaml.safe_load((DEPLOY / "finsa-rules.yml").read_text(encoding="utf-8"))
    dashboard = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in re.findall(r"\bfinsa_\w+", expression)}
    assert len(names) >= 12
    whole = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    assert {name for name in whole if name not in told and name.removesuffix("_total") not in told} == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for expression in asked:
        assert expression.count("(") == expression.count(")")
    watched = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(DEPLOY / name).is_file() for name in watched["rule_files"]] == [True]


def test_nginx_in_front_passes_requests_on_and_hides_the_metrics(service: Service, tmp_path: Path) -> None:
    program, openssl = (shutil.which(name) for name in ("nginx", "openssl"))
    if program is None or openssl is None:
        pytest.skip("no nginx or openssl on this machine; on Debian: apt-get install nginx-light openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "chain.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    port = free_port()
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for ours, there in {
        "127.0.0.1:8000": f"127.0.0.1:{service.port}", "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/finsa/fullchain.pem": str(certificate), "/etc/ssl/finsa/privkey.pem": str(key),
    }.items():  # fmt: skip
        assert ours in text
        text = text.replace(ours, there)
    text = text.replace("limit_conn finsa_clients 64", "limit_conn finsa_clients 2")
    text = text.replace("client_max_body_size 64m", "client_max_body_size 1k")
    nobody, mute = free_port(), socket.create_server(("127.0.0.1", 0))  # which takes connections and is silent
    for path, there in (("/away", nobody), ("/late", mute.getsockname()[1])):
        text = text.replace(
            "    location = /metrics", f"    location = {path} {{ proxy_pass http://127.0.0.1:{there}; "
            "proxy_read_timeout 1s; }\n    location = /metrics"
        )  # fmt: skip
    places = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {places}\n{text}\n}}"
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")
    running = subprocess.Popen([program, "-e", f"{tmp_path}/log", "-c", f"{tmp_path}/nginx.conf", "-p", str(tmp_path)])
    try:
        until = time.monotonic() + 120
        while (status := through(port, "GET", "/healthz")[0]) != 200:
            assert running.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, status
            time.sleep(0.05)
        status, body = through(port, "POST", "/v1/predict", b'{"texts": "\xe6\xb6\xa8"}')
        assert status == 200, body
        assert json.loads(body)["predictions"][0]["sentiment"] == "利好"
        status, body = through(port, "POST", "/v1/predict/file", "text\n跌\n".encode(), "text/csv")
        assert status == 200
        assert "利空" in body.decode()
        assert through(port, "GET", "/metrics")[0] == 404
        refusals = {413: ("POST", "/v1/predict", b"a" * 2000), 502: ("GET", "/away"), 504: ("GET", "/late")}
        for status, asked in refusals.items():
            found, body = through(port, *asked)  # type: ignore[arg-type]
            assert found == json.loads(body)["status"] == status
        service.engine.gate.clear()  # type: ignore[attr-defined]
        with ThreadPoolExecutor(3) as clients:
            replies = [
                clients.submit(through, port, "POST", "/v1/predict", b'{"texts": "\xe6\xb6\xa8"}') for _ in range(3)
            ]
            wait(replies, return_when=FIRST_COMPLETED, timeout=120)
            service.engine.gate.set()  # type: ignore[attr-defined]
        (told,) = (reply.result() for reply in replies if reply.result()[0] != 200)
        assert told[0] == 429
        assert json.loads(told[1])["type"] == "urn:finsa:too-many"
    finally:
        running.terminate()
        running.wait(120)
        mute.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_nginx_waits_as_long_as_the_service_does_and_ends_connections_before_it() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    settings, config = Settings(), run.configured(run.APP, Settings())
    (idle,) = re.findall(r"keepalive_timeout (\d+)s;", text)
    assert int(idle) < config.timeout_keep_alive
    (patience,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert int(patience) > settings.deadline * (1 + settings.max_explained)
    (at_once,) = re.findall(r"limit_conn finsa_clients (\d+);", text)
    assert int(at_once) == settings.per_client


def through(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> tuple[int, bytes]:
    """Status and body by TLS; 0 where nobody answers yet."""
    import http.client
    import ssl

    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=120)
    try:
        origin = f"localhost:{port}"  # as a browser writes them on another port than 443
        connection.request(method, path, body, {"Host": origin, "Origin": f"https://{origin}", "Content-Type": kind})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()
