"""One graph of all: that others can run it, and that it is proved and noted as every graph is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from finsa_moe.errors import ModelError
from finsa_moe.export import split
from finsa_moe.export.export import export_mixture
from finsa_moe.export.single import SINGLE
from finsa_moe.runtime.folder import Manifest
from tests.conftest import DOMAINS, Export

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_single_graph_needs_onnxruntime_alone(exported: Export) -> None:
    from finsa_moe import load

    finsa = load(exported.folder, engine="onnxruntime", dtype="bfloat16")
    session = onnxruntime.InferenceSession(str(exported.folder / "single.onnx"), providers=["CPUExecutionProvider"])
    for text in ("净利翻倍", "这票又要跌停，主力跑了"):
        ids = np.array([finsa.predictor.engine.encode([text])[0].ids])
        probs, gate = session.run(["probs", "gate"], {"ids": ids, "mask": np.ones_like(ids)})
        answer = finsa.predict(text)
        np.testing.assert_allclose(probs[0], list(answer.scores.values()), atol=1e-4)
        np.testing.assert_allclose(gate[0], list(answer.expert_weights.values()), atol=1e-4)


def test_the_example_of_the_single_graph_answers_as_we_do(exported: Export) -> None:
    from finsa_moe import load

    texts = ["净利翻倍", "这票又要跌停，主力跑了"]
    script = Path(__file__).parents[2] / "examples" / "onnx_only.py"
    done = subprocess.run(
        [sys.executable, str(script), str(exported.folder), *texts], capture_output=True, text=True, check=True
    )
    finsa = load(exported.folder, engine="onnxruntime", dtype="bfloat16")
    for line, answer in zip(done.stdout.splitlines(), finsa.predict(texts), strict=True):
        assert line.split("\t") == [answer.sentiment, f"{answer.confidence:.3f}", answer.expert, answer.text]


def test_it_stands_in_the_manifest_and_in_the_report(exported: Export) -> None:
    raw = json.loads((exported.folder / "config.json").read_text(encoding="utf-8"))
    single = Manifest.parse(raw, exported.folder).single
    assert single is not None
    assert single.file == SINGLE
    assert len(single.read(exported.folder)) == single.size
    report = json.loads((exported.folder / "export.json").read_text(encoding="utf-8"))
    assert report["parity"]["single.onnx bf16"]["holds"]


def test_one_that_is_too_large_is_told_before_the_mixture_is_loaded(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsa_moe.export.export.TorchEngine", lambda *_, **__: pytest.fail("loaded"))
    monkeypatch.setattr(split, "MOST_BYTES", 2**14)
    with pytest.raises(ModelError, match=r"--single: one graph of all would have .* GiB, .*; leave --single out"):
        export_mixture(exported.mixture, tmp_path / "out", single=True)


@pytest.mark.slow
def test_it_has_a_precision_that_was_kept_and_is_proved(
    exported: Export, tmp_path: Path, prepared: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {name: prepared[name] for name in DOMAINS}
    made = export_mixture(exported.mixture, tmp_path / "out", precisions=("fp32",), single=True, data=data)
    assert made.parities["single.onnx fp32"].largest < 1e-4
    kinds = {weight.data_type for weight in onnx.load(tmp_path / "out" / SINGLE).graph.initializer}
    assert onnx.TensorProto.BFLOAT16 not in kinds

    forward = split.Whole.forward

    def swapped(self, ids, mask):  # type: ignore[no-untyped-def]
        probs, gate = forward(self, ids, mask)
        return probs.flip(-1), gate

    monkeypatch.setattr(split.Whole, "forward", swapped)
    with pytest.raises(
        ModelError, match=r"--single: the graph does not answer as the mixture does; single\.onnx fp32: "
    ):
        export_mixture(exported.mixture, tmp_path / "no", precisions=("fp32",), single=True, data=data)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
