"""Outliers moved from activations into weights, so that both fit into 8 bits (SmoothQuant; Xiao et al. 2023, eq. 4).

Before each product by a constant weight, channel j of the input is divided by s_j and row j of the weight multiplied by
it, which changes nothing in exact arithmetic. A float32 graph and example inputs go in, an equal graph comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Inputs = dict[str, NDArray[Any]]
"""Inputs of one call by name."""
ALPHA = 0.7
"""How much of the outliers the weights take over; by agreement with the float graph among 0.5, 0.7 (EXPERIMENTS.md)."""


def products(graph: Any) -> list[Any]:
    """The nodes that multiply by a constant weight (k, n)."""
    constants = {weight.name for weight in graph.graph.initializer if len(weight.dims) == 2}
    return [node for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def smoothed(graph: Any, examples: Sequence[Inputs]) -> Any:
    """The same function with milder activations.

    Where the input comes from a layer norm for this product alone, the division goes into the norm's own weight;
    elsewhere it is a product of its own.
    """
    graph = onnx.ModelProto.FromString(graph.SerializeToString())
    weights = {weight.name: weight for weight in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    readers = [name for node in graph.graph.node for name in node.input] + [out.name for out in graph.graph.output]
    largest = _largest(graph, sorted({node.input[0] for node in products(graph)}), examples)
    shared = [name for node in products(graph) for name in node.input[1:2]]
    for at, node in enumerate(products(graph)):
        name = node.input[0]
        weight = numpy_helper.to_array(weights[node.input[1]])
        if shared.count(node.input[1]) > 1:  # a weight used twice cannot be scaled for one of its inputs
            continue
        scale = largest[name] ** ALPHA / np.maximum(np.abs(weight).max(axis=1), 1e-5) ** (1 - ALPHA)
        scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
        weights[node.input[1]].CopyFrom(numpy_helper.from_array(weight * scale[:, None], node.input[1]))
        maker = makers.get(name)
        if maker is not None and maker.op_type == "LayerNormalization" and readers.count(name) == 1:
            for part in maker.input[1:]:
                weights[part].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights[part]) / scale, part))
            continue
        graph.graph.initializer.append(numpy_helper.from_array(1 / scale, f"smooth.{at}"))
        place = list(graph.graph.node).index(node)
        division = helper.make_node("Mul", [name, f"smooth.{at}"], [f"smoothed.{at}"], name=f"smoothing.{at}")
        graph.graph.node.insert(place, division)
        graph.graph.node[place + 1].input[0] = f"smoothed.{at}"
    return graph


def _largest(graph: Any, names: Sequence[str], examples: Sequence[Inputs]) -> dict[str, NDArray[np.float32]]:
    """Largest size of each channel of some tensors over the real tokens of the examples, never under 1e-5."""
    import onnxruntime

    open_graph = onnx.ModelProto.FromString(graph.SerializeToString())
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
        values = dict(zip(asked, session.run(asked, batch), strict=True)) | {n: batch[n] for n in names if n in given}
        for name, value in values.items():
            rows = np.abs(value.reshape(-1, value.shape[-1]))
            size = rows[real].max(axis=0) if len(rows) == len(real) else rows.max(axis=0)  # pooled: one row a text
            found[name] = np.maximum(found.get(name, np.float32(1e-5)), size)
    return found
