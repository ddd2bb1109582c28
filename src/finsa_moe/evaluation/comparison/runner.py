"""Runs the cells of a comparison: trains what is to be trained, asks every model, keeps every answer.

Specs, training rows and test sets go in, answers by cell come out; a cell that is on disk is not run again. Models are
made by a registry that is handed in. Of them it knows `fit` and `predict_proba`, and before any is made, by the names
below, which draw at random, are ready-made or need two classes; and that a chat model is shown examples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.evaluation.baselines.accounts import UNANSWERED, added, kept, lost, none, useless
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison.cells import Answers, Cell, Cells
from finsa_moe.evaluation.comparison.comparison import MIXTURE, PER, TestSet

DRAWN = ("fasttext", "textcnn", "bilstm", "lora", "finetune")
"""Models whose training draws at random: they are run for every seed."""
READY = (MIXTURE, "hf")
"""Models that are not trained here."""
TWO_CLASSES = ("lexicon", "tfidf-lr", "tfidf-svm", "fasttext", "textcnn", "bilstm")
"""Models that cannot learn from rows of one class."""
CHAT = "llm"
"""The model that is shown examples of the training rows instead of being trained."""
Make = Callable[[Spec], Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainRows:
    """Rows to train on, all domains in one table.

    Attributes:
        texts: As written.
        labels: Class ids.
        domains: Domain of each row.
    """

    texts: Sequence[str]
    labels: Sequence[int]
    domains: Sequence[str]

    def only(self, at: Sequence[int]) -> TrainRows:
        """Some rows."""
        return TrainRows([self.texts[i] for i in at], [self.labels[i] for i in at], [self.domains[i] for i in at])

    def of(self, domain: str) -> TrainRows:
        """One domain's rows."""
        return self.only([i for i, name in enumerate(self.domains) if name == domain])

    def share(self, part: float, seed: int) -> TrainRows:
        """A share of every domain's every class, drawn by the seed; a smaller share is part of a larger one."""
        rng, chosen = np.random.default_rng(seed), []
        keys = [f"{domain}\n{label}" for domain, label in zip(self.domains, self.labels, strict=True)]
        for key in sorted(set(keys)):
            own = rng.permutation([i for i, other in enumerate(keys) if other == key])
            chosen += own[: max(1, round(part * len(own)))].tolist()
        return self.only(sorted(chosen))


def planned(specs: Sequence[str], seeds: Sequence[int], shares: Sequence[float] = ()) -> list[Cell]:
    """The cells of a comparison: each model on all rows, by every seed where it draws; then its learning curve.

    Raises:
        ConfigError: If a model is named twice, or a share is not above 0 and under 1.
    """
    if doubled := [spec for at, spec in enumerate(specs) if spec in specs[:at]]:
        raise ConfigError(f"--model {doubled[0]}: given twice; keep one")
    if odd := [share for share in shares if not 0 < share < 1]:
        raise ConfigError(
            f"share {odd[0]:g}: a learning curve takes shares above 0 and under 1; all rows are run anyway"
        )
    cells = []
    for text in specs:
        spec = Spec.parse(text)
        for seed in seeds if _draws(spec) else seeds[:1]:
            cells.append(Cell(text, None if spec.name in READY else seed))
    for text in specs:
        if _learns(Spec.parse(text)):
            cells += [Cell(text, seed, share) for share in shares for seed in seeds]
    return cells


def _draws(spec: Spec) -> bool:
    """Whether the seed changes a model; a chat model's examples are drawn by it."""
    return spec.name in DRAWN or (spec.name == CHAT and spec.whole("shots", 0, 0) > 0)


def _learns(spec: Spec) -> bool:
    """Whether the training rows change a model; a chat model sees none but as examples, a fixed lexicon none at all."""
    if spec.name == CHAT:
        return _draws(spec)
    return spec.name not in READY and spec.options.get("softmax") != "fixed"


def run(
    cells: Sequence[Cell], train: TrainRows, dev: TrainRows | None, sets: Sequence[TestSet], store: Cells, make: Make,
    *, model_of: Callable[[Spec], str] = lambda _: "", say: Say = lambda _: None,
) -> dict[Cell, Answers]:  # fmt: skip
    """Every cell's answers, from disk where they are.

    A share of the rows that holds fewer than a chat model's examples, of any domain where it has some for each, is left
    out.

    Args:
        cells: What `planned` gave.
        train: Training rows.
        dev: Rows to choose settings and checkpoints by; None leaves that to each model.
        sets: Test sets.
        store: Where cells are kept.
        make: Gives the untrained (or ready) model of a spec.
        model_of: Fingerprint of the files that a model comes from or starts from; empty where there are none.
        say: Told of each cell in a line.

    Raises:
        ConfigError, ModelError: For a model that cannot be made, or has no rows to learn from, before any cell is run:
            hours of others come first.
        ModelError: For answers that are no numbers, or a chat model's of which none can be used.
    """
    specs = {cell.model: Spec.parse(cell.model) for cell in cells}
    marks = {text: model_of(spec) for text, spec in specs.items()}
    cells = [cell for cell in cells if _enough(cell, specs[cell.model], train, sets, say)]
    there = {cell: old for cell in cells if (old := _kept(store, cell, marks[cell.model])) is not None}
    for text in dict.fromkeys(cell.model for cell in cells if cell not in there):
        per, plain = _parted(specs[text])
        model = make(plain)
        if _learns(specs[text]) and not train.texts:
            raise ConfigError(f"model {text}: learns from labelled rows; add --train NAME=FILE")
        if per and specs[text].name in READY:
            raise ConfigError(f"model {text}: is not trained here, so there is no {PER}=domain; drop it")
        if per and (strange := {one.domain for one in sets} - set(train.domains)):
            raise ConfigError(f"model {text}: no training rows of {', '.join(sorted(strange))}; add --train NAME=FILE")
        if _learns(specs[text]):
            _check_rows(specs[text], train, sets)
        if hasattr(model, "check"):
            model.check(sets)
    found: dict[Cell, Answers] = {}
    for at, cell in enumerate(cells, 1):
        spec, mark = specs[cell.model], marks[cell.model]
        answers = there.get(cell)
        took = "kept"
        if answers is None:
            began = time.perf_counter()
            answers = _answers(spec, cell, train, dev, sets, make)
            seconds = round(time.perf_counter() - began, 1)
            answers, took = replace(answers, facts={**answers.facts, "seconds": seconds}), f"{seconds} s"
            _check(cell, answers)
            if silent := _account(answers).get("unusable_by_reason", {}).get(UNANSWERED, 0):
                say(f"{cell.model}: {silent} texts had no answer, which may pass; the same command asks for them again")
            else:
                store.keep(cell, answers, mark)
        say(f"{at} of {len(cells)}: {cell.model}, seed {cell.seed}, {100 * cell.share:g} % of the rows, {took}")
        if (account := _account(answers)) and (words := lost(account)):
            say(f"{cell.model}: {words}")
        found[cell] = answers
    return found


def _kept(store: Cells, cell: Cell, mark: str) -> Answers | None:
    """A cell on disk, its chat model's account as of an earlier run; None also where none of it can be used."""
    answers = store.find(cell, mark)
    if answers is None or not (account := _account(answers)):
        return answers
    return None if useless(account) else replace(answers, facts={**answers.facts, "account": kept(account)})


def _account(answers: Answers) -> Mapping[str, Any]:
    """What a chat model's answers came to; empty for other models and for old cells, which hold it as words."""
    account = answers.facts.get("account")
    return account if isinstance(account, Mapping) else {}


def _enough(cell: Cell, spec: Spec, train: TrainRows, sets: Sequence[TestSet], say: Say) -> bool:
    """Whether a share of the rows has the examples that a chat model is to be shown."""
    shots = spec.whole("shots", 0, 0) if spec.name == CHAT and cell.share < 1 else 0
    lots = _lots(spec, train.share(cell.share, cell.seed or 0), sets) if shots else {}
    for domain, rows in lots.items():
        if len(rows.texts) < shots:
            of = f"the rows of {domain}" if domain else "the rows"
            say(f"{cell.model}: {100 * cell.share:g} % of {of} are fewer than its {shots} examples; left out")
            return False
    return True


def _check_rows(spec: Spec, train: TrainRows, sets: Sequence[TestSet]) -> None:
    """Refuse rows that a model cannot learn from."""
    shots = spec.whole("shots", 0, 0) if spec.name == CHAT else 0
    for domain, rows in _lots(spec, train, sets).items():
        of = f" of {domain}" if domain else ""
        if len(rows.texts) < shots:
            raise ConfigError(f"model {spec.text}: there are {len(rows.texts)} training rows{of}; ask for fewer shots")
        if spec.name in TWO_CLASSES and len(set(rows.labels)) < 2:
            raise ConfigError(f"model {spec.text}: its training rows{of} are of one class; add rows of another")


def _lots(spec: Spec, rows: TrainRows, sets: Sequence[TestSet]) -> dict[str, TrainRows]:
    """The rows of each training of a model: all under no name, or by domain."""
    per, _ = _parted(spec)
    return {name: rows.of(name) for name in dict.fromkeys(one.domain for one in sets)} if per else {"": rows}


def _check(cell: Cell, answers: Answers) -> None:
    """Refuse answers that are no numbers before they are kept."""
    for name, probs in answers.probs.items():
        if bad := int((~np.isfinite(probs)).any(axis=1).sum()):
            raise ModelError(
                f"model {cell.model}, seed {cell.seed}: {bad} of {len(probs)} answers for {name} are no numbers; its "
                "training diverged: a lower learning rate may help"
            )


def _answers(
    spec: Spec, cell: Cell, train: TrainRows, dev: TrainRows | None, sets: Sequence[TestSet], make: Make
) -> Answers:
    per, plain = _parted(spec)
    if spec.name in READY:
        model = make(plain)
        if hasattr(model, "answers"):
            answered: Answers = model.answers(sets)
            return answered
        return Answers({one.name: np.asarray(model.predict_proba(one.texts), np.float32) for one in sets})
    seed = cell.seed or 0
    rows = train if cell.share == 1.0 else train.share(cell.share, seed)
    lots = _lots(spec, rows, sets)
    fitted: dict[str, Any] = {}
    probs = {}
    for one in sets:
        domain = one.domain if per else ""
        if domain not in fitted:
            own = lots[domain]
            judged = dev.of(domain) if dev is not None and domain else dev
            chosen = (list(judged.texts), list(judged.labels)) if judged is not None and judged.texts else None
            fitted[domain] = make(plain)
            fitted[domain].fit(list(own.texts), list(own.labels), seed=seed, dev=chosen)
        probs[one.name] = np.asarray(fitted[domain].predict_proba(one.texts), np.float32)
    facts: dict[str, Any] = {}
    if _learns(spec):
        facts["rows"] = spec.whole("shots", 0, 0) if spec.name == CHAT else len(rows.texts)
    if asked := [model for model in fitted.values() if hasattr(model, "account")]:
        facts["account"] = added([model.account for model in asked])
        if useless(facts["account"]):
            raise ModelError(f"{spec.text}: {none(facts['account'], asked[0].heard)}")
    return Answers(probs, {}, facts)


def _parted(spec: Spec) -> tuple[bool, Spec]:
    """Whether a model is wanted for each domain (``?per=domain``), and the spec without that."""
    options = dict(spec.options)
    per = options.pop(PER, None)
    if per not in (None, "domain"):
        raise ConfigError(f"model {spec.text}: per={per}; allowed is per=domain, a model of its own for each domain")
    return per is not None, replace(spec, options=options)
