"""A mixture's trunk and experts as graphs: traced once, written in any precision into the folder of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from finsa_moe.export import graphs
from finsa_moe.export.rows import Texts
from finsa_moe.export.smooth import Inputs
from finsa_moe.export.split import Expert, Trunk, Whole
from finsa_moe.export.states import examples
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.folder import File, GraphSet


class Traced:
    """The float32 graphs of a mixture.

    Args:
        engine: The mixture.
        texts: On which the ranges of 8 bits are measured.
    """

    def __init__(self, engine: TorchEngine, texts: Texts) -> None:
        self.engine, self.texts = engine, texts
        self.trunk = Trunk(engine.model)
        self.experts = [Expert(engine.model, at) for at in range(len(engine.domains))]
        self.graphs = _trace(self.trunk, self.experts)

    @cached_property
    def inputs(self) -> list[list[Inputs]]:
        """Inputs of each graph on these texts."""
        return examples(self.engine, self.trunk, self.texts)

    def write(self, working: Path, precision: str, *, spare: bool = False) -> GraphSet:
        """Write the graphs of one precision; a file equal to one of another precision is kept once."""
        made = []
        for at, graph in enumerate(self.graphs):
            path = working / (f"trunk.{precision}.onnx" if at == 0 else f"expert{at - 1}.{precision}.onnx")
            graphs.write(graph, path, precision, self.inputs[at] if precision == "int8" else None, spare)
            record = File.of(path)
            twin = next((f for f in working.glob("*.onnx") if f != path and File.of(f).sha256 == record.sha256), None)
            if twin is not None:
                path.unlink()
                record = replace(record, file=twin.name)
            made.append(record)
        return GraphSet(made[0], tuple(made[1:]))

    def write_whole(self, path: Path, precision: str, temperatures: Sequence[float], *, spare: bool = False) -> None:
        """Write one graph of all, from ids and mask to the routed expert's probabilities and the router's weights."""
        whole = Whole(self.trunk, self.experts, temperatures)
        graph = graphs.trace(whole, graphs.example_ids(), ("ids", "mask"), ("probs", "gate"))
        graphs.write(graph, path, precision, self.inputs[0] if precision == "int8" else None, spare)


def forms(precision: str) -> tuple[bool, ...]:
    """Whether to spare narrowing products, for each form of a precision that may be kept, the best first."""
    return (False, True) if precision == "int8" else (False,)


def _trace(trunk: Trunk, experts: Sequence[Expert]) -> list[Any]:
    ids, mask = graphs.example_ids()
    with torch.no_grad():
        hidden = trunk(ids, mask)[0]
    trunk_graph = graphs.trace(trunk, (ids, mask), ("ids", "mask"), ("hidden", "router_logits"))
    made: list[Any] = []
    for expert in experts:
        graph = graphs.like(made[0], experts[0], expert) if made else None
        made.append(graph or graphs.trace(expert, (hidden, mask), ("hidden", "mask"), ("logits", "state")))
    return [trunk_graph, *made]
