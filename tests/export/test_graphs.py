"""How graphs are stored: a table that is only looked up in shrinks to bytes, and its rows hardly move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra train is not installed")
onnx = pytest.importorskip("onnx", reason="the extra train is not installed")
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from finsa_moe.export import graphs  # noqa: E402
from finsa_moe.export.graphs import write  # noqa: E402


def looked_up(table: np.ndarray, *, shared: bool) -> onnx.ModelProto:
    """ids → rows of the table; `shared` also multiplies by it, as a tied output layer does."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    outputs = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["b", "t", table.shape[1]])]
    if shared:
        nodes += [
            helper.make_node("Transpose", ["table"], ["turned"]),
            helper.make_node("MatMul", ["rows", "turned"], ["logits"]),
        ]
        outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", "t", table.shape[0]]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "t"])],
        outputs,
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_table_is_kept_in_bytes_with_a_scale_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.export.graphs.quantised", lambda graph, *_, **__: graph)
    rng = np.random.default_rng(7)
    table = (rng.normal(size=(2000, 64)) * rng.lognormal(0, 2, (2000, 1))).astype(np.float32)
    table[3] = 0
    ids = np.array([[3, 0, 1999], [17, 17, 250]])
    for precision, most in (("bf16", 3), ("int8", 1.2)):
        path = tmp_path / f"{precision}.onnx"
        write(looked_up(table, shared=False), path, precision)
        assert path.stat().st_size < most * table.size + 9000
        (rows,) = onnxruntime.InferenceSession(path).run(None, {"ids": ids})
        bound = np.abs(table[ids]).max(-1, keepdims=True) / (254 if precision == "int8" else 256)
        assert (np.abs(rows - table[ids]) <= bound * 1.01).all(), precision


def test_a_table_that_is_also_multiplied_by_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.export.graphs.quantised", lambda graph, *_, **__: graph)
    table = np.random.default_rng(8).normal(size=(300, 64)).astype(np.float32)
    write(looked_up(table, shared=True), tmp_path / "g.onnx", "int8")
    kinds = {weight.data_type for weight in onnx.load(tmp_path / "g.onnx").graph.initializer}
    assert TensorProto.INT8 not in kinds


class Two(nn.Module):
    """Two linears."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.second(torch.relu(self.first(states))) * mask[..., None]
        return hidden


def trace_two(module: nn.Module) -> Any:
    return graphs.trace(module, (torch.ones(2, 5, 4), torch.ones(2, 5)), ("states", "mask"), ("found",))


def test_another_s_weights_in_a_traced_graph_are_what_tracing_it_gives() -> None:
    one, two = Two(1), Two(2)
    assert graphs.like(trace_two(one), one, two).SerializeToString() == trace_two(two).SerializeToString()


def test_a_weight_that_could_be_either_s_is_traced_anew() -> None:
    one, two = Two(1), Two(2)
    one.second.load_state_dict(one.first.state_dict())
    assert graphs.like(trace_two(one), one, two) is None
    two.second.load_state_dict(two.first.state_dict())
    assert graphs.like(trace_two(one), one, two) is not None


def test_a_weight_that_does_not_stand_there_is_told() -> None:
    one, two = Two(1), Two(1)
    graph = trace_two(one)
    two.second.weight = nn.Parameter(two.second.weight + 1)
    at = next(at for at, part in enumerate(graph.graph.initializer) if list(part.dims) == [4, 4])
    del graph.graph.initializer[at:]
    assert graphs.like(graph, one, two) is None
