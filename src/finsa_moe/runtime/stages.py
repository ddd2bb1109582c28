"""A predictor's work in two steps, for callers that make batches of their own out of many requests.

`open_texts` gives every text its ids and, where that costs next to nothing, its expert; `answer` puts some of them
through the engine as one batch, on the calling thread. What the predictor would answer, this answers; which engine does
is the caller's choice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import DataError
from finsa_moe.runtime.answers import Numbers, refusal
from finsa_moe.runtime.batches import by_length, pad
from finsa_moe.runtime.engine import BY_ROUTER
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.tables import Prior, with_tables


@dataclass(slots=True)
class Opened:
    """A text ready for the engine: its ids, whether its middle was cut, and its expert, if known (else `BY_ROUTER`).

    `prior` is what its router is told beside the ids, (E,), empty where it is told nothing.
    """

    text: str
    ids: list[int]
    truncated: bool
    expert: int
    prior: tuple[NDArray[np.float32], ...] = ()


def open_texts(
    predictor: Predictor, texts: Sequence[str], domain: str | None, *, bulk: bool = False
) -> list[Opened | DataError]:
    """Encode texts, and route them where the engine can do so early.

    Args:
        predictor: What will answer.
        texts: Raw texts.
        domain: Expert to use for all; None leaves it to the router.
        bulk: Whether the bulk engine will answer; only then are texts routed here.

    Raises:
        DataError: For an unknown domain.
    """
    engine = predictor.engine_for(len(texts), many=bulk)
    expert = predictor.expert(domain)
    priors = [tuple(row) for row in zip(*Prior(engine, texts)(np.arange(len(texts))), strict=True)] or [()] * len(texts)
    found: list[Opened | DataError] = [
        Opened(text, encoded.ids, encoded.truncated, expert, prior)
        if len(encoded.ids) > predictor.bare
        else refusal(text, at)
        for at, (text, encoded, prior) in enumerate(zip(texts, engine.encode(texts), priors, strict=True))
    ]
    if bulk and expert == BY_ROUTER and engine.routes_early:
        some = [each for each in found if isinstance(each, Opened)]
        for batch in by_length([len(each.ids) for each in some], predictor.batch_tokens):
            ids, prior = [some[at].ids for at in batch], _stacked([some[at] for at in batch])
            chosen = engine.route(*pad(ids, engine.pad_id, engine.max_length), *prior)
            for at, own in zip(batch, chosen.tolist(), strict=True):
                some[at].expert = own
    return found


def answer(predictor: Predictor, opened: Sequence[Opened], *, bulk: bool = False) -> list[Prediction]:
    """Answer one batch, made of texts of like length by the caller; one or more."""
    began = time.perf_counter()
    engine = predictor.engine_for(len(opened), many=bulk)
    experts = np.array([each.expert for each in opened], dtype=np.int64)
    ids, mask = pad([each.ids for each in opened], engine.pad_id, engine.max_length)
    with predictor.turn:
        scores = engine.run(ids, mask, experts if (experts >= 0).any() else None, *_stacked(opened))
    scores = with_tables(engine, scores, [each.text for each in opened], experts)
    used = np.where(experts >= 0, experts, scores.gate.argmax(axis=1))
    found = Numbers(
        scores.probs, scores.gate, scores.novelty, used, [each.truncated for each in opened], {},
        time.perf_counter() - began,
    )  # fmt: skip
    return predictor.predictions([each.text for each in opened], found)  # type: ignore[return-value]


def _stacked(opened: Sequence[Opened]) -> tuple[NDArray[np.float32], ...]:
    """The priors of a batch, as the further argument of an engine's `run` and `route`."""
    return tuple(np.stack(rows) for rows in zip(*(each.prior for each in opened), strict=True))
