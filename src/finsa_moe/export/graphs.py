"""Modules into ONNX files: traced once with free batch and length, then kept in float32, bfloat16 or 8 bits.

bfloat16 is how weights are stored: a reader widens them, and an engine with bfloat16 products uses them as they are.
For 8 bits see `quantise`. Nothing here knows what a graph computes.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from finsa_moe.errors import ModelError
from finsa_moe.export.lean import lean
from finsa_moe.export.quantise import quantised
from finsa_moe.export.smooth import Inputs
from finsa_moe.export.wires import copy
from finsa_moe.files import whole_path

OPSET = 20
PRECISIONS = ("fp32", "bf16", "int8")
_SMALL = 1024  # numbers in a tensor under which nothing is gained by storing it shorter


def example_ids() -> tuple[Tensor, Tensor]:
    """Ids and mask to trace with: two texts, one of them padded; what they say does not matter."""
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, 9:] = 0
    return torch.arange(24).view(2, 12) % 11 * mask, mask


def trace(module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The float32 graph of a module whose inputs are (batch, length, …), both free, or real-valued (batch, size).

    Raises:
        ModelError: If the module cannot be traced.
    """
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    pooled = [x.ndim == 2 and x.is_floating_point() for x in example]
    free = tuple({0: batch} if one else {0: batch, 1: length} for one in pooled)
    loud = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, example, dynamo=True, opset_version=OPSET, verbose=False, input_names=list(inputs),
                output_names=list(outputs), dynamic_shapes=free,
            )  # fmt: skip
    except Exception as error:  # the exporter raises dozens of kinds
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"this backbone cannot be traced into a graph ({type(error).__name__}: {said}); run the mixture with torch"
        ) from error
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
    assert program is not None
    return _bare(program.model_proto)


def like(graph: Any, traced: nn.Module, other: nn.Module) -> Any | None:
    """The graph of a module of the same form as the one traced, which takes far less time than tracing it.

    Args:
        graph: What `trace` made of `traced`.
        traced: A module.
        other: One that differs from it in its weights alone.

    Returns:
        The graph with the other's weights; None where one that differs does not stand in it as it is or transposed, or
        where values do not say which one stands in a place.
    """
    old, new = (module.state_dict() for module in (traced, other))
    places: dict[tuple[Any, ...], list[tuple[str, bool]]] = {}
    for name, tensor in old.items():
        for turned in (False, True) if tensor.ndim > 1 else (False,):
            places.setdefault(_content(_array(tensor, turned)), []).append((name, turned))
    made, found = onnx.ModelProto(), set()
    made.CopyFrom(graph)
    for part in made.graph.initializer:
        same = places.get(_content(numpy_helper.to_array(part)), [])
        arrays = [_array(new[name], turned) for name, turned in same]
        if len({_content(array) for array in arrays}) > 1:
            return None
        if same:
            part.CopyFrom(numpy_helper.from_array(arrays[0], part.name))
            found |= {name for name, _ in same}
    differ = {name for name, tensor in old.items() if not torch.equal(tensor, new[name])}
    return made if differ <= found else None


def _array(tensor: Tensor, turned: bool) -> NDArray[Any]:
    """A tensor's numbers, transposed or not, in one piece."""
    array: NDArray[Any] = tensor.detach().numpy()
    return np.ascontiguousarray(array.T if turned else array)


def _content(array: NDArray[Any]) -> tuple[Any, ...]:
    """What tells an array from others: shape, kind of number and a digest of the bytes."""
    return array.shape, array.dtype.str, hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _bare(graph: Any) -> Any:
    """The graph without the tracer's notes: they hold source lines and paths of the machine it ran on."""
    inner = graph.graph
    for part in (graph, inner, *inner.node, *inner.value_info, *inner.input, *inner.output, *inner.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return graph


def write(
    graph: Any, path: Path, precision: str, examples: Sequence[Inputs] | None = None, spare: bool = False
) -> None:
    """Write a float32 graph in a precision, one of `PRECISIONS`; int8 with `examples` of its inputs and `spare` as in
    `quantised`.
    """
    graph = lean(graph)
    if precision == "int8":
        graph = quantised(graph, examples or (), spare=spare)
        graph = _rows_in_bytes(graph)
    if precision != "fp32":
        graph = _stored_short(graph)
    with whole_path(path) as part:
        onnx.save_model(graph, part)


def _stored_short(graph: Any) -> Any:
    """The graph with its large weights in bfloat16, widened by a Cast that engines fold when they load it."""
    graph = copy(graph)
    readers: dict[str, list[Any]] = {}
    for node in graph.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    casts = []
    for weight in graph.graph.initializer:
        matrix = sum(size > 1 for size in weight.dims) > 1  # scales of rows, however many, stay as they are
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _SMALL or not matrix:
            continue
        wide = weight.name
        values = torch.from_numpy(numpy_helper.to_array(weight).copy()).to(torch.bfloat16).view(torch.int16).numpy()
        short = helper.make_tensor(f"{wide}.bf16", TensorProto.BFLOAT16, list(weight.dims), values.tobytes(), raw=True)
        weight.CopyFrom(short)
        gathers = [node for node in readers.get(wide, []) if node.op_type == "Gather" and node.input[0] == wide]
        for gather in gathers:  # of an embedding only the rows asked for are widened
            gather.input[0], found = short.name, gather.output[0]
            gather.output[0] = f"{found}.bf16"
            at = list(graph.graph.node).index(gather) + 1
            graph.graph.node.insert(at, helper.make_node("Cast", [gather.output[0]], [found], to=TensorProto.FLOAT))
        if len(gathers) < len(readers.get(wide, [])):
            casts.append(helper.make_node("Cast", [short.name], [wide], to=TensorProto.FLOAT))
    for at, cast in enumerate(casts):
        graph.graph.node.insert(at, cast)
    return graph


def _rows_in_bytes(graph: Any) -> Any:
    """The graph with tables that are only looked up in (embeddings) as 8-bit rows, each with a scale of its own."""
    graph = copy(graph)
    nodes = graph.graph.node
    for weight in list(graph.graph.initializer):
        readers = [node for node in nodes if weight.name in node.input]
        looked_up = all(node.op_type == "Gather" and node.input[0] == weight.name for node in readers)
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) != 2 or np.prod(weight.dims) < _SMALL:
            continue
        if not readers or not looked_up:
            continue
        table = numpy_helper.to_array(weight)
        scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
        rows = np.round(table / scales).astype(np.int8)
        name = weight.name
        graph.graph.initializer.remove(weight)
        graph.graph.initializer.extend(
            [numpy_helper.from_array(rows, f"{name}.int8"), numpy_helper.from_array(scales, f"{name}.scales")]
        )
        for gather in readers:
            index, found, at = gather.input[1], gather.output[0], list(nodes).index(gather)
            nodes.remove(gather)
            made = [
                helper.make_node("Gather", [f"{name}.int8", index], [f"{found}.int8"], axis=0),
                helper.make_node("Cast", [f"{found}.int8"], [f"{found}.wide"], to=TensorProto.FLOAT),
                helper.make_node("Gather", [f"{name}.scales", index], [f"{found}.scale"], axis=0),
                helper.make_node("Mul", [f"{found}.wide", f"{found}.scale"], [found]),
            ]
            for offset, node in enumerate(made):
                nodes.insert(at + offset, node)
    return graph
