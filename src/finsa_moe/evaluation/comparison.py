"""Models × test sets: every model's scores, their spread over seeds, and how each differs from a named reference.

Truth, clusters and the models' answers go in, a `Comparison` comes out. Intervals draw clusters of near texts, the same
ones for every model, and a model of several seeds is the mean over them in every draw. It trains nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.cells import Answers, Cell
from finsa_moe.evaluation.clustered import RESAMPLES, Difference, Draws, Interval, difference, interval
from finsa_moe.evaluation.metrics import Scores, score
from finsa_moe.evaluation.paired import McNemar, mcnemar

Ids = NDArray[np.int64]
SURE = 0.7
"""Share of the surest texts whose accuracy is reported."""


@dataclass(frozen=True)
class TestSet:
    """Labelled texts to judge by.

    Attributes:
        name: As the user calls it.
        domain: The expert that should answer, where there is one.
        texts: As written.
        truth: Class ids, (n,).
        clusters: Equal for near texts, (n,).
        leaked: Whether the text stands in the training rows, equal or near, (n,).
    """

    __test__ = False  # no test of pytest's

    name: str
    domain: str
    texts: Sequence[str]
    truth: Ids
    clusters: Ids
    leaked: NDArray[np.bool_]

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that stand in the truth: macro averages run over these for every model."""
        return tuple(int(c) for c in np.unique(self.truth))


@dataclass(frozen=True)
class Entry:
    """One model on one test set, trained on all rows.

    Attributes:
        macro_f1: Mean over seeds, with its cluster bootstrap interval.
        by_seed: Macro-F1 of each seed.
        scores: Every number, of the first seed.
        surest: Accuracy of the most confident 70 % of texts, first seed.
        against: Difference from the reference; None for the reference itself.
        test: McNemar's test against the reference, first seeds.
        clean: Macro-F1 on the texts that do not leak, mean over seeds; None where none leaks, or hardly any is clean.
        routing: Share of texts sent to the set's own expert; None for a model without experts.
        sent: Texts by the expert that answered, first seed; None likewise.
    """

    macro_f1: Interval
    by_seed: tuple[float, ...]
    scores: Scores
    surest: float
    against: Difference | None = None
    test: McNemar | None = None
    clean: float | None = None
    routing: float | None = None
    sent: Mapping[str, int] | None = None

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds (n - 1); None for one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """The result.

    Attributes:
        models: Specs in the order given.
        reference: The model that the others are held against.
        entries: By model and test set.
        curves: By model and test set, macro-F1 (mean over seeds) by share of the training rows.
        leaks: By test set, texts that stand in the training rows and texts in all.
        facts: By model, what its cells told: seconds, rows.
    """

    models: tuple[str, ...]
    reference: str
    sets: tuple[TestSet, ...]
    entries: Mapping[str, Mapping[str, Entry]]
    curves: Mapping[str, Mapping[str, Mapping[float, float]]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def leaks(self) -> dict[str, tuple[int, int]]:
        """Of each test set, the texts that stand in the training rows, equal or near, and all."""
        return {one.name: (int(one.leaked.sum()), len(one.texts)) for one in self.sets}

    def best(self, name: str) -> str:
        """The model of the highest macro-F1 on a test set."""
        return max(self.models, key=lambda model: self.entries[model][name].macro_f1.value)

    def mean(self, model: str) -> float:
        """Macro-F1 averaged over the test sets."""
        return float(np.mean([entry.macro_f1.value for entry in self.entries[model].values()]))

    def confusion(self, model: str, name: str) -> tuple[tuple[int, ...], ...]:
        """Texts by true and predicted class, first seed."""
        return self.entries[model][name].scores.confusion

    def sent(self, model: str) -> dict[str, dict[str, int]]:
        """Texts by test set and by the expert that a routed mixture chose; empty for other models.

        Experts stand in the order of the test sets' domains, then by name.
        """
        counts = {one.name: self.entries[model][one.name].sent for one in self.sets}
        domains = [one.domain for one in self.sets]
        experts = sorted({name for of in counts.values() for name in of or ()},
                         key=lambda name: (domains.index(name) if name in domains else len(domains), name))  # fmt: skip
        return {name: {expert: of.get(expert, 0) for expert in experts} for name, of in counts.items() if of}

    def by_domain(self) -> dict[str, dict[str, Scores]]:
        """Scores by domain and model, first seed; of a domain's several sets the first."""
        found: dict[str, dict[str, Scores]] = {}
        for one in self.sets:
            if one.domain not in found:
                found[one.domain] = {model: self.entries[model][one.name].scores for model in self.models}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Everything but the texts, ready for JSON."""
        return {
            "models": list(self.models), "reference": self.reference,
            "sets": {s.name: {"domain": s.domain, "texts": len(s.texts), "clusters": len(np.unique(s.clusters)),
                              "leaked": int(s.leaked.sum())} for s in self.sets},
            "entries": {m: {n: {**asdict(e), "sd": e.sd} for n, e in of.items()} for m, of in self.entries.items()},
            "curves": {m: {n: {f"{s:g}": v for s, v in c.items()} for n, c in of.items()}
                       for m, of in self.curves.items()},
            "facts": {m: dict(f) for m, f in self.facts.items()},
        }  # fmt: skip


def compare(
    sets: Sequence[TestSet],
    found: Mapping[Cell, Answers],
    *,
    reference: str,
    resamples: int = RESAMPLES,
    seed: int = 13,
) -> Comparison:
    """Score the answers of every cell.

    Args:
        sets: Test sets.
        found: Answers of every cell; each holds every test set.
        reference: Spec of the model that the others are held against.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Raises:
        ConfigError: If the reference is none of the models.
    """
    models = tuple(dict.fromkeys(cell.model for cell in found))
    if reference not in models:
        raise ConfigError(f"--reference {reference}: is none of the models compared: {', '.join(models)}")
    entries: dict[str, dict[str, Entry]] = {model: {} for model in models}
    curves: dict[str, dict[str, dict[float, float]]] = {}
    for one in sets:
        draws = Draws(one.clusters, resamples, seed)
        values: dict[str, tuple[list[float], NDArray[np.float64]]] = {}
        for model in models:
            answers = [a for cell, a in found.items() if cell.model == model and cell.share == 1.0]
            drawn = [draws.macro_f1(one.truth, a.probs[one.name].argmax(1), one.classes) for a in answers]
            values[model] = [value for value, _ in drawn], np.mean([part for _, part in drawn], axis=0)
        for model in models:
            entries[model][one.name] = _entry(one, model, found, values, reference)
        for cell in (cell for cell in found if cell.share < 1.0):
            share = curves.setdefault(cell.model, {}).setdefault(one.name, {})
            if cell.share not in share:
                share[cell.share] = _mean_at(one, found, cell)
    for model, of in curves.items():
        for name, points in of.items():
            points[1.0] = entries[model][name].macro_f1.value
    facts = {m: _facts([a for cell, a in found.items() if cell.model == m and cell.share == 1.0]) for m in models}
    return Comparison(models, reference, tuple(sets), entries, curves, facts)


def _entry(
    one: TestSet, model: str, found: Mapping[Cell, Answers],
    values: Mapping[str, tuple[list[float], NDArray[np.float64]]], reference: str,
) -> Entry:  # fmt: skip
    answers = [a for cell, a in found.items() if cell.model == model and cell.share == 1.0]
    others = [a for cell, a in found.items() if cell.model == reference and cell.share == 1.0]
    by_seed, drawn = values[model]
    first = answers[0].probs[one.name]
    scores = score(one.truth, first, classes=one.classes)
    against = test = None
    if model != reference:
        theirs, their_draws = values[reference]
        against = difference(float(np.mean(by_seed) - np.mean(theirs)), drawn - their_draws)
        test = mcnemar(one.truth, first.argmax(1), others[0].probs[one.name].argmax(1))
    clean = ~one.leaked
    apart = one.leaked.any() and clean.sum() >= 50
    return Entry(
        interval(float(np.mean(by_seed)), drawn), tuple(by_seed), scores, _surest(one.truth, first), against, test,
        _clean(one, answers, clean) if apart else None, _routed(one, answers[0]),
        dict(Counter(experts)) if (experts := answers[0].experts.get(one.name)) else None,
    )  # fmt: skip


def _clean(one: TestSet, answers: Sequence[Answers], clean: NDArray[np.bool_]) -> float:
    truth = one.truth[clean]
    classes = np.unique(truth).tolist()
    return float(
        np.mean([score(truth, a.probs[one.name][clean], classes=classes, resamples=1).macro_f1 for a in answers])
    )


def _mean_at(one: TestSet, found: Mapping[Cell, Answers], like: Cell) -> float:
    some = [a for cell, a in found.items() if (cell.model, cell.share) == (like.model, like.share)]
    return float(
        np.mean([score(one.truth, a.probs[one.name], classes=one.classes, resamples=1).macro_f1 for a in some])
    )


def _surest(truth: Ids, probs: NDArray[np.float32]) -> float:
    """Accuracy of the most confident texts."""
    order = np.argsort(-probs.max(axis=1), kind="stable")[: max(1, round(SURE * len(truth)))]
    return float((probs[order].argmax(axis=1) == truth[order]).mean())


def _routed(one: TestSet, answers: Answers) -> float | None:
    experts = answers.experts.get(one.name)
    return None if not experts else float(np.mean([name == one.domain for name in experts]))


def _facts(answers: Sequence[Answers]) -> dict[str, Any]:
    """Sums of numbers over a model's seeds; of other things the first."""
    facts: dict[str, Any] = {"seeds": len(answers)}
    for answer in answers:
        for name, value in answer.facts.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                facts[name] = facts.get(name, 0) + value
            else:
                facts.setdefault(name, value)
    return facts
