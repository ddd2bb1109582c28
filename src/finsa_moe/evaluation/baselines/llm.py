"""Any chat model behind an endpoint as a classifier, asked with or without examples, its answers read strictly.

Examples come from the rows given to `fit`, never from those asked about. An answer has no probabilities: the class it
names gets 1. One that cannot be used counts as 中性 without confidence (0.33, 0.34, 0.33) and is counted by its reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError, EndpointError, ModelError
from finsa_moe.evaluation.baselines.accounts import CUT, REFUSED, STRANGE, UNANSWERED
from finsa_moe.evaluation.baselines.prompts import Prompt, parse_answer, prompt_for
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals, checked, unfitted
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.llm.client import Client, Manners
from finsa_moe.llm.endpoint import FORMS, Answer, Endpoint, RefusedError, read_key
from finsa_moe.polarity import ENGLISH

UNUSABLE = (0.33, 0.34, 0.33)
PLACE = "FINSA_CACHE"
"""The environment variable that names the folder of kept answers; else it is the user's cache folder."""
_OPTIONS = (
    "shots", "family", "api", "cache", "key_file", "max_tokens", "at_once", "rpm", "timeout", "tries", "price_in",
    "price_out", "budget",
)  # fmt: skip
_SHOWN = 60
_IN_A_ROW = 8  # questions without an answer, one after another, after which the endpoint is taken to be gone


class LLMBaseline:
    """A chat model that names the class.

    Args:
        client: Asks, keeps and counts.
        prompt: How it is asked.
        shots: Examples before each question, as even over the classes as can be; 0 needs no training rows.
        prices: Money for a million tokens read, and for a million written.
        budget: Money after which no more is asked, what kept answers cost before counted; 0 for no end.
        progress: Called with questions done and questions in all.
    """

    def __init__(
        self, client: Client, prompt: Prompt, *, shots: int = 0, prices: tuple[float, float] = (0.0, 0.0),
        budget: float = 0.0, progress: Callable[[int, int], None] | None = None,
    ) -> None:  # fmt: skip
        self.client, self.prompt, self.shots, self.progress = client, prompt, shots, progress
        self.prices, self.budget = prices, budget
        self.examples: list[tuple[str, int]] = []
        """Training rows to draw examples from, in the order they are drawn: class ids 0, 1, 2, 0, …"""
        self.unusable: Counter[str] = Counter()
        """Texts of all calls without a usable answer, by reason."""
        self.heard = ""
        """What came of the first of them: the end of the answer, or why there was none."""
        self._texts = 0
        self._fitted = shots == 0

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> LLMBaseline:
        """Draw the examples from the training rows; dev changes nothing.

        Raises:
            DataError: For a label that is no class.
            ConfigError: If there are fewer rows than examples wanted.
        """
        self._fitted = True
        if not self.shots:
            return self
        rows, truth = checked(texts, labels, fewest=1)
        if len(rows) < self.shots:
            raise ConfigError(f"shots={self.shots}: there are {len(rows)} training rows; ask for fewer")
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(rows))
        by_class = [[at for at in order if truth[at] == label] for label in range(len(ENGLISH))]
        spare = self.shots * 2  # some more than needed, should one stand among the texts asked about
        drawn = [own[place] for place in range(spare) for own in by_class if place < len(own)][:spare]
        self.examples = [(rows[at], int(truth[at])) for at in drawn]
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish: 1 for the class named.

        Raises:
            ModelError: If the endpoint cannot be used; the answers it gave are kept.
        """
        if not self._fitted:
            raise unfitted("llm with shots")
        asked = {duplicate_key(text) for text in texts} if self.shots else set()
        clean = [row for row in self.examples if duplicate_key(row[0]) not in asked][: self.shots]
        if len(clean) < self.shots:
            raise ConfigError(
                f"shots={self.shots}: of the {len(self.examples)} examples drawn only {len(clean)} do not stand among "
                "the texts asked about; take the test rows out of the training rows"
            )
        said = self._ask([self.prompt.messages(text, clean) for text in texts])
        probs = np.zeros((len(texts), len(ENGLISH)), dtype=np.float32)
        for row, answer in enumerate(said):
            label = parse_answer(answer.text) if isinstance(answer, Answer) else None
            if label is None:
                self.unusable[_reason(answer)] += 1
                self.heard = self.heard or (_shown(answer.text) if isinstance(answer, Answer) else str(answer))
                probs[row] = UNUSABLE
            else:
                probs[row, label] = 1
        self._texts += len(texts)
        return probs

    def _ask(self, questions: Sequence[list[dict[str, str]]]) -> list[Answer | EndpointError]:
        """What came of each question; equal ones are asked once."""
        places: dict[str, int] = {}
        each = [places.setdefault(repr(messages), len(places)) for messages in questions]
        unique = [questions[first] for first in np.unique(each, return_index=True)[1]]
        found: dict[int, Answer | EndpointError] = {}
        in_a_row = 0
        try:
            for at, answer in self.client.ask_all(unique, one_by_one=False):
                found[at] = answer
                lost = not isinstance(answer, Answer | RefusedError)
                in_a_row = in_a_row + 1 if lost else 0
                if in_a_row >= _IN_A_ROW or (lost and len(found) == len(unique) == in_a_row):
                    raise ModelError(f"{answer}; no answer to {in_a_row} questions in a row")
                if self._spent() and len(found) < len(unique):
                    raise ModelError(f"the budget of {self.budget:g} is spent; raise it to go on")
                if self.progress:
                    self.progress(len(found), len(unique))
        except (EndpointError, ModelError) as error:
            bill = self.client.bill
            raise ModelError(
                f"{self.client.endpoint.model}: {error}; {bill.asked + bill.remembered:,} answers are kept, "
                "the same command goes on from there"
            ) from None
        return [found[at] for at in each]

    def _spent(self) -> bool:
        """Whether the budget is reached, with something asked for in this run: what is kept costs nothing more."""
        bill = self.client.bill
        cost = bill.cost(*self.prices) + bill.cost(*self.prices, before=True)
        return bool(self.budget and bill.asked and cost >= self.budget)

    @property
    def account(self) -> dict[str, object]:
        """Texts, requests, tokens, cost and unusable answers so far, ready for JSON; money in the prices' unit.

        What ends in ``_before`` is of answers kept from earlier runs; `untold` counts answers whose tokens the endpoint
        did not tell.
        """
        bill = self.client.bill
        return {
            "model": self.client.endpoint.model, "family": self.prompt.family, "shots": self.shots,
            "texts": self._texts, "unusable": sum(self.unusable.values()), "unusable_by_reason": dict(self.unusable),
            "asked": bill.asked, "remembered": bill.remembered, "prompt_tokens": bill.prompt_tokens,
            "answer_tokens": bill.answer_tokens, "cost": bill.cost(*self.prices),
            "prompt_tokens_before": bill.prompt_tokens_before, "answer_tokens_before": bill.answer_tokens_before,
            "cost_before": bill.cost(*self.prices, before=True), "untold": bill.untold,
        }  # fmt: skip


def _shown(said: str) -> str:
    """An answer in one short line, in quotes: its end, where the word should stand."""
    plain = " ".join(said.split())
    return repr(plain if len(plain) <= _SHOWN else f"…{plain[-_SHOWN:]}")


def _reason(answer: Answer | EndpointError) -> str:
    if isinstance(answer, Answer):
        return CUT if answer.cut else STRANGE
    return REFUSED if isinstance(answer, RefusedError) else UNANSWERED


def from_spec(spec: Spec) -> LLMBaseline:
    """The model of ``llm:MODEL@ENDPOINT`` with its options.

    Raises:
        ConfigError: For a spec without endpoint, or an option or value that is not allowed.
    """
    spec.only(*_OPTIONS, target=True)
    model, _, url = spec.target.rpartition("@")
    if not model:
        raise ConfigError(f"model {spec.text}: no endpoint; write llm:MODEL@http://127.0.0.1:11434?api=ollama")
    key_file = spec.options.get("key_file")
    prompt, form = prompt_for(model, spec.options.get("family")), spec.word("api", FORMS[0], FORMS)
    manners = Manners(
        at_once=spec.whole("at_once", 4, 1, 64), tries=spec.whole("tries", 5, 1, 20), temperature=0,
        per_minute=spec.number("rpm", 0, 0), longest=spec.whole("max_tokens", prompt.longest, 1),
    )  # fmt: skip
    endpoint = Endpoint(
        url, model, form, read_key(Path(key_file) if key_file else None), spec.number("timeout", 60, 0.1),
        fields(prompt, manners) if form == FORMS[0] else {},
    )  # fmt: skip
    prices, budget = (spec.number("price_in", 0, 0), spec.number("price_out", 0, 0)), spec.number("budget", 0, 0)
    if budget and not any(prices):
        raise ConfigError(f"model {spec.text}: a budget needs price_in or price_out, money for a million tokens")
    kept = Path(spec.options.get("cache") or default_place() / "answers.jsonl")
    return LLMBaseline(
        Client(endpoint, manners, kept), prompt, shots=spec.whole("shots", 0, 0, 100), prices=prices, budget=budget
    )


def fields(prompt: Prompt, manners: Manners) -> dict[str, Any]:
    """The fields of a request that a family takes under another name or not at all."""
    plain = {"temperature": manners.temperature, "max_tokens": manners.longest}
    renamed = {theirs: plain[own] for own, theirs in prompt.request.items() if theirs}
    return {**dict.fromkeys(prompt.request), **renamed}


def default_place() -> Path:
    """Folder of kept answers: what ``FINSA_CACHE`` names, else the user's cache folder."""
    if named := os.environ.get(PLACE):
        return Path(named) / "llm"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finsa-moe" / "llm"
