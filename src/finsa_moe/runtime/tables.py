"""What tables of n-grams add: an expert's to the network's answers, a router's to its choice.

An engine, its numbers and the texts go in, numbers come out. An engine without tables is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.ngrams import NGrams
from finsa_moe.runtime.engine import Engine, Reals, Scores, softmax


class Prior:
    """What an engine's router is told beside the token ids, for texts in a row; each is looked up once.

    Args:
        engine: Its `router_ngrams` are asked, if it has any.
        texts: Raw texts, (n,); what is no string has no n-gram.
    """

    def __init__(self, engine: Engine, texts: Sequence[object]) -> None:
        self.table = engine.router_ngrams
        self.texts = texts
        if self.table is not None:
            self.values = np.zeros((len(texts), len(self.table.bias)), dtype=np.float32)
            self.ready = np.zeros(len(texts), dtype=bool)

    def __call__(self, at: NDArray[np.int64]) -> tuple[Reals, ...]:
        """The further argument (b, E) of an engine's `run` and `route` for the texts at these places, if it takes one.

        Threads may ask for different texts at once.
        """
        if self.table is None:
            return ()
        missing = at[~self.ready[at]]
        if len(missing):
            found = self.table([text if isinstance(text, str) else "" for text in map(self.texts.__getitem__, missing)])
            self.values[missing], self.ready[missing] = found, True
        return (self.values[at],)


def with_tables(engine: Engine, scores: Scores, texts: Sequence[str], experts: NDArray[np.int64]) -> Scores:
    """A batch's scores with the tables of those experts counted in that answered it.

    Args:
        engine: What answered.
        scores: Its numbers.
        texts: The raw texts, (b,).
        experts: The expert asked for by each text, (b,); `BY_ROUTER` where it was left to the router.
    """
    if not _tables(engine):
        return scores
    used = np.where(experts >= 0, experts, scores.gate.argmax(axis=1))
    shares = np.eye(scores.gate.shape[1], dtype=np.float32)[used]
    if engine.soft:
        shares = np.where(experts[:, None] >= 0, shares, scores.gate)
    return scores._replace(probs=add_tables(engine, scores.probs, texts, shares))


def add_tables(engine: Engine, probs: Reals, texts: Sequence[str], shares: Reals) -> Reals:
    """Probabilities (b, 3) with each expert's table counted in: softmax(log p + Σ share · table(text) / temperature).

    With all the share on one expert that is its logits and its table's values summed, over its temperature.

    Args:
        engine: What answered; its `ngrams` and `temperatures` are by expert.
        probs: Its answers, (b, 3).
        texts: The raw texts, (b,).
        shares: How much of each text's answer each expert gave, (b, E).
    """
    tables = _tables(engine)
    temperatures = np.ones(len(tables), dtype=np.float32) if engine.temperatures is None else engine.temperatures
    added = np.zeros_like(probs)
    for expert, table in enumerate(tables):
        own = np.flatnonzero(shares[:, expert] > 0)
        if table is not None and len(own):
            added[own] += shares[own, expert, None] / temperatures[expert] * table([texts[at] for at in own.tolist()])
    rows = added.any(axis=1)  # whom no table answers keeps its bits
    summed = probs.copy()
    summed[rows] = softmax(np.log(np.maximum(probs[rows], np.float32(1e-9))) + added[rows])
    return summed


def _tables(engine: Engine) -> tuple[NGrams | None, ...]:
    """The engine's tables, one or None an expert; none where no expert has one."""
    return engine.ngrams if any(engine.ngrams) else ()
