"""How many workers a run takes that names none: those of the cluster, as Ray tells once it is connected."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finsa_moe.errors import DataError
from finsa_moe.runtime import cores
from finsa_moe.scale import on_ray
from finsa_moe.scale import score as score_of
from tests.scale.texts import frame


class Lost(Exception):
    pass


class FakeRay:
    """As much of Ray as is asked for the size of a cluster."""

    exceptions = SimpleNamespace(RayError=Lost)

    def __init__(self, cpus: float | None) -> None:
        self.cpus, self.calls = cpus, []  # type: ignore[var-annotated]

    def is_initialized(self) -> bool:
        return self.calls.count("init") > self.calls.count("shutdown")

    def init(self, **settings: Any) -> None:
        if self.cpus is None:
            raise ConnectionError("nobody\nthere")
        self.calls.append("init")

    def cluster_resources(self) -> dict[str, float]:
        assert self.is_initialized()
        return {"CPU": self.cpus or 0.0, "memory": 1e9}

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def test_workers_are_the_clusters_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray, asked = FakeRay(65.0), []
    monkeypatch.setattr(on_ray, "require", lambda *_: ray)
    monkeypatch.setattr(score_of, "_outcomes", lambda *given: iter(asked.append(given[2:]) or ()))
    frame(5).write_parquet(tmp_path / "a.parquet")

    def workers_of(**settings: Any) -> Any:
        score_of.score([tmp_path / "a.parquet"], tmp_path / "out", engine="onnxruntime", **settings)
        return asked.pop()

    assert workers_of(backend="ray", ray_address="auto", workers=None) == ("ray", 64, "auto")  # one is left to Ray
    assert ray.calls == ["init", "shutdown"]
    assert workers_of(backend="ray", ray_address="auto", workers=3) == ("ray", 3, "auto")
    assert workers_of(backend="ray", workers=None) == ("ray", cores(), None)
    assert workers_of(workers=None) == ("pool", cores(), None)
    assert ray.calls == ["init", "shutdown"]


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "require", lambda *_: FakeRay(None))
    with pytest.raises(DataError, match="Ray stopped"):
        on_ray.cores_of("auto")
