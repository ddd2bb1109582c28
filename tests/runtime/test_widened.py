"""Graphs of 8 bits computed in bfloat16: nearer to the weights, and only where a processor is made for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from finsa_moe import load, shipped
from finsa_moe.runtime import graph_engine, sessions, widened
from finsa_moe.runtime.graph_engine import GraphEngine

openvino = pytest.importorskip("openvino", reason="the extra fast is not installed")
WEIGHT = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
ACTIVATIONS = np.random.default_rng(1).normal(size=(1, 5, 16)).astype(np.float32)


def rounded_graph() -> bytes:
    """x (1, n, 16) times WEIGHT, both in 8 bits, as `export.quantise` leaves a product; the ranges are too narrow."""
    per_step = np.abs(WEIGHT).max(axis=0) / 127
    constants = {
        "weight": np.round(WEIGHT / per_step).astype(np.int8),
        "weight.scale": per_step.astype(np.float32),
        "weight.zero": np.zeros(8, dtype=np.int8),
        "scale": np.float32(0.01),  # to ±1.28: larger activations are cut
        "zero": np.uint8(128),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["back"]),
        helper.make_node("DequantizeLinear", ["weight", "weight.scale", "weight.zero"], ["wide"], axis=1),
        helper.make_node("MatMul", ["back", "wide"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "rounded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def error(wide: bool) -> float:
    run = sessions.open_session(rounded_graph(), "openvino", "int8", 1, "x", wide=wide)
    found: NDArray[Any] = run(ACTIVATIONS)[0]
    return float(np.abs(found - ACTIVATIONS @ WEIGHT).max())


def test_what_a_range_cuts_off_comes_back() -> None:
    assert error(wide=False) > 1
    assert error(wide=True) < 0.1  # what 8 bits of a weight and bfloat16 of a product leave


def test_only_a_rounding_that_is_taken_back_goes() -> None:
    model = openvino.Core().read_model(rounded_graph())
    assert widened.widen(model) == 1
    assert widened.widen(model) == 0
    ops = openvino.opset13
    x = ops.parameter([1, 4], np.float32)
    bare = ops.fake_quantize(x, np.float32(0), np.float32(1), np.float32(0), np.float32(1), 256)
    model = openvino.Model([ops.relu(bare)], [x])
    assert widened.widen(model) == 0
    assert [op.get_type_name() for op in model.get_ordered_ops()].count("FakeQuantize") == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [("flags : fpu amx_bf16 avx2\n", True), ("flags : fpu avx512_bf16 amx_bf161\n", False), (None, False)],
)
def test_the_processor_is_asked(
    content: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    if content is not None:
        told.write_text(content, encoding="utf-8")
    monkeypatch.setattr(widened, "_CPU", told)
    assert widened.has_matrix_unit.__wrapped__() is expected


@pytest.mark.parametrize("unit", [True, False])
def test_the_default_model_answers_alike_either_way(unit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the processor has such a unit the engine says so by its name; OpenVINO alone and 8 bits alone are widened."""
    monkeypatch.setattr(graph_engine, "has_matrix_unit", lambda: unit)
    texts = ["公司净利润同比增长三成", "主力又在砸盘,真想割肉走人", "下周三公布经济数据", "停牌核查", "涨停了,爽"]
    ours = load(engine="openvino")
    assert ours.predictor.engine.name == ("openvino int8 as bf16" if unit else "openvino int8")
    expected = load(engine="onnxruntime").predict_proba(texts)
    found = ours.predict_proba(texts)
    assert (found.argmax(1) == expected.argmax(1)).all()
    np.testing.assert_allclose(found, expected, atol=0.05)
    folder = shipped.model()
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert not GraphEngine(folder, raw, "onnxruntime", "int8").wide
    assert GraphEngine(folder, raw, "openvino", "int8", wide=True).wide
    assert not GraphEngine(folder, raw, "openvino", "int8", wide=False).wide
