"""How unlike every known domain a text is, from its tokens and the state the network computes anyway: no second pass.

The reference is a small graph: token ids and states in, each text's distance to the nearest domain out, and beside it
the quantiles of held-out known texts' distances. A distance becomes the share of those texts that lie nearer.
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
        self._levels = np.zeros(0, dtype=np.float32)  # of the knots, whose number the first call tells

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64], states: Reals) -> Reals:
        """Novelty in [0, 1] of texts with these ids and mask (b, t) and states (b, d)."""
        distances, knots = self._session(ids, mask, states)
        if len(self._levels) != len(knots):
            self._levels = np.linspace(0.0, 1.0, len(knots), dtype=np.float32)
        shares = np.interp(distances, knots, self._levels)  # of equal knots it takes the last, and many texts lie at 0
        return np.where(distances <= knots[0], 0.0, shares).astype(np.float32)
