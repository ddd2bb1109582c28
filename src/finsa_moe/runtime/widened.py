"""A graph of 8 bits computed in bfloat16, on processors with a unit for products of matrices (Intel's AMX).

There OpenVINO multiplies bfloat16 so fast that rounding activations to 8 bits before each product, and back after it,
costs more than it saves; left out, the answers are nearer to the weights', too. An OpenVINO model goes in and is
changed in place. It knows nothing of what a graph computes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

_CPU = Path("/proc/cpuinfo")
_ROUNDED = ("Convert", "Convert", "Subtract", "Multiply")
"""What follows a rounding and takes it back: to 8 bits, to numbers, the zero point, the scale."""


@cache
def has_matrix_unit() -> bool:
    """Whether this processor multiplies matrices of bfloat16 by a unit of its own; only Linux tells."""
    try:
        return "amx_bf16" in _CPU.read_text(encoding="utf-8").split()
    except OSError:
        return False


def widen(model: Any) -> int:
    """Let every product take its activations as they are; its weights stay the numbers that 8 bits can hold.

    Args:
        model: An ``openvino.Model`` read from a graph in which activations are quantised and dequantised.

    Returns:
        How many roundings went; one that is not followed by what takes it back stays.
    """
    gone = 0
    for rounding in [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]:
        last = rounding
        for kind in _ROUNDED:
            readers = last.output(0).get_target_inputs()
            if len(readers) != 1 or (reader := next(iter(readers)).get_node()).get_type_name() != kind:
                break
            last = reader
        else:
            for reader in last.output(0).get_target_inputs():
                reader.replace_source_output(rounding.input_value(0))
            gone += 1
    return gone
