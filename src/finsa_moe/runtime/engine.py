"""What a predictor asks of whatever runs the network: ids in, class probabilities and gate weights out.

An engine owns its tokenizer, so that a text is encoded exactly as in training. It knows nothing of batching, of the
caller's order or of what an answer looks like: that is the predictor's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.encode import Encoded

ROUTED = -1
"""The entry of `experts` that leaves the choice to the router."""


class Scores(NamedTuple):
    """The numbers for one batch.

    Attributes:
        probs: Class probabilities (b, 3) in the order bearish, neutral, bullish.
        gate: The router's soft weights (b, E), which are the router's own even where an expert was given.
        novelty: How unlike every known domain each text is, (b,) in [0, 1]; None where the model cannot say.
    """

    probs: NDArray[np.float32]
    gate: NDArray[np.float32]
    novelty: NDArray[np.float32] | None = None


class Engine(Protocol):
    """One loaded mixture.

    An engine whose `run` may be entered by several threads at once says so by an attribute ``concurrent = True`` and
    may name in `workers` how many of them pay; any other is entered by one thread at a time. An engine with
    ``routes_early = True`` has a method ``route(ids, mask)`` that gives the experts (b,) at next to no cost, so that
    texts can be grouped by expert before they are run. One whose `soft` is True answers by all experts, with the
    router's weights, and its `run` takes such weights (b, E) float32 in the place of experts. One whose experts have
    tables of n-grams names them in `ngrams`, one or None an expert; `run` leaves them out, who calls it adds them
    (`tables`), divided by the engine's `temperatures`, if it has any. One whose router has such a table names it in
    `router_ngrams`; its values come to `run` and `route` as a further argument, ``prior`` (b, E) float32, which is
    added to the router's logits.

    Attributes:
        name: What runs the network, e.g. ``"torch"``.
        domains: Names of the experts, in the order of the gate's columns.
        max_length: Most tokens of one encoded text.
        pad_id: Id that fills a batch up; masked, so its value never matters to an answer.
    """

    name: str
    domains: tuple[str, ...]
    max_length: int
    pad_id: int

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Normalise and tokenise raw texts, cutting what is over `max_length`."""
        ...

    def run(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64], experts: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Score one padded batch; the three parts of `Scores`.

        Args:
            ids: Token ids, (b, t), padded on the right.
            mask: 1 for a token, 0 for padding, (b, t).
            experts: The expert to use for each text, (b,); `ROUTED` leaves it to the router, and so does None for all.
        """
        ...


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def with_prior(logits: NDArray[np.float32], prior: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Router logits (b, E) with a prior of some domains added; NaN where it says nothing of a domain.

    The domains that the prior knows share anew what they had together: one that it does not know keeps its share.
    """
    if prior is None:
        return logits
    known = ~np.isnan(prior)
    summed = np.where(known, logits + prior, -np.inf)
    change = _log_sum(summed) - _log_sum(np.where(known, logits, -np.inf))
    shared: NDArray[np.float32] = np.where(known, summed - change, logits)
    return shared


def _log_sum(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of Σ exp over the last axis, which stays with length 1."""
    largest = logits.max(axis=-1, keepdims=True)
    total: NDArray[np.float32] = largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))
    return total
