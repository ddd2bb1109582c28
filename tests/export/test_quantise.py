"""Which products of a graph are stored in 8 bits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from finsa_moe.export.quantise import quantised

WIDTH = 8


def attention() -> onnx.ModelProto:
    """Queries and keys of constant weights, their product with each other, and a product that narrows."""
    draw = np.random.default_rng(0).normal
    weights = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "down": (WIDTH, 2)}
    nodes = [
        helper.make_node("MatMul", ["x", "q"], ["queries"], name="queries"),
        helper.make_node("MatMul", ["x", "k"], ["keys"], name="keys"),
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["queries", "turned"], ["scores"], name="scores"),
        helper.make_node("MatMul", ["scores", "x"], ["read"], name="read"),
        helper.make_node("MatMul", ["read", "down"], ["y"], name="down"),
    ]
    graph = helper.make_graph(
        nodes, "attention",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", WIDTH]),
         helper.make_tensor_value_info("mask", TensorProto.INT64, [1, "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", 2])],
        [numpy_helper.from_array(draw(size=shape).astype(np.float32), name) for name, shape in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_8_bits(spare: bool) -> set[str]:
    """Names of the products whose inputs come out of 8 bits."""
    draw, mask = np.random.default_rng(1).normal, np.ones((1, 5), dtype=np.int64)
    examples = [{"x": draw(size=(1, 5, WIDTH)).astype(np.float32), "mask": mask} for _ in range(4)]
    nodes = quantised(attention(), examples, spare=spare).graph.node
    widened = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    return {node.name for node in nodes if node.op_type == "MatMul" and set(node.input) & widened}


def test_products_of_two_activations_stay() -> None:
    assert in_8_bits(spare=False) == {"queries", "keys", "down"}
    assert in_8_bits(spare=True) == {"queries", "keys"}
