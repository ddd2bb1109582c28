"""What a predictor asks of whatever runs the network: ids in, class probabilities and gate weights out.

An engine owns its tokenizer, so that a text is encoded exactly as in training. It knows nothing of batching, of the
caller's order or of what an answer looks like: that is the predictor's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.encode import Encoded
from finsa_moe.data.ngrams import NGrams
from finsa_moe.errors import ModelError

Reals = NDArray[np.float32]
Integers = NDArray[np.int64]
BY_ROUTER = -1
"""The entry of `experts` that leaves the choice to the router."""


class Scores(NamedTuple):
    """The numbers for one batch.

    Attributes:
        probs: Class probabilities (b, 3) in the order bearish, neutral, bullish.
        gate: The router's soft weights (b, E), which are the router's own even where an expert was given.
        novelty: How unlike every known domain each text is, (b,) in [0, 1]; None where the model cannot say.
    """

    probs: Reals
    gate: Reals
    novelty: Reals | None = None


@dataclass(frozen=True)
class Pass:
    """What one pass over a batch computes: class and router logits, the expert used, and the texts' states.

    Attributes:
        logits: (b, 3), uncalibrated.
        router_logits: (b, E).
        experts: The expert that answered, (b,).
        states: Masked means of the last hidden states, (b, d).
    """

    logits: Reals
    router_logits: Reals
    experts: Integers
    states: Reals


class Engine(ABC):
    """One loaded mixture.

    Attributes:
        name: What runs the network, e.g. ``"torch"``.
        domains: Names of the experts, in the order of the gate's columns.
        max_length: Most tokens of one encoded text.
        pad_id: Id that fills a batch up; masked, so its value never matters to an answer.
        concurrent: Whether several threads may be inside at once; else one enters at a time.
        workers: How many threads pay, if several may be inside.
        routes_early: Whether `route` costs next to nothing, so that texts can be grouped by expert before they run.
        soft: Whether all experts answer with the router's weights; then these can be given (`run_held`).
        ngrams: By expert its table of n-grams or None, empty where no expert has one. `run` leaves them out; who calls
            it adds them (`tables`).
        temperatures: By expert, what the logits were divided by, (E,), and the tables' values have to be; None for 1.
        router_ngrams: The router's table, whose values come to `run`, `route` and `forward` as `prior`; None without.
    """

    name: str
    domains: tuple[str, ...]
    max_length: int
    pad_id: int
    concurrent: bool = False
    workers: int = 1
    routes_early: bool = False
    soft: bool = False
    ngrams: tuple[NGrams | None, ...] = ()
    temperatures: Reals | None = None
    router_ngrams: NGrams | None = None

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Normalise and tokenise raw texts, cutting what is over `max_length`: ids, prompt and special tokens round."""

    @abstractmethod
    def run(self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None) -> Scores:
        """Score one padded batch.

        Args:
            ids: Token ids, (b, t), padded on the right.
            mask: 1 for a token, 0 for padding, (b, t).
            experts: The expert to use for each text, (b,); `BY_ROUTER` leaves it to the router, as None does for all.
            prior: What is added to the router's logits, (b, E); NaN where it says nothing of a domain.
        """

    def run_held(self, ids: Integers, mask: Integers, gate: Reals) -> Scores:
        """Score one padded batch with the experts' weights given, (b, E); for an engine that is `soft`."""
        raise NotImplementedError(self.name)

    def route(self, ids: Integers, mask: Integers, prior: Reals | None = None) -> Integers:
        """The router's choice (b,) for a padded batch; for an engine that `routes_early`."""
        raise NotImplementedError(self.name)

    def forward(
        self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None
    ) -> Pass:
        """The raw numbers of one padded batch; the arguments are those of `run`.

        Raises:
            ModelError: If this engine gives none.
        """
        raise ModelError(
            f"this model runs on {self.name}, which gives no states to compare texts by; export it with "
            "`finsa export MODEL --out DIR` and name DIR"
        )


def softmax(logits: Reals) -> Reals:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Reals = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def with_prior(logits: Reals, prior: Reals | None) -> Reals:
    """Router logits (b, E) with a prior of some domains added; NaN where it says nothing of a domain.

    The domains that the prior knows share anew what they had together: one that it does not know keeps its share.
    """
    if prior is None:
        return logits
    known = ~np.isnan(prior)
    summed = np.where(known, logits + prior, -np.inf)
    change = _log_sum(summed) - _log_sum(np.where(known, logits, -np.inf))
    shared: Reals = np.where(known, summed - change, logits)
    return shared


def _log_sum(logits: Reals) -> Reals:
    """Logarithm of Σ exp over the last axis, which stays with length 1."""
    largest = logits.max(axis=-1, keepdims=True)
    total: Reals = largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))
    return total
