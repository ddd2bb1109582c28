"""Models × test sets: every model's scores, their spread over seeds, and how each differs from a named reference.

Filled by `scoring`, read by the tables, the page and the card, saved as JSON by ``as_dict``. It computes no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison.clustered import Difference, Interval
from finsa_moe.evaluation.comparison.paired import McNemar
from finsa_moe.evaluation.metrics import Scores
from finsa_moe.evaluation.results import ORACLE

Ids = NDArray[np.int64]
SURE = 0.7
"""Share of the surest texts whose accuracy is reported."""
MIXTURE = "finsa"
"""What the spec of a mixture begins with."""
PER = "per"
"""The option by which a baseline is trained for each domain, and each text answered by its own domain's model."""
POOLED = "all sets"
"""The name under which the texts of all test sets are judged as one set."""
BySeed = Mapping[str, tuple[float, ...]]
"""Under `method.NUMBERS`, the fractions of every seed."""


@dataclass(frozen=True)
class TestSet:
    """Labelled texts to judge by.

    Attributes:
        name: As the user calls it.
        domain: The expert that should answer, where there is one.
        texts: As written.
        truth: Class ids, (n,).
        clusters: Equal for near texts, those of other test sets among them, (n,).
        leaked: Whether the text stands in the training rows given, equal or near, (n,); None where none were given.
        chosen_by: Whether it stands so in the rows that settings were chosen by, (n,); None likewise.
    """

    __test__ = False  # no test of pytest's

    name: str
    domain: str
    texts: Sequence[str]
    truth: Ids
    clusters: Ids
    leaked: NDArray[np.bool_] | None
    chosen_by: NDArray[np.bool_] | None = None

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
        metrics: The method's numbers, of every seed.
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
    metrics: BySeed
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

    def metric(self, name: str) -> float:
        """One of the method's numbers, mean over seeds."""
        return float(np.mean(self.metrics[name]))


@dataclass(frozen=True)
class Comparison:
    """The result.

    Attributes:
        models: Specs in the order given.
        reference: The model that the others are held against.
        entries: By model and test set.
        pooled: By model, on the texts of all test sets together; empty where there is one set.
        domains: By domain and model, the method's numbers on the texts of all the domain's sets together.
        curves: By model and test set, macro-F1 (mean over seeds) by share of the training rows.
        facts: By model, what its cells told: seconds, rows, an account of a chat model's answers.
        names: By spec, what the user calls it; the others are called by their spec.
        added: Models that nobody asked for: the forms that make a mixture's matrix whole.
    """

    models: tuple[str, ...]
    reference: str
    sets: tuple[TestSet, ...]
    entries: Mapping[str, Mapping[str, Entry]]
    pooled: Mapping[str, Entry] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, BySeed]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Mapping[float, float]]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[str, ...]:
        """The models among which one is the best: those asked for, but for those that are told each text's domain.

        All of them where no other was asked for.
        """
        asked = tuple(model for model in self.models if model not in self.added)
        return tuple(model for model in asked if not _told_the_domain(model)) or asked

    @property
    def leader(self) -> str:
        """The model of the highest macro-F1, averaged over the test sets."""
        return max(self.ranked, key=self.mean)

    def called(self, model: str) -> str:
        """How tables and pictures call a model; the form of one with a name bears it too, as in ``ours?run=news``."""
        named, sign, form = model.partition("?")
        return self.names.get(model) or (self.names.get(named, named) + sign + form)

    @property
    def leaks(self) -> dict[str, tuple[int, int]]:
        """For each test set, how many texts stand in the training rows, equal or near, and how many there are.

        Empty where no training rows were given.
        """
        return {one.name: (int(one.leaked.sum()), len(one.texts)) for one in self.sets if one.leaked is not None}

    @property
    def slices(self) -> dict[str, int]:
        """The texts that stand under each name: of every test set, then of all of them, where they are several."""
        texts = {one.name: len(one.texts) for one in self.sets}
        return {**texts, POOLED: sum(texts.values())} if self.pooled else texts

    def at(self, model: str, name: str) -> Entry:
        """A model on a test set, or on all of them under `POOLED`."""
        return self.pooled[model] if name == POOLED else self.entries[model][name]

    def best(self, name: str) -> str:
        """The model of the highest macro-F1 on a test set, or on all of them under `POOLED`."""
        return max(self.ranked, key=lambda model: self.at(model, name).macro_f1.value)

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

    def as_dict(self) -> dict[str, Any]:
        """Everything but the texts, ready for JSON."""
        return {
            "models": list(self.models), "ranked": list(self.ranked), "names": dict(self.names),
            "reference": self.reference,
            "sets": {s.name: {"domain": s.domain, "texts": len(s.texts), "clusters": len(np.unique(s.clusters)),
                              "leaked": None if s.leaked is None else int(s.leaked.sum()),
                              "chosen_by": None if s.chosen_by is None else int(s.chosen_by.sum())}
                     for s in self.sets},
            "entries": {m: {n: {**asdict(e), "sd": e.sd} for n, e in of.items()} for m, of in self.entries.items()},
            "pooled": {m: {**asdict(e), "sd": e.sd} for m, e in self.pooled.items()},
            "domains": {d: {m: {n: list(v) for n, v in by.items()} for m, by in of.items()}
                        for d, of in self.domains.items()},
            "curves": {m: {n: {f"{s:g}": v for s, v in c.items()} for n, c in of.items()}
                       for m, of in self.curves.items()},
            "facts": {m: dict(f) for m, f in self.facts.items()},
        }  # fmt: skip


def _told_the_domain(model: str) -> bool:
    """Whether the true domain chose who answered: a mixture's oracle, and a baseline that is one model a domain."""
    spec = Spec.parse(model)
    return PER in spec.options or (spec.name == MIXTURE and spec.options.get("run") == ORACLE)
