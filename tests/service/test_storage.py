"""A disk that takes no more: told as such, counted, logged once, and nothing of the file stays."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from tests.service.served import Reply, Service, until

from finsa_moe.runtime.writers import Writer  # isort: skip
from finsa_moe.service import uploads  # isort: skip

CSV = {"Content-Type": "text/csv"}


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def no_answer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Writer, _: object) -> None:
        raise self._unwritable(OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(Writer, "write", write)


def refused(service: Service) -> float:
    told = service.ask("GET", "/metrics").body.decode().splitlines()
    (line,) = (line for line in told if line.startswith('finsa_refused_total{kind="storage"}'))
    return float(line.split()[-1])


def test_an_upload_that_the_disk_does_not_take(
    service: Service, spool: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Path.open

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        write = full

    def opened(path: Path, *given: Any, **more: Any) -> Any:
        return Full() if path.parent == spool else plain(path, *given, **more)

    before = refused(service)
    monkeypatch.setattr(uploads.log, "propagate", True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        reply = service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV)
    assert (reply.status, reply.json()["type"]) == (507, "urn:finsa:storage")
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "a file on its way was given up: [Errno 28] No space left on device"
    ]
    assert refused(service) == before + 1
    assert service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV).status == 200
    until(lambda: not list(spool.iterdir()))


def problem_told(reply: Reply) -> str:
    """The type of the problem with which events end."""
    *_, kind, data = reply.body.decode().strip().splitlines()
    assert kind == "event: problem"
    return str(json.loads(data.removeprefix("data: "))["type"])


@pytest.mark.usefixtures("no_answer_fits")
def test_an_answer_that_the_disk_does_not_take(service: Service, spool: Path) -> None:
    before = refused(service)
    reply = service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV | {"Accept": "text/event-stream"})
    assert problem_told(reply) == "urn:finsa:storage"
    assert refused(service) == before + 1
    until(lambda: not list(spool.iterdir()))


@pytest.mark.usefixtures("no_answer_fits")
def test_a_parquet_answer_that_the_disk_does_not_take_is_refused_before_it_begins(
    service: Service, spool: Path, tmp_path: Path
) -> None:
    pl = pytest.importorskip("polars", reason="the extra data is not installed")
    pl.DataFrame({"text": ["涨"]}).write_parquet(tmp_path / "a.parquet")
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    before = refused(service)
    reply = service.ask("POST", "/v1/predict/file", (tmp_path / "a.parquet").read_bytes(), kind)
    assert (reply.status, reply.json()["type"]) == (507, "urn:finsa:storage")
    assert refused(service) == before + 1
    until(lambda: not list(spool.iterdir()))


def test_an_answer_whose_name_the_disk_does_not_take(
    service: Service, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = refused(service)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        reply = service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV | {"Accept": "text/event-stream"})
    assert problem_told(reply) == "urn:finsa:storage"
    assert refused(service) == before + 1
    until(lambda: not list(spool.iterdir()))
