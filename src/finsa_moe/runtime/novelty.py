"""How unlike every known domain a text is, from the states the network computes anyway.

The reference is a small graph: states in, each distance to the nearest domain out, and beside it the quantiles of
held-out known texts' distances. A distance becomes the share of those texts that lie nearer. It knows no texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finsa_moe.runtime.sessions import open_session

Reals = NDArray[np.float32]


class Novelty:
    """The novelty score of one exported model.

    A graph and not a product in numpy: numpy's BLAS keeps threads of its own, which spin between the batches and took a
    third of the machine from the engine (EXPERIMENTS.md).

    Args:
        graph: What `finsa_moe.export.novelty` made.
        what: Name of its file, for errors.

    Raises:
        ModelError: If it cannot be loaded.
    """

    def __init__(self, graph: bytes, what: str = "novelty.onnx") -> None:
        self._session = open_session(graph, "onnxruntime", "fp32", 1, what)

    def distances(self, states: Reals) -> Reals:
        """Distance (n,) of each state (n, 2 d) to its nearest domain."""
        return self._session(states)[0]

    def __call__(self, states: Reals) -> Reals:
        """Novelty in [0, 1] of states (n, 2 d): the share of held-out known texts that lie nearer."""
        distances, knots = self._session(states)
        levels = np.linspace(0.0, 1.0, len(knots), dtype=np.float32)
        return np.interp(distances, knots, levels).astype(np.float32)
