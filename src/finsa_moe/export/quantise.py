"""Matrix products in 8 bits, with activation ranges fixed beforehand from examples.

Weights are quantised per output channel, activations per tensor. The usual dynamic form takes an activation's range
from the batch at hand, so that a text's answer hangs on its batch mates; ranges fixed at export do not. Outliers are
smoothed before. A float32 graph and example inputs go in, a graph any ONNX engine runs comes out.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from finsa_moe.export.smooth import Inputs, smoothed
from finsa_moe.export.wires import products


def quantised(graph: Any, examples: Sequence[Inputs], *, spare: bool = False) -> Any:
    """The graph with its products by constant weights in 8 bits.

    Args:
        graph: A float32 ONNX model.
        examples: Inputs on which the activations' ranges are measured; texts like those to come.
        spare: Leave out products that narrow, (k, n) with k > n: the second of a feed-forward part, whose gated inputs
            have the longest tails. Half the error for a fifth of the speed (EXPERIMENTS.md).
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[Inputs] = iter(examples)

        def get_next(self) -> Inputs | None:
            return next(self.left, None)

    names = _names(graph, spare=spare)
    if not names:
        return graph
    with tempfile.TemporaryDirectory() as place, _silent():
        source, target = Path(place) / "float.onnx", Path(place) / "int8.onnx"
        onnx.save_model(smoothed(graph, examples), source)
        quantize_static(
            str(source), str(target), Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, nodes_to_quantize=names,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )  # fmt: skip
        return onnx.load(target)


def _names(graph: Any, *, spare: bool) -> list[str]:
    """Names of the products to quantise: those by constant weights, without the narrowing ones where they are spared.

    Attention's two products, by what the text itself gives, stay: rounding both sides costs more than it saves.
    """
    shapes = {weight.name: list(weight.dims) for weight in graph.graph.initializer}
    found = [(node.name, *shapes[node.input[1]]) for node in products(graph)]
    return [name for name, inputs, outputs in found if not (spare and inputs > outputs)]


@contextmanager
def _silent() -> Iterator[None]:
    """Without the library's advice on pre-processing, which the tracing has done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
