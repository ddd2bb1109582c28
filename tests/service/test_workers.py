"""`finsa serve` as a process, with several workers: one killed, all reloaded, the whole ended, and how it refuses to start."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError
from tests.service.served import Reply, Service, Settings, SlowEngine, serving, until

from finsa_moe.service import run  # isort: skip

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes under /proc")


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], Service]]:
    command = [sys.executable, "-m", "finsa_moe", "serve", "--port", "0", "--deadline", "120", *options]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    found = re.match(r"http://127\.0\.0\.1:(\d+) ", running.stderr.readline())
    assert found
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(running.stderr or []), daemon=True)
    reader.start()
    service = Service(int(found[1]), None, None)  # type: ignore[arg-type]
    try:
        until(lambda: status(service) == 200, 300)
        yield running, service
    finally:
        if running.poll() is None:
            running.terminate()
        try:
            running.wait(300)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        reader.join(60)
    assert "Traceback" not in "".join(lines)


def status(service: Service) -> int:
    try:
        return service.ask("GET", "/readyz").status
    except OSError:
        return 0


def lives(pid: int) -> bool:
    """Whether a process runs: not one that has ended and that nobody has asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def workers(running: subprocess.Popen[str]) -> set[int]:
    """Children that are workers: not what Python starts beside them."""
    found = set()
    for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
                found.add(int(pid))
    return found


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_the_others_answer(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    bear = {"Authorization": "Bearer 0123456789abcdef0123"}
    with process("--workers", "2", "--token-file", str(token)) as (running, service):
        until(lambda: len(workers(running)) == 2, 300)
        time.sleep(1)  # both listen
        token.unlink()  # it was read once, and for the worker that is started anew as well
        stop, statuses, broken = threading.Event(), [], []

        def ask() -> None:
            while not stop.is_set():
                try:
                    reply = service.ask("POST", "/v1/predict", {"texts": ["放量突破前高", "跌停了"]}, bear)
                    statuses.append(reply.status)
                except OSError as error:
                    broken.append(error)
                    time.sleep(0.01)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        before = workers(running)
        os.kill(min(before), signal.SIGKILL)
        after = len(statuses)
        until(lambda: len(statuses) > after + 10, 300)  # the other one answers
        until(lambda: len(workers(running) - {min(before)}) == 2, 300)  # and the killed one comes back
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}
        assert len(broken) <= 4, "only what the killed one held may break: one request a client"

        assert service.ask("POST", "/v1/reload", headers=bear).status == 200  # by one worker, which has all do it
        until(lambda: reloads(service, bear) >= 2, 300)
        time.sleep(5)
        assert reloads(service, bear) == 2  # each once
        text = service.ask("GET", "/metrics", headers=bear).body.decode()
        asked = re.search(r'finsa_requests_total\{route="/v1/predict",status="200"\} (\d+)', text)
        assert asked
        # any worker tells the sums of all, the dead one's as well, but for a request it was killed in after its answer
        assert len(statuses) - 1 <= int(asked[1]) <= len(statuses)
        running.send_signal(signal.SIGTERM)
        assert running.wait(300) == 0


def reloads(service: Service, bear: dict[str, str]) -> float:
    text = service.ask("GET", "/metrics", headers=bear).body.decode()
    return sum(map(float, re.findall(r'finsa_reloads_total\{outcome="done"\} (\S+)', text)))


@pytest.mark.slow
def test_workers_end_once_their_supervisor_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with process("--workers", "2") as (running, _):
        until(lambda: len(workers(running)) == 2, 300)
        orphans = workers(running)
        running.kill()
        running.wait(300)
        until(lambda: not any(map(lives, orphans)), 300)


@pytest.mark.slow
def test_one_process_told_to_end_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with process() as (running, service):
        assert service.predict("涨停了").status == 200
        assert list(tmp_path.glob("finsa-serve-*"))
        running.send_signal(signal.SIGTERM)
        assert running.wait(300) == 0
    assert not list(tmp_path.glob("finsa-*"))


@pytest.mark.slow
def test_a_signal_changes_the_model_and_a_bad_folder_is_refused(tmp_path: Path) -> None:
    import shutil

    from finsa_moe import shipped

    folder = tmp_path / "current"
    shutil.copytree(shipped.model(), folder)
    with process("--model", str(folder)) as (running, service):
        graph = folder / "expert0.int8.onnx"
        content = graph.read_bytes()
        graph.write_bytes(content[:-1])
        running.send_signal(signal.SIGHUP)
        wait_for(service, 'finsa_reloads_total{outcome="refused"} 1.0')
        assert service.predict("涨停了").status == 200
        graph.write_bytes(content)
        running.send_signal(signal.SIGHUP)
        wait_for(service, 'finsa_reloads_total{outcome="done"} 1.0')
        assert service.predict("涨停了").status == 200


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_signals_are_heard_after_the_model_was_changed(tmp_path: Path, count: int) -> None:
    """By a request and by a signal; then the service ends as it is told to."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    bear = {"Authorization": "Bearer 0123456789abcdef0123"}
    with process("--token-file", str(token), "--workers", str(count)) as (running, service):
        for _ in range(3):
            before = reloads(service, bear)
            assert service.ask("POST", "/v1/reload", headers=bear).status == 200
            running.send_signal(signal.SIGHUP)
            until(lambda before=before: reloads(service, bear) >= before + 2, 300)
        running.send_signal(signal.SIGTERM)
        assert running.wait(300) == 0


def wait_for(service: Service, line: str) -> None:
    until(lambda: line in service.ask("GET", "/metrics").body.decode(), 300)


def test_what_was_taken_is_answered_before_the_end() -> None:
    engine = SlowEngine()
    replies: list[Reply] = []
    with serving(engine=engine) as service:
        engine.gate.clear()
        threads = [threading.Thread(target=lambda: replies.append(service.predict(["涨", "跌"]))) for _ in range(10)]
        for thread in threads:
            thread.start()
        until(lambda: service.metric("finsa_in_flight") == 11)
        threading.Timer(0.5, engine.gate.set).start()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200] * 10


@pytest.mark.slow
def test_a_files_answer_that_takes_longer_is_broken_off_as_its_client_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GRACE", 0)
    engine = SlowEngine(1.0)
    body = "text\n" + ("".join(map(chr, range(0x4E00, 0x4E3C))) + "\n") * 20_000  # some minutes' work
    broken: list[bool] = []

    def ask() -> None:
        try:
            service.ask("POST", "/v1/predict/file", body.encode(), {"Content-Type": "text/csv"})
        except http.client.IncompleteRead:
            broken.append(True)

    with serving(Settings(deadline=1), engine) as service:
        client = threading.Thread(target=ask)
        client.start()
        until(lambda: engine.shapes)
    client.join()
    assert broken


def test_the_unit_waits_for_what_was_taken() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "finsa.service").read_text(encoding="utf-8")
    waits = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert waits
    assert int(waits[1]) > (run.configured(run.APP, Settings()).timeout_graceful_shutdown or 0) > Settings.deadline


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "asks for a token"),
        (["--host", "::"], "asks for a token"),
        (["--model", "nowhere"], "does not exist"),
        (["--token-file", "nowhere"], "cannot be read"),
        (["--deadline", "0"], "more than 0"),
        (["--deadline", "nan"], "more than 0"),
        (["--deadline", "inf"], "a finite number of seconds"),
        (["--proxies", "10.0.0.300"], "name addresses or networks"),
        (["--host", "192.0.2.1", "--token-file", "TOKEN"], "this machine has no such address; choose another"),
        (["--token-file", "SHORT"], "16 or more"),
    ],
)
def test_what_does_not_start_says_why(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from finsa_moe.cli import main

    (tmp_path / "TOKEN").write_text("0123456789abcdef0123")
    (tmp_path / "SHORT").write_text("short")
    given = [str(tmp_path / word) if word.isupper() else word for word in words]
    assert main(["serve", *given]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^127\.0\.0\.1:{port}: another program listens there.*--port"):
            run.bound("127.0.0.1", port)


def test_a_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINSA_TOKEN", "0123456789abcdef0123")
    with serving() as service:
        assert service.predict("涨").status == 401
        bear = {"Authorization": "bearer 0123456789abcdef0123"}
        assert service.ask("POST", "/v1/predict", {"texts": "涨"}, bear).status == 200
        assert service.ask("POST", "/v1/predict", {"texts": "涨"}, {**bear, "Host": "any.example"}).status == 200
