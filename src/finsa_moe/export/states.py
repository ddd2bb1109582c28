"""What texts look like inside: raw logits and states for calibration and novelty, inputs of each graph for quantising.

An engine and texts go in, arrays come out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from finsa_moe.export.rows import UNKNOWN, Texts, evenly
from finsa_moe.export.smooth import Inputs
from finsa_moe.export.split import Trunk
from finsa_moe.runtime.batches import by_length, pad
from finsa_moe.runtime.engine import Engine
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.tables import Prior

Reals = NDArray[np.float32]
_MEASURED_TOKENS = 4096  # of a batch that is measured, padding counted
_EXAMPLES = 384  # texts that show a graph its inputs
_EXAMPLE_TOKENS = 1024  # of a batch of these, padding counted


@dataclass(frozen=True)
class Measured:
    """By text: the own domain's expert's logits (n, 3); routed states (n, d); token ids; domain ids."""

    own_logits: Reals
    states: Reals
    ids: list[list[int]]
    domains: list[int]


def measure(engine: GraphEngine, rows: Texts) -> Measured:
    """Run every text through the router's choice and through its own domain's expert."""
    encoded = engine.encode(rows.texts)
    domains, prior = np.array(rows.domains), Prior(engine, rows.texts)
    own: list[Reals] = [np.zeros(3, np.float32)] * len(rows)
    states: list[Reals] = [np.zeros(0, np.float32)] * len(rows)
    for batch in by_length([len(e.ids) for e in encoded], _MEASURED_TOKENS):
        ids, mask = pad([encoded[at].ids for at in batch], engine.pad_id, engine.max_length)
        routed = engine.forward(ids, mask, None, *prior(batch))
        given = engine.forward(ids, mask, domains[batch])
        for place, at in enumerate(batch.tolist()):
            own[at], states[at] = given.logits[place], routed.states[place]
    return Measured(np.stack(own), np.stack(states), [e.ids for e in encoded], list(rows.domains))


def examples(engine: Engine, trunk: Trunk, rows: Texts) -> list[list[Inputs]]:
    """Inputs of the trunk's graph and of each expert's on a sample of texts; an expert sees its own domain's.

    An expert without any is shown those of no known domain; without these, all.
    """
    made: list[list[Inputs]] = []
    for expert in range(-1, len(engine.domains)):
        own = np.arange(len(rows))
        if expert >= 0:
            own = next((found for at in (expert, UNKNOWN) if len(found := rows.of(at))), own)
        drawn = own[evenly(len(own), _EXAMPLES)]
        encoded = engine.encode([rows.texts[at] for at in drawn])
        inputs: list[Inputs] = []
        for chosen in by_length([len(e.ids) for e in encoded], _EXAMPLE_TOKENS):
            ids, mask = pad([encoded[at].ids for at in chosen], engine.pad_id, engine.max_length)
            if expert < 0:
                inputs.append({"ids": ids, "mask": mask})
                continue
            with torch.inference_mode():
                hidden = trunk(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()
            inputs.append({"hidden": hidden, "mask": mask})
        made.append(inputs)
    return made
