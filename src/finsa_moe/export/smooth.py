"""Outliers moved from activations into weights, so that both fit into 8 bits (SmoothQuant; Xiao et al. 2023, eq. 4).

Before each product by a constant weight, channel j of the input is divided by s_j and row j of the weight multiplied by
it, which changes nothing in exact arithmetic. A float32 graph and example inputs go in, an equal graph comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from finsa_moe.export.wires import Wires, copy, products

Inputs = dict[str, NDArray[Any]]
"""Inputs of one call by name."""
ALPHA = 0.7
"""How much of the outliers the weights take over; by agreement with the float graph among 0.5, 0.7 (EXPERIMENTS.md)."""


def smoothed(graph: Any, examples: Sequence[Inputs]) -> Any:
    """The same function with milder activations.

    Products that read one input share its division. It goes into the weight of what makes the input, where that is a
    layer norm, a gate (a product by elements of which one side is a product by a weight) or attention, and makes it for
    these products alone; elsewhere it is a node of its own.
    """
    graph = copy(graph)
    wires = Wires(graph)
    groups: dict[str, list[Any]] = {}
    for node in products(graph):
        groups.setdefault(node.input[0], []).append(node)
    largest = _largest(graph, sorted(groups), examples)
    for at, (name, group) in enumerate(groups.items()):
        if not all(wires.alone(node.input[1]) for node in group):  # what others read, too, cannot be scaled for one
            continue
        rows = np.max([np.abs(wires.array(node.input[1])).max(axis=1) for node in group], axis=0)
        scale = largest[name] ** ALPHA / np.maximum(rows, 1e-5) ** (1 - ALPHA)
        scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
        for node in group:
            _multiply(wires, node.input[1], scale[:, None])
        alone = len(wires.readers[name]) == len(group)
        makers = _linear_in(wires, name, len(scale)) if alone else ()
        for weight in makers:
            _multiply(wires, weight, 1 / scale)
        if not makers:
            graph.graph.initializer.append(numpy_helper.from_array(1 / scale, f"smooth.{at}"))
            division = helper.make_node("Mul", [name, f"smooth.{at}"], [f"smoothed.{at}"], name=f"smoothing.{at}")
            graph.graph.node.insert(min(list(graph.graph.node).index(node) for node in group), division)
            for node in group:
                node.input[0] = f"smoothed.{at}"
    return graph


def _multiply(wires: Wires, name: str, by: NDArray[np.float32]) -> None:
    wires.constants[name].CopyFrom(numpy_helper.from_array(wires.array(name) * by, name))


def _linear_in(wires: Wires, name: str, width: int) -> tuple[str, ...]:
    """Names of the constants (…, width) by whose channels a value's own are multiplied; none where there are none."""
    if (norm := wires.maker(name, "LayerNormalization")) is not None:
        return tuple(norm.input[1:]) if all(wires.alone(part) for part in norm.input[1:]) else ()
    sides: list[str] = []
    if (gate := wires.maker(name, "Mul")) is not None:
        sides = list(gate.input)
    elif (side := _attended(wires, name)) is not None:
        sides = [side]
    for side in sides:
        product = wires.maker(side, "MatMul")
        if product is None or len(wires.readers[side]) > 1 or not wires.alone(product.input[1]):
            continue
        if wires.constants[product.input[1]].dims[1] == width:
            return (product.input[1],)
    return ()


def _attended(wires: Wires, name: str) -> str | None:
    """What attention's values are: it → Reshape → Transpose → by probabilities → Transpose → Reshape → `name`."""
    for step, kind in enumerate(("Reshape", "Transpose", "MatMul", "Transpose", "Reshape")):
        node = wires.maker(name, kind)
        if node is None or (step and len(wires.readers[name]) > 1):
            return None
        turned = [list(one.ints) for one in node.attribute if one.name == "perm"]
        if turned not in ([], [[0, 2, 1, 3]]):
            return None
        name = node.input[1 if kind == "MatMul" else 0]
    return name


def _largest(graph: Any, names: Sequence[str], examples: Sequence[Inputs]) -> dict[str, NDArray[np.float32]]:
    """Largest size of each channel of some tensors over the real tokens of the examples, never under 1e-5."""
    import onnxruntime

    open_graph = copy(graph)
    known = {out.name for out in open_graph.graph.output} | {entry.name for entry in open_graph.graph.input}
    open_graph.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    session = onnxruntime.InferenceSession(open_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, NDArray[np.float32]] = {}
    given = {entry.name for entry in session.get_inputs()}
    for batch in examples:
        real = batch["mask"].reshape(-1) > 0
        asked = [name for name in names if name not in given]
        made = session.run(asked, batch) if asked else []  # of none asked for it would give all outputs
        values = dict(zip(asked, made, strict=True)) | {name: batch[name] for name in names if name in given}
        for name, value in values.items():
            rows = np.abs(value.reshape(-1, value.shape[-1]))
            size = rows[real].max(axis=0) if len(rows) == len(real) else rows.max(axis=0)  # pooled: one row a text
            found[name] = np.maximum(found.get(name, np.float32(1e-5)), size)
    return found
