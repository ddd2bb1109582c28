"""Requests on one side, engine threads on the other: what waits is gathered, worked on off the event loop, handed back.

The queue is bounded by the time it would take: a request that could not be answered in time is refused at once. A
request is answered by one model, the one served when it came. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from finsa_moe.errors import DataError
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.service.gather import Item, Lane
from finsa_moe.service.jobs import Jobs
from finsa_moe.service.meters import Meters
from finsa_moe.service.served import Served

LIGHT, BULK = 768, 1536
"""Most tokens of a batch: of requests of few texts, where others wait behind it, and of requests of many."""
MANY = 32
"""Texts of a request from which on the bulk engine answers it, where there is one."""
HERE = 1000
"""Characters of a request up to which its texts are encoded on the event loop: about half a millisecond."""
FIRST_RATE = 12_000.0  # tokens a second and thread, until it is measured: half of what a slow core gave here
Answer = Prediction | DataError
T = TypeVar("T")


class Full(Exception):  # noqa: N818 - not a fault of the program
    """More is waiting than can be answered in time; `seconds` says when there may be room."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"about {seconds:.1f} s of work are waiting")
        self.seconds = seconds


def _yield_to_the_loop() -> None:
    """Let the event loop, which works for microseconds, go before this thread, which works for milliseconds."""
    with suppress(AttributeError, OSError):  # threads have a priority of their own on Linux alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


@dataclass(eq=False)
class Ticket:
    """One request's texts and, one after another, their answers."""

    answers: list[Answer | None]
    left: int
    done: asyncio.Future[None]

    def all(self) -> list[Answer]:
        """The answers, once none is left."""
        return [answer for answer in self.answers if answer is not None]


class Dispatcher:
    """Works for one event loop, on `threads` threads.

    Args:
        threads: Batches worked on at once.
        deadline: Seconds of work that may wait, doubled; see `submit`.
        meters: Where work is counted.
    """

    def __init__(self, threads: int, deadline: float, meters: Meters) -> None:
        self.threads, self.deadline, self.meters = threads, deadline, meters
        self.idle = threads
        self.rate: float = FIRST_RATE
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="finsa-batch", initializer=_yield_to_the_loop)
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[tuple[Served, bool, int, bool], Lane] = {}
        self._first: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._opening = {False: 0, True: 0}  # tokens of bounded requests, of few texts and of many
        self._jobs = Jobs(threads)
        self._turns: deque[Any] = deque()
        self._pumping = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return sum(lane.texts for lane in self._lanes.values())

    def wait(self, many: bool = False) -> float:
        """Seconds that a bounded request, of many texts or of few, has to wait, as far as the last minutes tell.

        What waits in lanes of files, and for a request of few texts in those of many, counts by the batches that have
        their turn meanwhile: one large request must not close the door to all small ones.
        """
        before = self._opening[False] + (self._opening[True] if many else 0)
        others = []
        for (_, of_many, _, bounded), lane in self._lanes.items():
            if bounded and (many or not of_many):
                before += lane.tokens
            else:
                others.append(lane.tokens)
        turns = (1 + before // LIGHT) * BULK
        seconds: float = (before + sum(min(tokens, turns) for tokens in others)) / (self.rate * self.threads)
        return seconds

    def own(self, texts: Sequence[str], served: Served) -> float:
        """Seconds that these texts would take if nothing else were waiting, at a third of the usual pace."""
        seconds: float = 3 * sum(min(len(text), served.max_length) for text in texts) / (self.rate * self.threads)
        return seconds

    async def submit(
        self, served: Served, texts: Sequence[str], domain: str | None, *, bounded: bool = True,
        many: bool | None = None,
    ) -> list[Answer]:  # fmt: skip
        """Answer texts, in order.

        Cancelling the caller withdraws what has not been begun.

        Args:
            served: The model that answers.
            texts: One or more.
            domain: Expert to use; None leaves it to the router.
            bounded: Whether the request may be refused; a file's rows come one portion after another, and wait in lanes
                of their own.
            many: Whether the bulk engine answers; None tells by the number of texts.

        Raises:
            Full: If half the deadline's work is waiting already.
        """
        many = len(texts) >= MANY if many is None else many
        if bounded and (wait := self.wait(many)) > self.deadline / 2:
            raise Full(wait)
        ticket = Ticket([None] * len(texts), len(texts), self._loop.create_future())
        guess = sum(min(len(text), served.max_length) + 2 for text in texts) if bounded else 0
        self._opening[many] += guess
        try:
            opened = await self._open(served, texts, domain, many)
        finally:
            self._opening[many] -= guess
        items = []
        for at, each in enumerate(opened):
            if isinstance(each, DataError):
                ticket.answers[at], ticket.left = each, ticket.left - 1
                continue
            item = Item(each, len(each.ids), ticket, at)
            lane = self._lane(served, many, each.expert if many else 0, bounded)
            lane.add(item)
            items.append((lane, item))
        if not items:
            return ticket.all()
        self._wake()
        try:
            await ticket.done
        finally:
            if ticket.left:
                for lane, item in items:
                    lane.drop(item)
        return ticket.all()

    async def _open(self, served: Served, texts: Sequence[str], domain: str | None, many: bool) -> list[Any]:
        """Ids of texts: a few at once, here, as going to a thread and back takes longer; many on an engine thread."""
        if not many and sum(map(len, texts)) <= HERE:
            return served.open(texts, domain, many)
        done: asyncio.Future[list[Any]] = self._loop.create_future()
        self._first.append((partial(served.open, texts, domain, many), done))
        self._wake()
        return await done

    def _lane(self, served: Served, many: bool, expert: int, bounded: bool) -> Lane:
        key = (served, many, expert, bounded)
        if key not in self._lanes:
            self._lanes[key] = Lane(BULK if many else LIGHT, even=many)
            self._turns.append(key)
        return self._lanes[key]

    async def job(self, work: Callable[[], T], *, bounded: bool = True, then: int = 0) -> T:
        """Run something long on an engine thread.

        Args:
            work: What is run.
            bounded: Whether it may be refused; of a request that does one after another, the first alone.
            then: How many more that request will do after this one.

        Raises:
            Full: If as many of the kind as may be are waiting.
        """
        if bounded and self._jobs.full:
            raise Full(self._jobs.wait())
        done: asyncio.Future[T] = self._loop.create_future()

        def start() -> None:
            began = time.perf_counter()
            self._run(work, done, lambda: self._jobs.ended(time.perf_counter() - began))

        self._jobs.add(start, done, then)
        if None not in self._turns:
            self._turns.append(None)
        self._wake()
        return await done

    def close(self) -> None:
        """Wait for the threads; what is still waiting is not begun."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _wake(self) -> None:
        """Look for work once this turn of the event loop is over, so that requests read together go together."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self.idle and not self._closed and self._next():
            pass
        self.meters.waiting(self.waiting)

    def _next(self) -> bool:
        """Begin one piece of work, kinds taking turns; False when there is none."""
        if self._first:
            work, done = self._first.popleft()
            if not done.cancelled():
                self._run(work, done)
            return True
        for _ in range(len(self._turns)):
            if not self._turns:
                break
            key = self._turns[0]
            self._turns.rotate(-1)
            if key is None:
                if self._jobs.begin():
                    return True
                continue
            lane = self._lanes[key]
            batch = lane.take(1 / self.threads)  # a busy thread will be free before one long batch is
            if batch:
                self._begin(key[0], key[1], batch)
                return True
            if not key[0].current:
                del self._lanes[key]
                self._turns.remove(key)
        return False

    def _begin(self, served: Served, many: bool, batch: list[Item]) -> None:
        self.idle -= 1
        began = time.perf_counter()
        running = self._loop.run_in_executor(self._pool, served.answer, [item.content for item in batch], many)
        running.add_done_callback(lambda found: self._finish(found, batch, began))

    def _finish(self, found: asyncio.Future[list[Prediction]], batch: list[Item], began: float) -> None:
        self.idle += 1
        seconds = time.perf_counter() - began
        tokens = sum(item.length for item in batch)
        # a moving average over about the last second's work, whatever the size of its batches
        weight = min(0.5, seconds)
        self.rate += weight * (tokens / max(seconds, 1e-6) - self.rate)
        self._wake()
        if found.cancelled():
            return
        error = found.exception()
        self.meters.batch(len(batch), tokens, seconds)
        for item, answer in zip(batch, [None] * len(batch) if error else found.result(), strict=True):
            ticket: Ticket = item.owner
            if ticket.done.done():
                continue
            if error is not None:
                ticket.done.set_exception(error)
                continue
            ticket.answers[item.at] = answer
            ticket.left -= 1
            if not ticket.left:
                ticket.done.set_result(None)

    def _run(self, work: Callable[[], Any], done: asyncio.Future[Any], ended: Callable[[], None] | None = None) -> None:
        """Have a thread do something, and hand on what became of it."""
        self.idle -= 1

        def finish(found: asyncio.Future[Any]) -> None:
            self.idle += 1
            self._wake()
            if ended is not None:
                ended()
            if done.done():
                return
            if found.cancelled():
                done.cancel()
            elif (error := found.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(found.result())

        self._loop.run_in_executor(self._pool, work).add_done_callback(finish)
