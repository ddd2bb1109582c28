"""Workers that do not start: which of them end the service, and with which status."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.service.served import Settings, until
from tests.service.test_workers import process, workers

from finsa_moe.service import run  # isort: skip

TOKEN = "0123456789abcdef0123"


class Worker:
    """One that lives, and is ready, when the test says so."""

    made: list[Worker]

    def __init__(self, *_: object) -> None:
        self.alive, self.ready = True, False
        self.pid = 1000 + len(self.made)
        self.exitcode: int | None = None
        self.process = SimpleNamespace(pid=self.pid)
        self.child_conn = SimpleNamespace(close=lambda: None)
        self.made.append(self)

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def join(self) -> None: ...

    def end(self, code: int) -> None:
        self.alive, self.exitcode = False, code

    def is_alive(self, _: float) -> bool:
        return self.alive

    def is_ready(self, _: float) -> bool:
        return self.ready


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> run.Supervisor:
    """Of two workers, with a clock that stands."""
    Worker.made = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(run, "Process", Worker)
    monkeypatch.setattr(run.multiprocess, "mark_process_dead", lambda _: None)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock.now))
    clock = SimpleNamespace(now=0.0)
    found = run.Supervisor(run.configured(run.APP, Settings(workers=2)), [])
    found.clock = clock  # type: ignore[attr-defined]
    found.init_processes()
    return found


def test_where_no_worker_starts_the_service_ends_and_says_how_they_did(
    supervisor: run.Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run.log, "propagate", True)
    supervisor.keep_subprocess_alive()
    assert not supervisor.should_exit.is_set()
    Worker.made[1].end(-9)
    for _ in range(3):
        supervisor.keep_subprocess_alive()
        supervisor.clock.now += 100  # type: ignore[attr-defined]
    assert not supervisor.should_exit.is_set()  # the other is still starting
    Worker.made[0].end(3)
    supervisor.keep_subprocess_alive()
    assert supervisor.failed
    assert supervisor.should_exit.is_set()
    assert len(Worker.made) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "a worker ended by signal 9 (the system lacks memory, or it gave no sign of life) before it was ready",
        "a worker ended with status 3 before it was ready",
    ]


def test_a_first_start_that_fails_is_tried_again_once_another_is_ready(supervisor: run.Supervisor) -> None:
    Worker.made[0].end(3)
    supervisor.keep_subprocess_alive()
    Worker.made[1].ready = True
    supervisor.keep_subprocess_alive()
    supervisor.clock.now += 1  # type: ignore[attr-defined]
    supervisor.keep_subprocess_alive()
    assert supervisor.processes == [Worker.made[2], Worker.made[1]]
    assert not supervisor.should_exit.is_set()


def test_a_signal_goes_to_no_worker_that_has_ended(supervisor: run.Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id may be that of another program; what ended is started anew by it, as the cause may be mended."""
    told: list[int] = []
    monkeypatch.setattr(run.os, "kill", lambda pid, _: told.append(pid))
    first, second = Worker.made
    first.ready = second.ready = True
    supervisor.keep_subprocess_alive()
    second.end(0)
    supervisor.keep_subprocess_alive()
    Worker.made[2].end(3)  # before it was ready
    supervisor.keep_subprocess_alive()
    supervisor.handle_hup()
    assert told == [first.pid]
    supervisor.keep_subprocess_alive()
    assert supervisor.processes == [first, Worker.made[3]]


def test_a_later_start_that_fails_is_tried_again_later_and_later(supervisor: run.Supervisor) -> None:
    first, second = Worker.made
    first.ready = second.ready = True
    supervisor.keep_subprocess_alive()
    second.alive = False
    supervisor.keep_subprocess_alive()
    assert len(Worker.made) == 3  # one that was ready is started anew at once
    pauses = []
    for count in range(4, 13):
        Worker.made[-1].alive = False
        began = supervisor.clock.now  # type: ignore[attr-defined]
        while len(Worker.made) < count:
            supervisor.keep_subprocess_alive()
            supervisor.clock.now += 0.5  # type: ignore[attr-defined]
        pauses.append(supervisor.clock.now - began - 0.5)  # type: ignore[attr-defined]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert not supervisor.should_exit.is_set()
    assert supervisor.processes == [first, Worker.made[-1]]
    Worker.made[-1].ready = True
    supervisor.keep_subprocess_alive()
    Worker.made[-1].alive = False
    supervisor.keep_subprocess_alive()
    assert len(Worker.made) == 13  # its failures are forgotten once it was ready


@pytest.mark.slow
def test_a_worker_that_cannot_come_back_leaves_the_others_at_work(tmp_path: Path) -> None:
    from finsa_moe import shipped

    folder = tmp_path / "current"
    shutil.copytree(shipped.model(), folder)
    with process("--workers", "2", "--model", str(folder)) as (running, service):
        until(lambda: len(workers(running)) == 2, 300)
        for _ in range(20):
            assert service.predict("涨停了").status == 200
        time.sleep(1)  # both listen
        before = workers(running)
        (folder / "config.json").rename(folder / "aside")
        os.kill(max(before), signal.SIGKILL)
        until(lambda: len(workers(running) - before) == 1, 300)
        (tried,) = workers(running) - before
        until(lambda: tried not in workers(running), 300)  # it did not start
        for _ in range(20):
            with suppress(ConnectionError):  # one that the killed one had taken
                assert service.predict("涨停了").status == 200
        assert min(before) in workers(running)
        (folder / "aside").rename(folder / "config.json")
        until(lambda: len(workers(running) - {max(before), tried}) == 2, 300)
        running.send_signal(signal.SIGTERM)
        assert running.wait(300) == 0


@pytest.mark.slow
def test_a_service_whose_workers_do_not_start_ends_by_an_error() -> None:
    script = (
        "import sys; from finsa_moe.cli import main; from finsa_moe.service import run; "
        "run.APP = 'finsa_moe.service.app:nowhere'; sys.exit(main(['serve', '--port', '0', '--workers', '2']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("no worker started; the lines above say why")
    assert "Traceback" not in done.stderr
