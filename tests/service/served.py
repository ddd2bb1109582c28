"""A service on loopback for tests: the real server on a thread over the fake engine, and a client that shows all."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.face import FinSA
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine

uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from finsa_moe.service.app import create  # noqa: E402
from finsa_moe.service.run import bound, configured  # noqa: E402
from finsa_moe.service.served import Shelf  # noqa: E402
from finsa_moe.service.settings import Settings  # noqa: E402


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def until(there: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for something to be so; a bound far over what a busy machine takes."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)


class SlowEngine(FakeEngine):
    """Takes `seconds` for a batch, or waits for `gate` to be set; `held` counts the texts that have come to a shut one."""

    concurrent = True
    workers = 2

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.held = 0

    def run(self, ids: Any, mask: Any, experts: Any) -> Any:
        if not self.gate.is_set():
            with self._count:
                self.held += len(ids)
        self.gate.wait()
        if self.seconds:
            time.sleep(self.seconds)
        return super().run(ids, mask, experts)


class Service:
    """A running service."""

    def __init__(self, port: int, engine: FakeEngine, shelf: Shelf) -> None:
        self.port, self.engine, self.shelf = port, engine, shelf
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        more = dict(headers or {})
        if isinstance(body, dict | list):
            body = json.dumps(body, ensure_ascii=False).encode()
            more.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, more)
            found = connection.getresponse()
            return Reply(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def predict(self, texts: Any, **more: Any) -> Reply:
        return self.ask("POST", "/v1/predict", {"texts": texts, **more})

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@contextmanager
def serving(settings: Settings | None = None, engine: FakeEngine | None = None, load: Any = None) -> Iterator[Service]:
    """A service with these settings; `load` opens its model, else it is the fake engine's.

    Where no deadline is given there is a long one: a busy machine's five seconds may be too few.
    """
    engine = engine or SlowEngine()
    settings = settings or Settings()
    patient = 120.0 if settings.deadline == Settings.deadline else settings.deadline
    settings = replace(settings, threads=settings.threads or 2, deadline=patient)
    card = {"name": "a fake"}
    shelf = Shelf(
        load or (lambda: FinSA(Predictor(engine, abstain_below=settings.abstain_below), card)),
        Path("somewhere"),
    )
    listening = bound("127.0.0.1", 0)
    server = uvicorn.Server(configured(create(settings, shelf, settings.token()), settings))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service ended at its start"
        time.sleep(0.01)
    try:
        yield Service(listening.getsockname()[1], engine, shelf)
    finally:
        engine.gate.set() if isinstance(engine, SlowEngine) else None
        server.should_exit = True
        thread.join(300)  # which ends when what it imports meanwhile is there
        assert not thread.is_alive()
        listening.close()
