from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.export import traced
from finsa_moe.export.export import export_mixture
from finsa_moe.export.taken import Taken
from tests.conftest import Export

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_graphs_of_the_same_network_are_taken_and_proved(
    exported: Export, tmp_path: Path, prepared: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced, "_trace", lambda *_: pytest.fail("traced"))
    data = {name: prepared[name] for name in ("news", "forum")}
    made = export_mixture(
        exported.mixture, tmp_path / "out", precisions=("fp32",), data=data, graphs_of=exported.folder
    )
    assert made.parities["onnxruntime fp32"].same == 1
    assert made.calibration
    for part in ("trunk", "expert0", "expert1"):
        name = f"{part}.fp32.onnx"
        assert (tmp_path / "out" / name).read_bytes() == (exported.folder / name).read_bytes()
    assert not list((tmp_path / "out").glob("*.bf16.onnx"))


@pytest.mark.slow
def test_graphs_that_answer_otherwise_are_refused(
    exported: Export, tmp_path: Path, prepared: Mapping[str, Path]
) -> None:
    other = Path(shutil.copytree(exported.folder, tmp_path / "other"))
    raw = json.loads((other / "config.json").read_text(encoding="utf-8"))
    raw["graphs"]["fp32"]["experts"].reverse()
    (other / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    data = {name: prepared[name] for name in ("news", "forum")}
    with pytest.raises(ModelError, match="fp32 does not answer as the mixture does"):
        export_mixture(exported.mixture, tmp_path / "out", precisions=("fp32",), data=data, graphs_of=other)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_graphs_of_another_network_are_told_from_the_manifest(exported: Export, tmp_path: Path) -> None:
    """Before the mixture is loaded. Of the same network, tables and temperatures may be others."""
    other = Path(shutil.copytree(exported.folder, tmp_path / "other"))
    raw = json.loads((other / "config.json").read_text(encoding="utf-8"))
    taken = Taken.of(other)
    ours = {"domains": ("news", "forum"), "source": raw["source"], "single": False}
    assert taken.check((), **ours) == ("fp32", "bf16")
    found = []
    for change in (
        {"domains": ["forum", "news"]},
        {"source": {**raw["source"], "fingerprint": "0123456789abcdef"}},
        {"source": {**raw["source"], "route_layer": 1}},
        {"source": {}},
    ):
        (other / "config.json").write_text(json.dumps({**raw, **change}), encoding="utf-8")
        with pytest.raises(ConfigError, match=r"has graphs of .*; leave --graphs out") as told:
            export_mixture(exported.mixture, tmp_path / "out", graphs_of=other)
        found.append(str(told.value))
    assert "has graphs of forum, news, the mixture has news, forum" in found[0]
    assert "has graphs of fingerprint 0123456789abcdef, the mixture has " in found[1]
    assert "has graphs of route_layer 1, the mixture has 0" in found[2]
    assert "has graphs of fingerprint unknown" in found[3]


def test_what_is_not_there_is_told_before_the_work(exported: Export, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="has no graphs of int8, only of fp32, bf16; leave --graphs out"):
        export_mixture(exported.mixture, out, precisions=("int8",), graphs_of=exported.folder)
    with pytest.raises(ConfigError, match="leave --graphs or --single out"):
        export_mixture(exported.mixture, out, single=True, graphs_of=exported.folder)
    with pytest.raises(ModelError, match="name a folder that finsa export wrote"):
        export_mixture(exported.mixture, out, graphs_of=tmp_path / "none")
    lost = Path(shutil.copytree(exported.folder, tmp_path / "lost"))
    (lost / "trunk.fp32.onnx").write_bytes(b"")
    taken = Taken.of(lost)
    with pytest.raises(ModelError, match="0 bytes"):
        taken.copy("fp32", tmp_path)
