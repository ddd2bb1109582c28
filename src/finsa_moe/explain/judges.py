"""What explaining asks of a model, whatever kind it is: who answers a text, what the answers are, what of it is read.

`Mixture` asks a runtime's predictor, whose router chose an expert (or weights) then held; `Plain` asks anything with
``predict_proba(texts)``. They hand on texts and numbers and know nothing of words or values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.encode import head_and_tail
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.explain.game import HIDDEN
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import Domain, Predictor

Reals = NDArray[np.float64]
Voice = str | tuple[float, ...] | None
"""An expert's domain, or the weights of all experts, or the model itself."""
MARKS = ("[MASK]", "<mask>")
"""What a tokenizer may call a hidden word; where it is one token, it serves best (EXPERIMENTS.md)."""


class Judge(Protocol):
    """A model as the explaining code sees it.

    Attributes:
        domains: Its experts; empty for a model without.
        hidden: What best stands for hidden words.
    """

    domains: tuple[str, ...]
    hidden: str

    def first(self, texts: list[str], domain: Domain) -> Sequence[Prediction | DataError | None]:
        """The plain answer to each text, or why there is none; None from a model that gives probabilities alone."""
        ...

    def voice(self, answer: Any, domain: str | None) -> Voice:
        """Who answered a text, to be held while its words are hidden."""
        ...

    def ask(self, texts: list[str], voices: list[Voice]) -> Reals:
        """Probabilities (n, 3) of many texts, each by the voice named for it."""
        ...

    def read(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int]:
        """How many pieces of a text are read from its head, and from which one on its tail is."""
        ...


class Mixture:
    """A mixture behind the runtime's predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.domains = tuple(predictor.engine.domains)
        self._bare = self._length("")
        one = (mark for mark in MARKS if self._length(mark) == self._bare + 1)
        self.hidden = next(one, HIDDEN)
        self._head, self._tail = head_and_tail(predictor.engine.max_length - self._bare)

    def first(self, texts: list[str], domain: Domain) -> Sequence[Prediction | DataError | None]:
        """The predictor's own answers."""
        return self.predictor.attempt(texts, domain)

    def voice(self, answer: Any, domain: str | None) -> Voice:
        """The expert; where a soft gate lets all of them speak, their weights."""
        soft = domain is None and self.predictor.engine.soft
        return tuple(answer.expert_weights.values()) if soft else str(answer.expert)

    def ask(self, texts: list[str], voices: list[Voice]) -> Reals:
        """Probabilities by the voices given, in one stream of batches by length for each kind of them."""
        probs = np.zeros((len(texts), 3))
        named = [at for at, voice in enumerate(voices) if isinstance(voice, str)]
        if named:
            experts = [str(voices[at]) for at in named]
            probs[named] = self.predictor.predict_proba([texts[at] for at in named], experts)
        held = [at for at, voice in enumerate(voices) if isinstance(voice, tuple)]
        if held:
            gates = np.array([voices[at] for at in held], dtype=np.float32)
            probs[held] = self.predictor.predict_held([texts[at] for at in held], gates)
        return probs

    def read(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int]:
        """As `TextEncoder` cuts: the longest head and tail of whole pieces whose tokens fit into its shares."""
        head = _most(len(ends), lambda n: self._length(text[: ends[n - 1]]) - self._bare <= self._head)
        tail = _most(len(starts), lambda n: self._length(text[starts[-n] :]) - self._bare <= self._tail)
        return head, len(starts) - tail

    def _length(self, text: str) -> int:
        return len(self.predictor.engine.encode([text])[0].ids)


class Plain:
    """Anything with ``predict_proba(texts)``: a baseline, a pipeline, a user's own classifier."""

    domains: tuple[str, ...] = ()
    hidden = HIDDEN

    def __init__(self, model: Any) -> None:
        if not callable(getattr(model, "predict_proba", None)):
            raise ConfigError(
                f"{type(model).__name__} has no predict_proba(texts); explaining needs one that gives (n, 3)"
            )
        self.model = model

    def first(self, texts: list[str], domain: Domain) -> Sequence[Prediction | DataError | None]:
        """Nothing but that an empty text cannot be explained."""
        if domain is not None:
            raise ConfigError("domain= chooses an expert of a mixture; this model has none")
        empty = "holds nothing to explain; drop it or fill it"
        return [
            None if text.strip() else DataError(f"text {at} (counted from 0) {empty}") for at, text in enumerate(texts)
        ]

    def voice(self, answer: Any, domain: str | None) -> Voice:
        """There is but one."""
        return None

    def ask(self, texts: list[str], voices: list[Voice]) -> Reals:
        """The model's probabilities, checked to be such."""
        probs = np.asarray(self.model.predict_proba(texts), dtype=np.float64)
        if probs.shape != (len(texts), 3) or not np.isfinite(probs).all():
            raise ModelError(
                f"{type(self.model).__name__}.predict_proba gave {probs.shape} for {len(texts)} texts, or numbers that "
                "are none; it must give finite (n, 3): bearish, neutral, bullish"
            )
        return probs

    def read(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int]:
        """All of it, as far as is known."""
        return len(ends), len(starts)


def judge(model: Any) -> Judge:
    """The judge that fits a model: a `Predictor`, what has one as `predictor`, or anything with ``predict_proba``."""
    predictor = model if isinstance(model, Predictor) else getattr(model, "predictor", None)
    return Mixture(predictor) if isinstance(predictor, Predictor) else Plain(model)


def _most(count: int, fits: Any) -> int:
    """The largest n in 0..count that fits, where what fits is all up to some n."""
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
