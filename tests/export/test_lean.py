"""Fused products in parts, softmax without its guard: the same function, fewer passes over activations."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from finsa_moe.export.lean import lean
from finsa_moe.export.smooth import smoothed
from finsa_moe.export.wires import products
from finsa_moe.runtime.sessions import open_session

WIDTH, HEADS, SIZE, INNER = 8, 2, 4, 6
HIDDEN = np.random.default_rng(2).normal(size=(2, 5, WIDTH)).astype(np.float32)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=np.int64)


def layer(masked: float = -1e30, tap: str | None = None, axis: int = 2, heads: int = HEADS) -> onnx.ModelProto:
    """One transformer layer with fused queries, keys and values and a gated feed-forward part, as the tracer writes it.

    Args:
        masked: What the mask adds to the scores of hidden keys.
        tap: A value that is an output too, so that it must stay.
        axis: Along which queries, keys and values are cut apart, from the front or the back.
        heads: As the shape tells them; -1: as many as there are.
    """
    draw = np.random.default_rng(0).normal
    weights = {"qkv": (WIDTH, 3 * WIDTH), "o": (WIDTH, WIDTH), "wi": (WIDTH, 2 * INNER), "wo": (INNER, WIDTH)}
    constants: dict[str, Any] = {name: draw(size=shape).astype(np.float32) for name, shape in weights.items()}
    constants |= {f"i{n}": np.array([n], dtype=np.int64) for n in range(4)}
    constants |= {
        "axis": np.array([axis], dtype=np.int64),
        "heads": np.array([heads], dtype=np.int64),
        "size": np.array([SIZE], dtype=np.int64),
    }
    constants |= {"masked": np.float32(masked), "nothing": np.float32(0), "between": np.array([1, 2], dtype=np.int64)}
    constants |= {"norm": np.abs(draw(size=WIDTH)).astype(np.float32), "flat": np.array([0, 0, WIDTH], dtype=np.int64)}
    node = helper.make_node
    nodes = [
        node("LayerNormalization", ["x", "norm"], ["normed"]),
        node("MatMul", ["normed", "qkv"], ["fused"], name="fused"),
        node("Shape", ["x"], ["batch"], start=0, end=1),
        node("Shape", ["x"], ["length"], start=1, end=2),
        node("Concat", ["batch", "length", "i3", "heads", "size"], ["shape"], axis=0),
        node("Reshape", ["fused", "shape"], ["view"], name="view"),
    ]
    for at, name in enumerate("qkv"):
        nodes += [
            node("Slice", ["view", f"i{at}", f"i{at + 1}", "axis"], [f"{name}.cut"]),
            node("Squeeze", [f"{name}.cut", "axis"], [f"{name}.flat"]),
            node("Transpose", [f"{name}.flat"], [f"{name}.heads"], perm=[0, 2, 1, 3]),
        ]
    nodes += [
        node("Transpose", ["k.heads"], ["turned"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q.heads", "turned"], ["scores"], name="scores"),
        node("Cast", ["mask"], ["real"], to=TensorProto.BOOL),
        node("Unsqueeze", ["real", "between"], ["key"]),
        node("Where", ["key", "nothing", "masked"], ["added"]),
        node("Add", ["scores", "added"], ["biased"]),
        node("Softmax", ["biased"], ["shares"], axis=-1),
        node("IsNaN", ["shares"], ["lost"]),
        node("Where", ["lost", "nothing", "shares"], ["safe"]),
        node("MatMul", ["safe", "v.heads"], ["read"], name="read"),
        node("Transpose", ["read"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "flat"], ["attended"]),
        node("MatMul", ["attended", "o"], ["out"], name="out"),
        node("Add", ["x", "out"], ["between.layers"]),
        node("MatMul", ["between.layers", "wi"], ["wide"], name="wide"),
        node("Split", ["wide"], ["left", "right"], axis=-1, num_outputs=2, name="split"),
        node("Sigmoid", ["left"], ["gate"]),
        node("Mul", ["gate", "right"], ["gated"]),
        node("MatMul", ["gated", "wo"], ["y"], name="y"),
    ]  # fmt: skip
    outputs = ["y", tap] if tap else ["y"]
    graph = helper.make_graph(
        nodes, "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n", WIDTH]),
         helper.make_tensor_value_info("mask", TensorProto.INT64, ["b", "n"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answers(graph: Any) -> list[Any]:
    return open_session(graph.SerializeToString(), "onnxruntime", "fp32", 1, "x")(HIDDEN, MASK)


def in_order(graph: Any) -> bool:
    """Whether every node stands after those that make what it reads, as ONNX asks and not every engine mends."""
    made = {name for node in graph.graph.node for name in node.output}
    for node in graph.graph.node:
        if made & set(node.input):
            return False
        made -= set(node.output)
    return True


def kinds(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


@pytest.mark.parametrize(("axis", "heads"), [(2, HEADS), (-3, -1)])
def test_fused_products_become_parts_and_the_guard_goes(axis: int, heads: int) -> None:
    plain = layer(axis=axis, heads=heads)
    slim = lean(plain)
    np.testing.assert_allclose(answers(slim)[0], answers(plain)[0], atol=1e-5)
    assert not {"Slice", "Squeeze", "Split", "IsNaN"} & set(kinds(slim))
    assert in_order(slim)
    widths = {weight.name: weight.dims[1] for weight in slim.graph.initializer if len(weight.dims) == 2}
    assert [widths[node.input[1]] for node in products(slim)] == [WIDTH] * 4 + [INNER] * 2 + [WIDTH]
    assert {"qkv", "wi", "i3"}.isdisjoint({weight.name for weight in slim.graph.initializer})


def test_a_mask_without_bounds_keeps_the_guard() -> None:
    """Of a row whose keys are all hidden nothing but the guard makes a number."""
    plain = layer(masked=-np.inf)
    slim = lean(plain)
    assert kinds(slim)["IsNaN"] == 1
    np.testing.assert_allclose(answers(slim)[0], answers(plain)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("tap", "stays"),
    [("fused", "Slice"), ("view", "Slice"), ("k.cut", "Slice"), ("wide", "Split"), ("safe", "Where"), ("left", None)],
)
def test_what_others_read_stays(tap: str, stays: str | None) -> None:
    plain = layer(tap=tap)
    slim = lean(plain)
    assert stays is None or kinds(slim)[stays]
    for ours, theirs in zip(answers(slim), answers(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_smoothing_goes_into_what_makes_an_input() -> None:
    """Queries, keys and values share the norm's; attention's and the gate's goes into a product; the sum's stays."""
    slim = lean(layer())
    smooth = smoothed(slim, [{"x": HIDDEN * np.linspace(1, 9, WIDTH, dtype=np.float32), "mask": MASK}])
    np.testing.assert_allclose(answers(smooth)[0], answers(slim)[0], rtol=1e-3, atol=1e-4)
    assert kinds(smooth)["Mul"] == kinds(slim)["Mul"] + 1
    changed = {
        new.name
        for old, new in zip(slim.graph.initializer, smooth.graph.initializer, strict=False)
        if old.SerializeToString() != new.SerializeToString()
    }
    assert changed == {"norm", "o", "wo"} | {f"qkv.fused.{n}" for n in (0, 8, 16)} | {f"wi.wide.{n}" for n in (0, 6)}
    assert [node.name for node in smooth.graph.node if node.op_type == "Mul" and node.name] == ["smoothing.2"]


def test_one_weight_may_be_cut_in_two_ways() -> None:
    """As where layers share their weights."""
    weight = np.random.default_rng(0).normal(size=(WIDTH, 2 * INNER)).astype(np.float32)
    sizes = {"even": np.array([6, 6], dtype=np.int64), "odd": np.array([4, 8], dtype=np.int64)}
    nodes = []
    for name in sizes:
        nodes += [
            helper.make_node("MatMul", ["x", "w"], [f"{name}.whole"], name=name),
            helper.make_node("Split", [f"{name}.whole", name], [f"{name}.left", f"{name}.right"], axis=-1),
        ]
    outputs = [f"{name}.{side}" for name in sizes for side in ("left", "right")]
    graph = helper.make_graph(
        nodes, "shared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n", WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in {"w": weight, **sizes}.items()],
    )  # fmt: skip
    slim = lean(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    assert not kinds(slim)["Split"]
    found = open_session(slim.SerializeToString(), "onnxruntime", "fp32", 1, "x")(HIDDEN)
    whole = HIDDEN @ weight
    for ours, theirs in zip(found, [*np.split(whole, [6], -1), *np.split(whole, [4], -1)], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_weight_that_is_looked_up_too_is_not_scaled() -> None:
    """As where an output layer is tied to the embedding."""
    weight = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    nodes = [helper.make_node("Gather", ["w", "ids"], ["row"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(
        nodes, "tied",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n", WIDTH]),
         helper.make_tensor_value_info("mask", TensorProto.INT64, ["b", "n"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("row", "y")],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([2]), "ids")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    loud = HIDDEN * np.linspace(1, 9, WIDTH, dtype=np.float32)
    run = open_session(smoothed(made, [{"x": loud, "mask": MASK}]).SerializeToString(), "onnxruntime", "fp32", 1, "x")
    np.testing.assert_array_equal(run(HIDDEN, MASK)[0], weight[[2]])
