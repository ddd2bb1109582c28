"""What is measured while serving, for Prometheus: requests, latency, batches, the queue, and the mix of answers.

Counts go in, the text format comes out. With several workers the counts lie in a folder that all of them share
(``PROMETHEUS_MULTIPROC_DIR``), and any worker tells the sums. No label is ever taken from what a client sent.
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from finsa_moe.errors import DataError
from finsa_moe.polarity import ENGLISH
from finsa_moe.runtime.prediction import Prediction

TOGETHER = "PROMETHEUS_MULTIPROC_DIR"
OTHER = "other"
"""The route of what no route answers."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Meters:
    """The counters of one worker."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series of each, which nobody asks for
        self.registry = CollectorRegistry()
        at: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("finsa_requests", "Requests answered.", ("route", "status"), **at)
        self._seconds = Histogram(
            "finsa_request_seconds",
            "From the request's head to the end of its answer, refusals left out.",
            ("route",),
            buckets=SECONDS,
            **at,
        )
        self._refused = Counter("finsa_refused", "Requests refused, by the problem's kind.", ("kind",), **at)
        self._in_flight = Gauge("finsa_in_flight", "Requests being answered.", multiprocess_mode="livesum", **at)
        self._waiting = Gauge("finsa_queue_texts", "Texts waiting.", multiprocess_mode="livesum", **at)
        self._batches = Histogram("finsa_batch_texts", "Texts of a batch.", buckets=SIZES, **at)
        self._work = Histogram("finsa_batch_seconds", "Time of a batch in the engine.", buckets=SECONDS, **at)
        self._tokens = Counter("finsa_tokens", "Tokens answered.", **at)
        self._experts = Counter("finsa_expert_texts", "Texts by the expert that answered.", ("expert",), **at)
        self._mix = Counter("finsa_sentiment_texts", "Texts by polarity.", ("sentiment",), **at)
        self._uncertain = Counter("finsa_uncertain_texts", "Answers under the confidence asked for.", **at)
        self._strange = Counter("finsa_strange_texts", "Texts unlike those that the model learnt from.", **at)
        self._truncated = Counter("finsa_truncated_texts", "Texts whose middle was cut.", **at)
        self._empty = Counter("finsa_empty_texts", "Texts without content.", **at)
        self._reloads = Counter("finsa_reloads", "Changes of the model.", ("outcome",), **at)
        self._model = Gauge(
            "finsa_model_loaded", "1 for the model in service.", ("model",), multiprocess_mode="livemax", **at
        )
        for sentiment in ENGLISH:
            self._mix.labels(sentiment)
        for outcome in ("done", "refused"):
            self._reloads.labels(outcome)
        self._refused.labels("storage")

    def expect(self, routes: Iterable[str]) -> None:
        """Begin the count of faults of each route at 0: a first one is no increase of a series that begins with it."""
        for route in {OTHER, *routes}:
            self._requests.labels(route, "500")

    def begin(self) -> None:
        """A request has come."""
        self._in_flight.inc()

    def end(self, route: str, status: int, seconds: float, *, explained: bool = False) -> None:
        """A request is over; the time of an answer that explains, which may take many times as long, is kept apart."""
        self._in_flight.dec()
        self._requests.labels(route, str(status)).inc()
        if status < 400:
            self._seconds.labels(f"{route}?explain" if explained else route).observe(seconds)

    def refused(self, kind: str) -> None:
        """A request was answered with a problem."""
        self._refused.labels(kind).inc()

    def waiting(self, texts: int) -> None:
        """The queue's depth now."""
        self._waiting.set(texts)

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        """A batch came back."""
        self._batches.observe(texts)
        self._work.observe(seconds)
        self._tokens.inc(tokens)

    def answers(self, answers: Iterable[Prediction | DataError]) -> None:
        """The mix of what was answered; each counter is touched once, as a request may hold a thousand texts."""
        experts: Tally[str] = Tally()
        mix: Tally[str] = Tally()
        flags: Tally[str] = Tally()
        for answer in answers:
            if isinstance(answer, DataError):
                flags["empty"] += 1
                continue
            experts[answer.expert] += 1
            mix[answer.label] += 1
            flags["uncertain"] += answer.uncertain
            flags["strange"] += answer.strange
            flags["truncated"] += answer.truncated
        for expert, count in experts.items():
            self._experts.labels(expert).inc(count)
        for sentiment, count in mix.items():
            self._mix.labels(sentiment).inc(count)
        for counter, name in (
            (self._uncertain, "uncertain"), (self._strange, "strange"), (self._truncated, "truncated"),
            (self._empty, "empty"),
        ):  # fmt: skip
            if flags[name]:
                counter.inc(flags[name])

    def model(self, name: str, *, before: str | None = None) -> None:
        """Which model is in service."""
        if before is not None and before != name:
            self._model.labels(before).set(0)
        self._model.labels(name).set(1)

    def reloaded(self, *, done: bool) -> None:
        """The model was changed, or was to be."""
        self._reloads.labels("done" if done else "refused").inc()

    def exposition(self) -> bytes:
        """All counts in Prometheus' text format; those of every worker where there are several."""
        if TOGETHER not in os.environ:
            return bytes(generate_latest(self.registry))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))
