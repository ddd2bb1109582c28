"""Many requests to one endpoint: some at once, tried again when a failure may pass, never asked twice, and counted.

Lists of messages go in, answers come out in any order. Answers are kept in a file of JSON lines as they come, so that a
run that was killed goes on without asking again. It knows nothing of what is asked.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError
from finsa_moe.llm.endpoint import Answer, Endpoint, EndpointError, Message, PassingError, RefusedError

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
    """

    at_once: int = 4
    tries: int = 5
    pause: float = 1.0
    longest_pause: float = 30.0
    per_minute: float = 0.0
    temperature: float = 0.7
    longest: int = 1024

    def __post_init__(self) -> None:
        for name, least in (("at_once", 1), ("tries", 1), ("longest", 1)):
            if getattr(self, name) < least:
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
    """

    asked: int = 0
    remembered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def cost(self, per_million_in: float, per_million_out: float) -> float:
        """Money, at prices for a million tokens of prompt and of answer."""
        return (self.prompt_tokens * per_million_in + self.answer_tokens * per_million_out) / 1e6


class Client:
    """Asks an endpoint.

    Args:
        endpoint: Where.
        manners: How.
        kept: File of answers, made when it is not there; None keeps none.
        sleep: What waits; a test's clock takes its place.
    """

    def __init__(
        self, endpoint: Endpoint, manners: Manners | None = None, kept: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.endpoint, self.manners, self.bill = endpoint, manners or Manners(), Bill()
        self._sleep, self._lock, self._next = sleep, threading.Lock(), 0.0
        self._kept = kept
        self._answers = _load(kept) if kept is not None else {}

    def ask_all(
        self, asked: Iterator[Sequence[Message]] | Sequence[Sequence[Message]], *, one_by_one: bool = True
    ) -> Iterator[tuple[int, Answer | EndpointError]]:
        """Ask all, a few at a time: the number of each request and its answer, or why it was given up, as they come.

        Args:
            asked: Messages of each request.
            one_by_one: Whether equal requests are told apart by their numbers; if not, one answer is theirs wherever
                they stand.

        Raises:
            EndpointError: If the endpoint refuses for good: every other request would meet the same.
        """
        numbered, bill = enumerate(asked), self.bill
        with ThreadPoolExecutor(self.manners.at_once) as pool:
            waiting: dict[Future[Answer], int] = {}
            try:
                while True:
                    for at, messages in islice(numbered, 2 * self.manners.at_once - len(waiting)):
                        waiting[pool.submit(self.ask, messages, at if one_by_one else 0)] = at
                    if not waiting:
                        return
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        at = waiting.pop(future)
                        try:
                            yield at, future.result()
                        except (PassingError, RefusedError) as error:
                            bill.failed += 1
                            none = not bill.asked + bill.remembered
                            if isinstance(error, RefusedError) and none and bill.failed >= _ENOUGH:
                                raise
                            yield at, error
            finally:
                for future in waiting:
                    future.cancel()

    def ask(self, messages: Sequence[Message], draw: int = 0) -> Answer:
        """Ask once, trying again as manners allow.

        Args:
            messages: What is said.
            draw: Tells equal requests apart, whose answers may differ.

        Raises:
            PassingError: If every try failed.
            EndpointError: If the endpoint refuses for good.
        """
        manners = self.manners
        body = self.endpoint.request(messages, manners.temperature, manners.longest)
        name = sha256(json.dumps([self.endpoint.url, body, draw], ensure_ascii=False).encode()).hexdigest()
        with self._lock:
            if name in self._answers:
                self.bill.remembered += 1
                return self._answers[name]
        chance = random.Random(name)
        for tried in range(1, manners.tries + 1):
            self._wait_for_turn()
            try:
                answer = self.endpoint.ask(body)
                break
            except PassingError as error:
                if tried == manners.tries:
                    raise PassingError(f"{error} (given up after {tried} tries)") from None
                pause = min(manners.longest_pause, manners.pause * 2 ** (tried - 1)) * chance.uniform(0.5, 1.0)
                self._sleep(max(error.wait, pause))
        with self._lock:
            self._answers[name] = answer
            self.bill.asked += 1
            self.bill.prompt_tokens += answer.prompt_tokens
            self.bill.answer_tokens += answer.answer_tokens
            if self._kept is not None:
                with self._kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"request": name, **asdict(answer)}, ensure_ascii=False) + "\n")
        return answer

    def _wait_for_turn(self) -> None:
        if not self.manners.per_minute:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + 60.0 / self.manners.per_minute
        self._sleep(start - now)


def _load(path: Path) -> dict[str, Answer]:
    """The answers in a file; a last line that was cut off is put right."""
    found: dict[str, Answer] = {}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return found
    whole = 0
    with path.open("rb") as file:
        for line in file:
            try:
                entry: dict[str, Any] = json.loads(line)
                answer = Answer(str(entry["text"]), int(entry["prompt_tokens"]), int(entry["answer_tokens"]))
                found[str(entry["request"])] = answer
            except (ValueError, KeyError, TypeError):
                if line.endswith(b"\n"):
                    raise ConfigError(f"{path}: not a file of answers; name another") from None
                break  # killed while it was written
            whole += len(line)
    with path.open("rb+") as file:
        file.truncate(whole)
    return found
