"""Many requests to one endpoint: some at once, tried again when a failure may pass, never asked twice, and counted.

Lists of messages go in, answers come out in any order. Answers are kept in a file of JSON lines as they come, so that a
run that was killed goes on without asking again. It knows nothing of what is asked.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from finsa_moe.errors import ConfigError, EndpointError
from finsa_moe.llm.answers import AnswerFile
from finsa_moe.llm.endpoint import Answer, Endpoint, Message, PassingError, RefusedError

_ENOUGH = 8
"""Refusals without a single answer after which it is the request's form that is refused, not its content."""


@dataclass(frozen=True)
class Manners:
    """How an endpoint is treated.

    Attributes:
        at_once: Requests under way at a time.
        tries: Times a request is sent before it is given up.
        pause: Seconds before the second try; doubled each time, and shortened by chance so that not all come at once.
        longest_pause: Most seconds between two tries, unless the endpoint asks for more.
        per_minute: Most requests started in a minute; 0 for no limit.
        temperature: 0 for the likeliest words.
        longest: Most tokens of an answer.
        most_patience: Most seconds an endpoint may ask to wait; more, as for a day's quota, ends the run.
        given_up: Requests given up one after another that end the run: nobody is there.
    """

    at_once: int = 4
    tries: int = 5
    pause: float = 1.0
    longest_pause: float = 30.0
    per_minute: float = 0.0
    temperature: float = 0.7
    longest: int = 1024
    most_patience: float = 600.0
    given_up: int = 8

    def __post_init__(self) -> None:
        for name, least in (
            ("at_once", 1), ("tries", 1), ("longest", 1), ("given_up", 1), ("per_minute", 0), ("temperature", 0)
        ):  # fmt: skip
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} {getattr(self, name)}: allowed are numbers from {least}")


@dataclass
class Bill:
    """What was used.

    Attributes:
        asked: Requests answered by the endpoint now.
        remembered: Requests answered from the file.
        failed: Requests given up.
        prompt_tokens: Tokens of the prompts of those asked now.
        answer_tokens: Tokens of their answers.
        prompt_tokens_before: Tokens of the prompts of those remembered, paid in an earlier run.
        answer_tokens_before: Tokens of their answers.
        untold: Answers, now or before, whose tokens the endpoint did not tell; they are in no cost.
    """

    asked: int = 0
    remembered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    prompt_tokens_before: int = 0
    answer_tokens_before: int = 0
    untold: int = 0

    def cost(self, per_million_in: float, per_million_out: float, *, before: bool = False) -> float:
        """Money, at prices for a million tokens of prompt and of answer; of the earlier runs' when `before`."""
        asked = self.prompt_tokens_before if before else self.prompt_tokens
        answered = self.answer_tokens_before if before else self.answer_tokens
        return (asked * per_million_in + answered * per_million_out) / 1e6

    def add(self, answer: Answer, *, before: bool) -> None:
        """Count an answer."""
        self.untold += not (answer.prompt_tokens + answer.answer_tokens)
        if before:
            self.remembered += 1
            self.prompt_tokens_before += answer.prompt_tokens
            self.answer_tokens_before += answer.answer_tokens
        else:
            self.asked += 1
            self.prompt_tokens += answer.prompt_tokens
            self.answer_tokens += answer.answer_tokens


class Client:
    """Asks an endpoint.

    Args:
        endpoint: Where.
        manners: How.
        kept: File of answers, made when it is not there; None keeps none.
        sleep: What waits; a test's clock takes its place. Left out, a wait ends when the asking is broken off.
    """

    def __init__(
        self, endpoint: Endpoint, manners: Manners | None = None, kept: Path | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self.endpoint, self.manners, self.bill = endpoint, manners or Manners(), Bill()
        self._stopped = threading.Event()
        self._sleep, self._lock, self._next = sleep or self._stopped.wait, threading.Lock(), 0.0
        self._answers = AnswerFile(kept)
        self._billed: set[str] = set()

    def ask_all(
        self, asked: Iterator[Sequence[Message]] | Sequence[Sequence[Message]], *, one_by_one: bool = True
    ) -> Iterator[tuple[int, Answer | EndpointError]]:
        """Ask all, a few at a time: the number of each request and its answer, or why it was given up, as they come.

        Args:
            asked: Messages of each request.
            one_by_one: Whether equal requests have answers of their own, by how many of them came before, so that
                other requests may come or go between two runs; if not, one answer is theirs wherever they stand.

        Raises:
            EndpointError: If the endpoint refuses for good, asks for more patience than there is, or fails one
                request after another: every other would meet the same.
        """
        numbered, bill = enumerate(asked), self.bill
        met: Counter[bytes] = Counter()
        in_a_row = 0
        self._stopped.clear()
        with ThreadPoolExecutor(self.manners.at_once) as pool:
            waiting: dict[Future[Answer], int] = {}
            try:
                while True:
                    for at, messages in islice(numbered, 2 * self.manners.at_once - len(waiting)):
                        same = sha256(json.dumps([dict(message) for message in messages]).encode()).digest()
                        waiting[pool.submit(self.ask, messages, met[same])] = at
                        met[same] += one_by_one
                    if not waiting:
                        return
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in sorted(done, key=waiting.__getitem__):  # failures in a row are as they were asked
                        at = waiting.pop(future)
                        try:
                            answer = future.result()
                        except (PassingError, RefusedError) as error:
                            bill.failed += 1
                            none = not bill.asked + bill.remembered
                            if isinstance(error, RefusedError) and none and bill.failed >= _ENOUGH:
                                raise
                            in_a_row += isinstance(error, PassingError)
                            if in_a_row >= self.manners.given_up:
                                raise EndpointError(f"{error}; so ended {in_a_row} requests in a row") from None
                            yield at, error
                        else:
                            in_a_row = 0
                            yield at, answer
            finally:
                self._stopped.set()
                for future in waiting:
                    future.cancel()

    def ask(self, messages: Sequence[Message], draw: int = 0) -> Answer:
        """Ask once, trying again as manners allow.

        Args:
            messages: What is said.
            draw: Tells equal requests apart, whose answers may differ.

        Raises:
            PassingError: If every try failed.
            EndpointError: If the endpoint refuses for good, or asks for more patience than there is.
        """
        manners = self.manners
        body = self.endpoint.request(messages, manners.temperature, manners.longest)
        name = sha256(json.dumps([self.endpoint.url, body, draw]).encode()).hexdigest()
        with self._lock:
            known = self._answers.get(name)
            if known is not None:
                if name in self._billed:
                    self.bill.remembered += 1  # its tokens are in the bill
                else:
                    self.bill.add(known, before=True)
                    self._billed.add(name)
                return known
        chance = random.Random(name)
        for tried in range(1, manners.tries + 1):
            self._wait_for_turn()
            if self._stopped.is_set():
                raise EndpointError("the asking was broken off")
            try:
                answer = self.endpoint.ask(body)
                break
            except PassingError as error:
                if error.wait > manners.most_patience:
                    raise EndpointError(f"{error}; it asks to wait {error.wait:,.0f} s: go on later") from None
                if tried == manners.tries or self._stopped.is_set():
                    raise PassingError(f"{error} (given up after {tried} tries)") from None
                pause = min(manners.longest_pause, manners.pause * 2 ** (tried - 1)) * chance.uniform(0.5, 1.0)
                self._sleep(max(error.wait, pause))
        with self._lock:
            self._answers.keep(name, answer)
            self.bill.add(answer, before=False)
            self._billed.add(name)
        return answer

    def _wait_for_turn(self) -> None:
        if not self.manners.per_minute:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + 60.0 / self.manners.per_minute
        self._sleep(start - now)
