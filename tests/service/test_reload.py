"""Starts and changes of the model that fail: each is told in one line, refused and counted; and when it is ready."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from finsa_moe.cli import main
from finsa_moe.errors import ConfigError, DataError, MissingExtra, ModelError
from finsa_moe.face import FinSA
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.service.meters import Meters
from finsa_moe.service.served import Shelf
from tests.fakes import FakeEngine
from tests.service.served import Settings, serving

from finsa_moe.service import app, run  # isort: skip

TOKEN = "0123456789abcdef0123"
BEAR = {"Authorization": f"Bearer {TOKEN}"}


class Mute(FakeEngine):
    """Opens, but does not answer."""

    def run(self, ids: Any, mask: Any, experts: Any) -> Any:
        raise RuntimeError("bad\ngraph")


def forbidden() -> FinSA:
    raise PermissionError(13, "Permission denied", "current/config.json")


def mute() -> FinSA:
    return FinSA(Predictor(Mute()))


@pytest.mark.parametrize(
    ("load", "said"), [(forbidden, "PermissionError: .*Permission denied"), (mute, "RuntimeError: bad graph")]
)
def test_whatever_fails_is_a_model_that_is_refused(load: Callable[[], FinSA], said: str) -> None:
    with pytest.raises(ModelError, match=rf"^somewhere cannot be served \({said}.*\); copy the whole folder") as caught:
        Shelf(load, Path("somewhere"))
    assert "\n" not in str(caught.value)


def test_a_folder_that_changed_is_told_from_the_one_that_was_opened(tmp_path: Path) -> None:
    card = tmp_path / "model" / "card.json"
    card.parent.mkdir()
    card.write_text("{}")
    shelf = Shelf(lambda: FinSA(Predictor(FakeEngine()), {}), card.parent)  # type: ignore[arg-type]
    assert not shelf.changed
    os.utime(card, ns=(1, 1))
    assert shelf.changed
    shelf.reload()
    assert not shelf.changed
    card.parent.rename(tmp_path / "old")
    assert shelf.changed
    assert not Shelf(lambda: FinSA(Predictor(FakeEngine()), {}), None).changed  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [False, True])
def test_a_signal_that_may_be_the_echo_of_a_reload_is_followed_where_the_folder_changed(changed: bool) -> None:
    """The one that an operator sends meanwhile looks the same."""
    counts = []
    loaded = FinSA(Predictor(FakeEngine()))  # type: ignore[arg-type]

    def load() -> FinSA:
        counts.append(1)
        return loaded

    shelf = Shelf(load, None)
    supervised = SimpleNamespace(echoed=lambda: True)
    state: Any = SimpleNamespace(supervised=supervised, shelf=shelf, meters=Meters())
    with patch.object(Shelf, "changed", changed):
        asyncio.run(app._on_signal(state))
    assert len(counts) == 1 + changed


def test_no_model_is_opened_on_the_thread_that_gets_the_signals() -> None:
    """It may leave that thread with a stack for signals that is gone when the model is."""
    threads: list[threading.Thread] = []

    def load() -> FinSA:
        threads.append(threading.current_thread())
        return FinSA(Predictor(FakeEngine()))  # type: ignore[arg-type]

    Shelf(load, None).reload()
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("error", [ConfigError, DataError, MissingExtra, ModelError])
def test_what_has_its_words_keeps_them(error: type[Exception]) -> None:
    def load() -> FinSA:
        raise error("as said")

    with pytest.raises(error, match=r"^as said$"):
        Shelf(load, None)


@pytest.mark.parametrize("bad", [forbidden, mute])
def test_every_reload_that_fails_is_refused_and_counted(bad: Callable[[], FinSA], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    loads = iter((lambda: FinSA(Predictor(FakeEngine())), bad))
    with serving(Settings(token_file=str(token)), load=lambda: next(loads)()) as service:
        token.unlink()  # it was read at the start, once for all
        reply = service.ask("POST", "/v1/reload", headers=BEAR)
        assert (reply.status, reply.json()["type"]) == (409, "urn:finsa:model")
        assert service.ask("POST", "/v1/predict", {"texts": "涨"}, BEAR).status == 200
        counted = service.ask("GET", "/metrics", headers=BEAR).body.decode()
        assert 'finsa_reloads_total{outcome="refused"} 1.0' in counted


def test_the_workers_are_told_the_token_and_not_where_it_lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(TOKEN)
    settings = Settings(token_file=str(tmp_path / "token"), workers=2)
    for name, value in settings.to_environment(settings.token()).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "token").unlink()
    assert Settings.from_environment().token() == TOKEN.encode()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_hangup_while_it_starts_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGHUP)

    def opened(*_: object, **__: object) -> Shelf:
        os.kill(os.getpid(), signal.SIGHUP)
        raise ModelError("opened after it")

    monkeypatch.setattr(run, "open_shelf", opened)
    assert main(["serve"]) == 2
    assert "opened after it" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_worker_whose_model_does_not_open_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FINSA_SERVE", json.dumps({"model": str(tmp_path / "nowhere"), "workers": 2}))
    monkeypatch.setattr(app.log, "propagate", True)
    with pytest.raises(SystemExit) as ended:
        app.from_environment()
    assert ended.value.code == 3
    (line,) = caplog.messages
    assert "did not start" in line
    assert "does not exist" in line


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_systemd_is_told_when_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with serving():
            assert told.recv(100) == b"READY=1"


@pytest.mark.parametrize(("kind", "threads"), [("finsa_moe", None), ("finsa_runtime", 1)])
def test_workers_share_the_cores_of_an_exported_model_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, threads: int | None
) -> None:
    """A torch mixture takes no threads, and nobody gave any."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    given: list[object] = []

    def load(*_: object, **options: object) -> FinSA:
        given.append(options["threads"])
        return FinSA(Predictor(FakeEngine()))

    monkeypatch.setattr("finsa_moe.face.load", load)
    app.open_shelf(Settings(model=str(tmp_path), workers=1000))
    assert given == [threads]
