"""A graph as what makes and what reads each value, for those who change it.

It knows ONNX and nothing of what a graph is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def products(graph: Any) -> list[Any]:
    """The nodes that multiply by a constant weight (k, n)."""
    constants = {weight.name for weight in graph.graph.initializer if len(weight.dims) == 2}
    return [node for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def copy(graph: Any) -> Any:
    """Another graph of the same content."""
    return onnx.ModelProto.FromString(graph.SerializeToString())


def put_in_order(graph: Any) -> None:
    """Move nodes so that each stands after those that make what it reads; where that is so already none moves."""
    made = {name for node in graph.graph.node for name in node.output}
    ready: set[str] = set()
    ordered: list[Any] = []
    waiting = list(graph.graph.node)
    while waiting:
        late = []
        for node in waiting:
            if any(name in made and name not in ready for name in node.input):
                late.append(node)
                continue
            ordered.append(node)
            ready.update(node.output)
        assert len(late) < len(waiting), "a graph goes round"
        waiting = late
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)


@dataclass
class Wires:
    """Who makes and who reads each value of a graph, and its constants."""

    graph: Any
    makers: dict[str, Any] = field(init=False)
    readers: dict[str, list[Any]] = field(init=False)
    constants: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        inner = self.graph.graph
        self.makers = {name: node for node in inner.node for name in node.output}
        self.constants = {weight.name: weight for weight in inner.initializer}
        self.readers = {name.name: [None] for name in inner.output}  # read by who calls
        for node in inner.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def reader(self, name: str, kind: str) -> Any | None:
        """The only node that reads a value, if it is of this kind."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0] is not None and readers[0].op_type == kind else None

    def maker(self, name: str, kind: str) -> Any | None:
        """The node that makes a value, if it is of this kind."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def alone(self, name: str) -> bool:
        """Whether this is a constant that one node reads."""
        return name in self.constants and len(self.readers[name]) == 1

    def value(self, name: str) -> NDArray[Any] | None:
        """A constant's numbers; None of what is computed."""
        return self.array(name) if name in self.constants else None

    def array(self, name: str) -> NDArray[Any]:
        """A constant's numbers."""
        found: NDArray[Any] = numpy_helper.to_array(self.constants[name])
        return found

    def replace(self, old: Sequence[Any], new: Sequence[Any]) -> None:
        """Put nodes in the place of others, where the last of these stood."""
        nodes = self.graph.graph.node
        at = max(list(nodes).index(node) for node in old)
        for offset, node in enumerate(new):
            nodes.insert(at + 1 + offset, node)
        for node in old:
            nodes.remove(node)
