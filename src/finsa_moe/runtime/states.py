"""The vectors a network makes of texts: each text's pooled state, in the order given.

A predictor and texts in, an array out, by the same batches as answers. It does not know what the vectors are for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from finsa_moe.runtime.batches import by_length, pad
from finsa_moe.runtime.predictor import Predictor


def pooled_states(
    predictor: Predictor, texts: Sequence[str], experts: NDArray[np.int64],
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Masked means of the last hidden states, (n, d), each by the expert that answered the text.

    Args:
        predictor: One whose engine runs exported graphs.
        texts: Raw texts.
        experts: The expert of each, (n,), a position in the engine's domains.
        progress: Called with the texts done and the texts in all.

    Raises:
        ModelError: If the engine gives no states, as a mixture that runs on torch does not.
    """
    engine = predictor.engine_for(len(texts))
    encoded = engine.encode(texts)
    work = list(by_length([len(e.ids) for e in encoded], predictor.batch_tokens))[::-1]  # the longest work first

    def states(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids, mask = pad([encoded[at].ids for at in chosen], engine.pad_id, engine.max_length)
        return chosen, engine.forward(ids, mask, experts[chosen]).states

    found: NDArray[np.float32] | None = None
    done = 0
    with ThreadPoolExecutor(engine.workers) as pool:
        for chosen, rows in pool.map(states, work):
            found = np.zeros((len(texts), rows.shape[1]), dtype=np.float32) if found is None else found
            found[chosen] = rows
            done += len(chosen)
            if progress is not None:
                progress(done, len(texts))
    return np.zeros((0, 1), dtype=np.float32) if found is None else found
