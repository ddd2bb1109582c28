"""A mixture small enough to check by hand: an engine that counts characters, and predictors and models over it.

One character is one token. Rising words speak for bullish, falling words for bearish; a text with 公告 is news, any other
forum. The news expert reads twice as strongly as the forum expert, so that the two never give the same probabilities.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.encode import Encoded
from finsa_moe.data.text import normalise
from finsa_moe.face import FinSA
from finsa_moe.runtime.engine import Engine, Scores
from finsa_moe.runtime.predictor import Predictor

START, END = 1, 2
RISE, FALL, NEWS = (set(map(ord, chars)) for chars in ("涨升", "跌空", "公告"))


def probabilities(text: str, expert: int) -> list[float]:
    """What the engine must answer for a clean text, computed one text at a time."""
    strength = (2.0, 1.0)[expert]
    rise = sum(ord(c) in RISE for c in text)
    fall = sum(ord(c) in FALL for c in text)
    logits = np.array([strength * fall, 0.5, strength * rise])
    return list(np.exp(logits) / np.exp(logits).sum())


def routed(text: str) -> int:
    """The expert the router must choose for a clean text."""
    return 0 if any(ord(c) in NEWS for c in text) else 1


class FakeEngine(Engine):
    """Counts characters; deaf to padding, which it checks is masked and short."""

    name = "fake"
    pad_id = 0

    def __init__(self, domains: tuple[str, ...] = ("news", "forum"), max_length: int = 64) -> None:
        self.domains = domains
        self.max_length = max_length
        self.shapes: list[tuple[int, int]] = []
        self.inside = 0
        self.most_inside = 0
        self._count = threading.Lock()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        return [self._encode(normalise(text)) for text in texts]

    def _encode(self, text: str) -> Encoded:
        ids, room = [ord(c) for c in text], self.max_length - 2
        if len(ids) > room:
            return Encoded([START, *ids[: room // 2], *ids[-(room - room // 2) :], END], True)
        return Encoded([START, *ids, END], False)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64], experts: NDArray[np.int64] | None) -> Scores:
        with self._count:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self.shapes.append(ids.shape)
        assert ids.dtype == mask.dtype == np.int64
        assert (ids[mask == 0] == self.pad_id).all()
        probs = np.zeros((len(ids), 3), dtype=np.float32)
        gate = np.zeros((len(ids), len(self.domains)), dtype=np.float32)
        for row, (tokens, real) in enumerate(zip(ids, mask, strict=True)):
            text = "".join(chr(t) for t in tokens[real == 1][1:-1])
            choice = routed(text) if len(self.domains) > 1 else 0
            gate[row] = 0.3 / max(1, len(self.domains) - 1)
            gate[row, choice] = 0.7 if len(self.domains) > 1 else 1.0
            asked = choice if experts is None or experts[row] < 0 else int(experts[row])
            probs[row] = probabilities(text, asked % 2)
        with self._count:
            self.inside -= 1
        return Scores(probs, gate)


def fake_finsa(engine: FakeEngine | None = None, **settings: float) -> FinSA:
    """A `FinSA` over a fake engine, a fresh one if none is given."""
    return FinSA(Predictor(engine or FakeEngine(), **settings), {"model_type": "finsa_moe"})  # type: ignore[arg-type]


class StateEngine(FakeEngine):
    """Gives states and novelty as well: a text's state counts its rising, falling, news and other characters, with a
    hundred more for each expert before its own, and its novelty is the share of characters outside the plane of Chinese."""

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], experts: NDArray[np.int64]) -> SimpleNamespace:
        states = np.zeros((len(ids), 4), dtype=np.float32)
        for row, (tokens, real) in enumerate(zip(ids, mask, strict=True)):
            kept = tokens[real == 1][1:-1].tolist()
            counts = [sum(token in kind for token in kept) for kind in (RISE, FALL, NEWS)]
            states[row] = [*counts, len(kept) - sum(counts)]
            states[row] += 100 * experts[row]
        return SimpleNamespace(states=states)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64], experts: NDArray[np.int64] | None) -> Scores:
        scores = super().run(ids, mask, experts)
        novelty = [np.mean(tokens[real == 1][1:-1] < 0x4E00) for tokens, real in zip(ids, mask, strict=True)]
        return scores._replace(novelty=np.array(novelty, dtype=np.float32))
