"""Texts and a model in, `Explanation`s out: many texts' coalitions go through the model in one stream.

First the plain answers, which fix who answers each text; then every coalition that will be needed, of all texts of a
portion together, by those; then the values. It knows neither files nor how a model works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from finsa_moe.errors import DataError
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.game import Game
from finsa_moe.explain.judges import Judge, Voice, judge
from finsa_moe.explain.shapley import check_budget, method, note, values
from finsa_moe.explain.words import Word, segment
from finsa_moe.polarity import ENGLISH
from finsa_moe.runtime.prediction import Prediction

EVALUATIONS, SEED = 2000, 13
STREAM = 4096
"""Coalitions of a portion of texts, about: enough to fill batches of every length, few enough to lose when stopped."""


@dataclass(frozen=True)
class ExplainSettings:
    """What changes the values.

    Attributes:
        evaluations: Most coalitions of a text that the model answers (the method's default is 2,000).
        seed: Random seed for the sampled orders of words.
        hidden: What stands for a run of hidden words; None takes what suits the model.
        known: Words to be kept whole, beside those of finance.
    """

    evaluations: int = EVALUATIONS
    seed: int = SEED
    hidden: str | None = None
    known: tuple[str, ...] = ()

    @property
    def portion(self) -> int:
        """How many texts are asked together."""
        return max(1, STREAM // self.evaluations)


def explain(
    model: Any, texts: Iterable[str], *, domain: str | None = None, settings: ExplainSettings | None = None
) -> list[Explanation]:
    """Explain every text, in the order given.

    Args:
        model: A `FinSA`, or anything with ``predict_proba(texts)`` that gives (n, 3).
        texts: Raw texts.
        domain: Expert to use; None leaves it to the router.
        settings: Budget, seed and masking.

    Raises:
        DataError: For an empty text, naming its position; for an unknown domain.
        ConfigError: For a budget too small, or a domain where there are no experts.
        MissingExtra: If shap or rjieba is not installed.
    """
    settings = settings or ExplainSettings()
    found: list[Explanation] = []
    for portion in stream(model, texts, domain=domain, settings=settings):
        for entry in portion:
            if isinstance(entry, DataError):
                raise entry
            found.append(entry)
    return found


def stream(
    model: Any, texts: Iterable[str], *, domain: str | None = None, settings: ExplainSettings
) -> Iterator[list[Explanation | DataError]]:
    """Explain an iterable a portion at a time, with the error in the place of a text that cannot be answered.

    A portion's result depends on its own texts alone, so a run that is taken up at a portion's start goes on the same.
    """
    check_budget(settings.evaluations)
    asked, waiting = judge(model), iter(texts)
    asked.first([], domain)  # an unknown domain is told before any work
    start = 0
    while portion := list(islice(waiting, settings.portion)):
        yield _portion(asked, portion, domain, settings, start)
        start += len(portion)


def _portion(
    asked: Judge, texts: list[str], domain: str | None, settings: ExplainSettings, before: int
) -> list[Explanation | DataError]:
    first = asked.first(texts, domain)
    good = [at for at, answer in enumerate(first) if not isinstance(answer, DataError)]
    games = {at: _game(asked, texts[at], first[at], settings) for at in good}
    voices = {at: asked.voice(first[at], domain) for at in good}
    for game in games.values():
        note(game, settings.evaluations, settings.seed)

    lines, owners, by = [], [], []
    for at, game in games.items():
        wanted = game.wanted
        lines += wanted
        by += [voices[at]] * len(wanted)
        owners.append((at, len(wanted)))
    others = [(at, name) for at in good for name in asked.domains]  # what each expert says of the whole text
    lines += [texts[at] for at, _ in others]
    by += [name for _, name in others]
    answers = asked.ask(lines, by) if lines else np.zeros((0, 3))

    start = 0
    for at, count in owners:
        games[at].told(answers[start : start + count])
        start += count
    said: dict[int, dict[str, dict[str, float]]] = {at: {} for at in good}
    for (at, name), row in zip(others, answers[start:], strict=True):
        said[at][name] = _by_class(row)
    return [
        _explained(asked, games[at], first[at], voices[at], said[at], domain, settings)
        if at in games
        else DataError(str(first[at]).replace(f"text {at} ", f"text {before + at} ", 1))
        for at in range(len(texts))
    ]


def _game(asked: Judge, text: str, answer: Prediction | DataError | None, settings: ExplainSettings) -> Game:
    words = segment(text, settings.known)
    if getattr(answer, "truncated", False):
        words = _marked(asked, text, words)
    return Game(text, words, settings.hidden or asked.hidden)


def _marked(asked: Judge, text: str, words: Sequence[Word]) -> list[Word]:
    """The words of a text over the model's limit, those between its head and its tail marked as not read."""
    head, tail = asked.read(text, [w.start for w in words], [w.end for w in words])
    if head == 0 and tail == len(words):
        return list(words)  # one endless word: explained as a whole
    return [replace(word, read=at < head or at >= tail) for at, word in enumerate(words)]


def _explained(
    asked: Judge, game: Game, answer: Any, voice: Voice, said: dict[str, dict[str, float]], domain: str | None,
    settings: ExplainSettings,
) -> Explanation:  # fmt: skip
    game.ask = lambda texts: asked.ask(texts, [voice] * len(texts))
    found = values(game, settings.evaluations, settings.seed)
    every = np.zeros((len(game.words), len(ENGLISH)))
    every[game.players] = found
    nothing, whole = game(game.ends())
    expert = getattr(answer, "expert", None)
    return Explanation(
        text=game.text,
        words=game.words,
        values=every,
        scores=_by_class(whole),
        base=_by_class(nothing),
        expert=expert,
        routed=expert is not None and domain is None,
        soft=isinstance(voice, tuple),
        expert_weights=dict(getattr(answer, "expert_weights", {})),
        experts=said,
        method=method(game.size, settings.evaluations),
        evaluations=game.asked,
        truncated=bool(getattr(answer, "truncated", False)),
        novelty=getattr(answer, "novelty", None),
    )


def _by_class(row: Any) -> dict[str, float]:
    return dict(zip(ENGLISH, (float(x) for x in row), strict=True))
