"""Any chat model behind an endpoint as a classifier, asked with or without examples, its answers read strictly.

Examples come from the rows given to `fit`, never from those asked about. An answer has no probabilities: the class it
names gets 1. One that cannot be used counts as 中性 without confidence (0.33, 0.34, 0.33) and is counted by its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines.prompts import Prompt, parse_answer, prompt_for
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals, checked, unfitted
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.llm.client import Client, Limits, NoAnswer
from finsa_moe.llm.endpoint import APIS, Endpoint, read_key
from finsa_moe.llm.kept import KeptAnswers, default_place
from finsa_moe.polarity import ENGLISH

UNUSABLE = (0.33, 0.34, 0.33)
OPTIONS = (
    "shots", "family", "api", "cache", "key_file", "max_tokens", "at_once", "rpm", "timeout", "retries", "price_in",
    "price_out", "budget",
)  # fmt: skip


class LLMBaseline:
    """A chat model that names the class.

    Args:
        client: Asks, keeps and counts.
        prompt: How it is asked.
        shots: Examples before each question, as even over the classes as can be; 0 needs no training rows.
        progress: Called with texts answered and texts in all.
    """

    def __init__(
        self, client: Client, prompt: Prompt, *, shots: int = 0, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.client, self.prompt, self.shots, self.progress = client, prompt, shots, progress
        self.examples: list[tuple[str, int]] = []
        """Training rows to draw examples from, in the order they are drawn: class ids 0, 1, 2, 0, …"""
        self.unusable: Counter[str] = Counter()
        """Answers of all calls that could not be used, by reason."""
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
            ModelError: If the endpoint cannot be used; the answers so far are kept.
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
        answers = self.client.ask([self.prompt.messages(text, clean) for text in texts], self.progress)
        probs = np.zeros((len(texts), len(ENGLISH)), dtype=np.float32)
        for row, answer in enumerate(answers):
            label = None if isinstance(answer, NoAnswer) else parse_answer(answer.text)
            if label is None:
                self.unusable[answer.reason if isinstance(answer, NoAnswer) else "no single class word"] += 1
                probs[row] = UNUSABLE
            else:
                probs[row, label] = 1
        return probs

    @property
    def account(self) -> dict[str, object]:
        """Questions, tokens, cost and unusable answers so far, ready for JSON."""
        shown = dict(self.client.account.as_dict())
        shown.pop("unanswered")
        return {**shown, "unusable": sum(self.unusable.values()), "unusable_by_reason": dict(self.unusable)}


def from_spec(spec: Spec) -> LLMBaseline:
    """The model of ``llm:MODEL@ENDPOINT`` with its options.

    Raises:
        ConfigError: For a spec without endpoint, or an option or value that is not allowed.
    """
    spec.only(*OPTIONS, target=True)
    model, _, url = spec.target.rpartition("@")
    if not model:
        raise ConfigError(f"model {spec.text}: no endpoint; write llm:MODEL@http://127.0.0.1:11434?api=ollama")
    endpoint = Endpoint(
        url, model, api=spec.word("api", "openai", APIS), key=read_key(spec.options.get("key_file")),
        settings={"temperature": 0, "max_tokens": spec.whole("max_tokens", 64, 1)},
    )  # fmt: skip
    limits = Limits(
        at_once=spec.whole("at_once", 4, 1, 64), per_minute=spec.number("rpm", 0, 0),
        budget=spec.number("budget", 0, 0), retries=spec.whole("retries", 5, 0, 20),
        timeout=spec.number("timeout", 120, 0.1), price_in=spec.number("price_in", 0, 0),
        price_out=spec.number("price_out", 0, 0),
    )  # fmt: skip
    if limits.budget and not (limits.price_in or limits.price_out):
        raise ConfigError(f"model {spec.text}: a budget needs price_in or price_out, money for a million tokens")
    file = spec.options.get("cache") or default_place() / "answers.jsonl"
    client = Client(endpoint, KeptAnswers(Path(file)), limits)
    return LLMBaseline(client, prompt_for(model, spec.options.get("family")), shots=spec.whole("shots", 0, 0, 100))
