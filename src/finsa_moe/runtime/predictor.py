"""Texts in, predictions out in the same order: batches by length, routing or a given domain, bounded memory.

Everything between the caller and the engine: checking the texts, length buckets, which expert, and turning numbers
into answers. It knows neither where texts come from nor what runs the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import ConfigError, DataError, closest
from finsa_moe.polarity import ENGLISH, NAMES
from finsa_moe.runtime import BATCH_TOKENS
from finsa_moe.runtime.answers import Numbers, refusal, row_type
from finsa_moe.runtime.batches import by_length, pad
from finsa_moe.runtime.engine import BY_ROUTER, Engine, Scores
from finsa_moe.runtime.forks import in_child
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.repeats import Repeats, Rows
from finsa_moe.runtime.tables import Prior, add_tables, with_tables

Domain = str | Sequence[str | None] | None
WINDOW = 4096
BULK = 256
"""Texts of one call from which on a predictor's bulk engine answers, where it has one."""


class Predictor:
    """Answers texts with one engine; safe to share between threads.

    Args:
        engine: What encodes and scores.
        batch_tokens: Most tokens of a batch, padding counted; more is faster until the caches are full.
        abstain_below: Predictions with a confidence under this, in [0, 1], are marked uncertain.
        bulk: Opens an engine of the same mixture that is slower to start and faster to run; streams and calls with
            `BULK` texts or more use it. Which engine answers never depends on a batch, only on the call.

    Raises:
        ConfigError: If a setting is outside what it allows.
    """

    def __init__(
        self, engine: Engine, batch_tokens: int = BATCH_TOKENS, abstain_below: float = 0.0,
        bulk: Callable[[], Engine] | None = None,
    ) -> None:  # fmt: skip
        if batch_tokens < 1:
            raise ConfigError(f"batch_tokens is {batch_tokens}; it must be 1 or more ({BATCH_TOKENS} is the default)")
        if not 0.0 <= abstain_below <= 1.0:
            raise ConfigError(f"abstain_below is {abstain_below}; it is a probability and must be in 0..1")
        self.engine = engine
        self.batch_tokens = batch_tokens
        self.abstain_below = abstain_below
        self._open_bulk, self._bulk = bulk, engine
        self._opening = threading.Lock()
        self.turn: AbstractContextManager[object] = nullcontext() if engine.concurrent else threading.Lock()
        self._workers = engine.workers if engine.concurrent else 1
        self._pool: ThreadPoolExecutor | None = None
        self._index = {name: at for at, name in enumerate(engine.domains)}
        # what the prompt and the special tokens alone come to: a text that adds nothing to it is empty
        self.bare = len(engine.encode([""])[0].ids)
        in_child(self)

    def after_fork(self) -> None:
        """A child's own locks and threads."""
        self._opening, self._pool = threading.Lock(), None
        if not isinstance(self.turn, nullcontext):
            self.turn = threading.Lock()

    def predict(self, texts: Iterable[str], domain: Domain = None) -> list[Prediction]:
        """Answer every text, in the order given.

        Args:
            texts: Raw texts; none gives an empty list.
            domain: Expert to use: one name for all, a name (or None) for each text, or None to leave it to the router.

        Raises:
            DataError: For a text that is empty or no text, naming its position; for an unknown domain.
        """
        return [_or_raise(answer) for answer in self.attempt(texts, domain)]

    def attempt(
        self, texts: Iterable[str], domain: Domain = None, *, bulk: bool | None = None, repeats: Repeats | None = None
    ) -> list[Prediction | DataError]:
        """Like `predict`, with the error standing in the place of a text that cannot be answered.

        Args:
            texts: As for `predict`.
            domain: As for `predict`.
            bulk: Whether the texts are part of many, so that the bulk engine answers however few they are, or of few,
                so that it does not; None goes by how many they are.
            repeats: What the calls for these many have met so far, all of them with one engine.
        """
        texts = _listed(texts)
        engine = self.engine_for(len(texts), many=bulk)
        repeats = Repeats() if repeats is None else repeats
        answers: list[Prediction | DataError] = []
        for start, experts in self._windows(texts, domain):
            part = texts[start : start + WINDOW]
            answers += self.predictions(part, self._score(engine, part, experts, start, repeats))
        return answers

    def predict_proba(self, texts: Iterable[str], domain: Domain = None) -> NDArray[np.float32]:
        """Probabilities (n, 3) float32 in the order bearish, neutral, bullish; arguments and errors as `predict`."""
        texts = _listed(texts)
        engine, repeats = self.engine_for(len(texts)), Repeats()
        parts = [np.zeros((0, len(ENGLISH)), dtype=np.float32)]
        for start, experts in self._windows(texts, domain):
            answers = self._score(engine, texts[start : start + WINDOW], experts, start, repeats)
            for error in answers.refused.values():
                raise error
            parts.append(answers.probs)
        return np.concatenate(parts)

    def predict_held(self, texts: list[str], gates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, 3) with the gate (n, E) held, whatever the router says; for an engine that is `soft`."""
        probs = np.zeros((len(texts), len(ENGLISH)), dtype=np.float32)
        encoded = self.engine.encode(texts)
        for batch in by_length([len(e.ids) for e in encoded], self.batch_tokens):
            ids, mask = pad([encoded[at].ids for at in batch], self.engine.pad_id, self.engine.max_length)
            with self.turn:
                found = self.engine.run_held(ids, mask, gates[batch]).probs
            probs[batch] = add_tables(self.engine, found, [texts[at] for at in batch], gates[batch])
        return probs

    def stream(self, texts: Iterable[str], domain: str | None = None, window: int = WINDOW) -> Iterator[Prediction]:
        """Answer an endless iterable, in order, holding at most `window` texts at a time.

        Raises:
            DataError: As `predict`, when the offending text is reached; positions count from the stream's start.
        """
        if window < 1:
            raise ConfigError(f"window is {window}; it must be 1 or more")
        expert = self.expert(domain)  # here, not in the generator: a wrong name must fail at the call
        return self._stream(iter(texts), expert, window)

    def engine_for(self, count: int, *, many: bool | None = None) -> Engine:
        """The engine that answers a call with this many texts; `many`, if given, says whether they are part of many."""
        if self._open_bulk is None or not (count >= BULK if many is None else many):
            return self.engine
        with self._opening:
            if self._bulk is self.engine:
                self._bulk = self._open_bulk()
            return self._bulk

    def _stream(self, texts: Iterator[str], expert: int, window: int) -> Iterator[Prediction]:
        start, part = 0, list(islice(texts, window))
        # a stream that ends within the first window is a call of so many texts
        engine, repeats = self.engine_for(len(part), many=len(part) == window or None), Repeats()
        while part:
            experts = np.full(len(part), expert, dtype=np.int64)
            for answer in self.predictions(part, self._score(engine, part, experts, start, repeats)):
                yield _or_raise(answer)
            start += len(part)
            part = list(islice(texts, window))

    def _windows(self, texts: list[str], domain: Domain) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Start of each window and its experts; windows bound what is held as token ids."""
        if domain is None or isinstance(domain, str):
            experts = np.full(len(texts), self.expert(domain), dtype=np.int64)
        else:
            if len(domain) != len(texts):
                raise DataError(f"{len(domain)} domains for {len(texts)} texts; give one for each, or one name for all")
            experts = np.array([self.expert(name) for name in domain], dtype=np.int64)
        for start in range(0, len(texts), WINDOW):
            yield start, experts[start : start + WINDOW]

    def expert(self, domain: str | None) -> int:
        """The place of a domain's expert in the gate; `BY_ROUTER` for None.

        Raises:
            DataError: For an unknown domain.
        """
        if domain is None:
            return BY_ROUTER
        if domain not in self._index:
            known = list(self._index)
            raise DataError(
                f"domain {domain!r} is not in this mixture; it knows {', '.join(known)}{closest(str(domain), known)}; "
                "leave the domain out to let the router choose"
            )
        return self._index[domain]

    def _score(
        self, engine: Engine, texts: list[str], experts: NDArray[np.int64], start: int, repeats: Repeats
    ) -> Numbers:
        """The numbers for a window of texts, of which those met before are not worked out again."""
        began = time.perf_counter()
        said = [text if isinstance(text, str) else "" for text in texts]

        def work(fresh: NDArray[np.int64]) -> Rows:
            return self._work(engine, [said[at] for at in fresh], experts[fresh])

        rows = repeats.rows(said, experts, row_type(len(self._index)), work)
        refused = {at: refusal(texts[at], start + at) for at in np.flatnonzero(rows["refused"]).tolist()}
        return Numbers.of(rows, refused, time.perf_counter() - began)

    def _work(self, engine: Engine, texts: list[str], experts: NDArray[np.int64]) -> Rows:
        """The rows of some texts, one each, worked out batch by batch."""
        encoded = engine.encode(texts)
        lengths = [len(e.ids) for e in encoded]
        rows = np.zeros(len(texts), dtype=row_type(len(self._index)))
        rows["truncated"] = [e.truncated for e in encoded]
        rows["refused"] = [length <= self.bare for length in lengths]
        rows["novelty"] = np.nan
        kept = np.flatnonzero(~rows["refused"])
        prior = Prior(engine, texts)

        def batch_of(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            return pad([encoded[at].ids for at in chosen], engine.pad_id, engine.max_length)

        def route(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            return chosen, engine.route(*batch_of(chosen), *prior(chosen))

        def answer(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], Scores]:
            forced = used[chosen]
            with self.turn:
                given = forced if (forced >= 0).any() else None
                scores = engine.run(*batch_of(chosen), given, *prior(chosen))
            return chosen, with_tables(engine, scores, [texts[at] for at in chosen], forced)

        def batches(which: NDArray[np.int64]) -> list[NDArray[np.int64]]:
            sizes = [lengths[at] for at in which]
            return [which[batch] for batch in by_length(sizes, self.batch_tokens)][::-1]  # the longest work first

        across = self._threads().map if self._workers > 1 else map
        used, groups = experts.copy(), [kept]
        if engine.routes_early and len(kept) >= BULK:
            for chosen, found in across(route, batches(kept[experts[kept] < 0])):
                used[chosen] = found
            groups = [kept[used[kept] == expert] for expert in np.unique(used[kept])]
        work = [batch for group in groups for batch in batches(group)]
        for chosen, scores in across(answer, work) if len(work) > 1 else map(answer, work):
            rows["probs"][chosen], rows["gate"][chosen] = scores.probs, scores.gate
            if scores.novelty is not None:
                rows["novelty"][chosen] = scores.novelty
        rows["expert"] = np.where(used >= 0, used, rows["gate"].argmax(axis=1))
        return rows

    def _threads(self) -> ThreadPoolExecutor:
        """The pool that works on batches."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="finsa")
        return self._pool

    def predictions(self, texts: list[str], answers: Numbers) -> list[Prediction | DataError]:
        """The numbers for some texts as answers, with the error in the place of a refused one."""
        share = answers.seconds / max(1, len(texts))
        domains = self.engine.domains
        top = answers.probs.argmax(axis=1)
        # whole arrays to Python floats at once: one conversion a number would cost more than the network's call
        novelty = [None] * len(texts) if answers.novelty is None else answers.novelty.tolist()
        rows = zip(texts, answers.probs.tolist(), answers.gate.tolist(), top.tolist(), answers.experts.tolist(),
                   novelty, answers.truncated, strict=True)  # fmt: skip
        return [
            answers.refused.get(at)
            or Prediction(
                text=text,
                sentiment=NAMES[best],
                confidence=probs[best],
                scores=dict(zip(ENGLISH, probs, strict=True)),
                expert=domains[expert],
                expert_weights=dict(zip(domains, gate, strict=True)),
                novelty=strange,
                truncated=cut,
                uncertain=probs[best] < self.abstain_below,
                seconds=share,
            )
            for at, (text, probs, gate, best, expert, strange, cut) in enumerate(rows)
        ]


def _listed(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):  # a string is an iterable of characters: never what was meant
        return [texts]
    return texts if isinstance(texts, list) else list(texts)


def _or_raise(answer: Prediction | DataError) -> Prediction:
    if isinstance(answer, DataError):
        raise answer
    return answer
