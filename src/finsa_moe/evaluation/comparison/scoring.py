"""Scores the answers of a comparison: by test set, on all of them pooled, by domain, by share of the training rows.

Truth, clusters and the models' answers go in, a `Comparison` comes out. Intervals draw clusters of near texts, the same
ones for every model, and a model of several seeds is the mean over them in every draw. It trains nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines.accounts import added
from finsa_moe.evaluation.comparison.cells import Answers, Cell
from finsa_moe.evaluation.comparison.clustered import RESAMPLES, Draws, difference, interval
from finsa_moe.evaluation.comparison.comparison import POOLED, SURE, BySeed, Comparison, Entry, Ids, TestSet
from finsa_moe.evaluation.comparison.method import by_seed
from finsa_moe.evaluation.comparison.paired import mcnemar
from finsa_moe.evaluation.comparison.pooled import pool, pooled_answers
from finsa_moe.evaluation.coverage import surest
from finsa_moe.evaluation.metrics import Reals, Scores, score

ENOUGH = 50
"""Texts that do not leak which are scored apart."""
Whole = Mapping[str, Sequence[Answers]]
"""By model, its answers with all training rows, a seed each."""


def compare(
    sets: Sequence[TestSet],
    found: Mapping[Cell, Answers],
    *,
    reference: str,
    names: Mapping[str, str] | None = None,
    added: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 13,
) -> Comparison:
    """Score the answers of every cell.

    Args:
        sets: Test sets.
        found: Answers of every cell; each holds every test set.
        reference: Spec of the model that the others are held against.
        names: What models are to be called, by their spec.
        added: Models that nobody asked for, which no other is ranked against.
        resamples: Bootstrap draws.
        seed: Random seed for the bootstrap draws.

    Raises:
        ConfigError: If the reference is none of the models, or a set bears the name of all sets pooled.
    """
    models = tuple(dict.fromkeys(cell.model for cell in found))
    if reference not in models:
        raise ConfigError(f"--reference {reference}: is none of the models compared: {', '.join(models)}")
    if POOLED in [one.name for one in sets]:
        raise ConfigError(f"--test {POOLED}=…: is what all sets pooled are called; name the set otherwise")
    whole = {m: [a for cell, a in found.items() if cell.model == m and cell.share == 1.0] for m in models}
    judged = {one.name: _judged(one, whole, reference, resamples, seed) for one in sets}
    entries = {model: {one.name: judged[one.name][model] for one in sets} for model in models}
    pooled: dict[str, Entry] = {}
    if len(sets) > 1:
        together = {m: [pooled_answers(a, sets, POOLED) for a in answers] for m, answers in whole.items()}
        pooled = _judged(pool(sets, POOLED), together, reference, resamples, seed)
        pooled = {m: replace(e, routing=_routed_over(sets, entries[m])) for m, e in pooled.items()}
    facts = {model: _facts(answers) for model, answers in whole.items()}
    return Comparison(
        models, reference, tuple(sets), entries, pooled, _domains(sets, whole), _curves(sets, found, entries), facts,
        names or {}, tuple(added),
    )  # fmt: skip


@dataclass(frozen=True)
class _Drawn:
    """Macro-F1 of a model's seeds, and of every draw, (seeds, resamples)."""

    values: list[float]
    draws: Reals

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


def _judged(one: TestSet, whole: Whole, reference: str, resamples: int, seed: int) -> dict[str, Entry]:
    """Every model on one test set."""
    draws = Draws(one.clusters, resamples, seed)
    drawn = {}
    for model, answers in whole.items():
        parts = [draws.macro_f1(one.truth, a.probs[one.name].argmax(1), one.classes) for a in answers]
        drawn[model] = _Drawn([value for value, _ in parts], np.stack([part for _, part in parts]))
    return {model: _entry(one, model, whole, drawn, reference) for model in whole}


def _entry(one: TestSet, model: str, whole: Whole, drawn: Mapping[str, _Drawn], reference: str) -> Entry:
    answers, own, theirs = whole[model], drawn[model], drawn[reference]
    first = answers[0].probs[one.name]
    scores = _scored(one, answers)
    ends = interval(own.values[0], own.draws[0])
    clusters = len(np.unique(one.clusters))
    against = test = None
    if model != reference:
        against = difference(own.mean - theirs.mean, own.draws.mean(axis=0) - theirs.draws.mean(axis=0))
        test = mcnemar(one.truth, first.argmax(1), whole[reference][0].probs[one.name].argmax(1))
    clean = None if one.leaked is None or not one.leaked.any() else ~one.leaked
    return Entry(
        interval(own.mean, own.draws.mean(axis=0)), tuple(own.values),
        replace(scores[0], macro_f1_interval=(ends.low, ends.high), clusters=clusters), by_seed(scores),
        _surest(one.truth, first), against, test,
        _clean(one, answers, clean) if clean is not None and clean.sum() >= ENOUGH else None,
        _routed(one, answers[0]), dict(Counter(experts)) if (experts := answers[0].experts.get(one.name)) else None,
    )  # fmt: skip


def _scored(one: TestSet, answers: Sequence[Answers]) -> list[Scores]:
    """Every number of every seed; the interval comes from the draws that all models share."""
    return [score(one.truth, a.probs[one.name], classes=one.classes, resamples=1) for a in answers]


def _clean(one: TestSet, answers: Sequence[Answers], clean: NDArray[np.bool_]) -> float:
    truth = one.truth[clean]
    classes = np.unique(truth).tolist()
    return float(
        np.mean([score(truth, a.probs[one.name][clean], classes=classes, resamples=1).macro_f1 for a in answers])
    )


def _surest(truth: Ids, probs: NDArray[np.float32]) -> float:
    """Accuracy of the most confident texts."""
    return 1.0 - surest(probs.max(axis=1).astype(np.float64), probs.argmax(axis=1) != truth, SURE)[1]


def _routed(one: TestSet, answers: Answers) -> float | None:
    experts = answers.experts.get(one.name)
    if not experts or one.domain not in answers.facts.get("experts", [one.domain]):
        return None  # nobody could have been right
    return float(np.mean([name == one.domain for name in experts]))


def _routed_over(sets: Sequence[TestSet], entries: Mapping[str, Entry]) -> float | None:
    """Share of all texts that were sent to their own set's expert."""
    shares = [entries[one.name].routing for one in sets]
    texts = [len(one.texts) for one in sets]
    return None if None in shares else float(np.average(np.array(shares, dtype=np.float64), weights=texts))


def _domains(sets: Sequence[TestSet], whole: Whole) -> dict[str, dict[str, BySeed]]:
    """The method's numbers by domain, its sets pooled, and model."""
    made: dict[str, dict[str, BySeed]] = {}
    for domain in dict.fromkeys(one.domain for one in sets):
        own = [one for one in sets if one.domain == domain]
        together = pool(own, domain)
        made[domain] = {
            model: by_seed(_scored(together, [pooled_answers(a, own, domain) for a in answers]))
            for model, answers in whole.items()
        }
    return made


def _curves(
    sets: Sequence[TestSet], found: Mapping[Cell, Answers], entries: Mapping[str, Mapping[str, Entry]]
) -> dict[str, dict[str, dict[float, float]]]:
    """By model that was trained on fewer rows and test set, macro-F1 (mean over seeds) by share of the rows."""
    parts: dict[tuple[str, float], list[Answers]] = {}
    for cell, answers in found.items():
        if cell.share < 1.0:
            parts.setdefault((cell.model, cell.share), []).append(answers)
    curves: dict[str, dict[str, dict[float, float]]] = {}
    for (model, share), answers_of in parts.items():
        for one in sets:
            whole = {1.0: entries[model][one.name].macro_f1.value}
            points = curves.setdefault(model, {}).setdefault(one.name, whole)
            points[share] = float(np.mean([scores.macro_f1 for scores in _scored(one, answers_of)]))
    return {m: {name: dict(sorted(points.items())) for name, points in of.items()} for m, of in curves.items()}


def _facts(answers: Sequence[Answers]) -> dict[str, Any]:
    """Sums of numbers and of accounts over a model's seeds; of other things the first."""
    facts: dict[str, Any] = {"seeds": len(answers)}
    for answer in answers:
        for name, value in answer.facts.items():
            if name == "account":
                continue
            if isinstance(value, int | float) and not isinstance(value, bool):
                facts[name] = facts.get(name, 0) + value
            else:
                facts.setdefault(name, value)
    told = [answer.facts.get("account") for answer in answers]
    accounts = [account for account in told if isinstance(account, Mapping)]  # cells of earlier versions hold words
    if accounts and len(accounts) == len(told):
        facts["account"] = added(accounts)
    return facts
