"""Why a mixture errs: the surest wrong answers of a comparison, with the words that led to them.

Answers of models go in, examples come out; what a word did is asked of the mixture itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from finsa_moe.evaluation.comparison.comparison import MIXTURE
from finsa_moe.evaluation.results import ORACLE, ROUTED

if TYPE_CHECKING:
    from finsa_moe.evaluation.baselines.spec import Spec
    from finsa_moe.evaluation.comparison.cells import Answers, Cell
    from finsa_moe.evaluation.comparison.comparison import TestSet
    from finsa_moe.evaluation.comparison.examples import Example

EVALUATIONS = 300
"""Coalitions of a wrong answer's words that are asked: enough to see what misled, few enough for forty texts."""


def mistakes(
    n: int, reference: str, sets: Sequence[TestSet], found: Mapping[Cell, Answers], make: Callable[[Spec], Any],
    say: Callable[[str], None], called: Callable[[str], str],
) -> tuple[list[Example], str]:  # fmt: skip
    """The surest wrong answers of a model, explained where it is a mixture, and a remark for their reader.

    The model is the reference if that is a mixture, else the first mixture, else the reference after all.

    Args:
        n: How many wrong answers of each test set.
        reference: Spec of the model that the others are compared with.
        sets: What was answered.
        found: Answers by cell.
        make: Makes the mixture again.
        say: Told what is done.
        called: The name of a spec's model where people read it.
    """
    from finsa_moe.errors import MissingExtra
    from finsa_moe.evaluation.baselines.spec import Spec
    from finsa_moe.evaluation.comparison.examples import wrong

    models = dict.fromkeys((reference, *(cell.model for cell in found)))
    spec = next((s for s in map(Spec.parse, models) if s.name == MIXTURE), Spec.parse(reference))
    cell = next(cell for cell in found if cell.model == spec.text and cell.share == 1.0)
    examples = wrong(sets, found[cell], n) if n else []
    if not examples:
        return [], ""
    remark = f"Of {called(spec.text)}."
    if spec.name != MIXTURE:
        return examples, remark
    say(f"explaining {len(examples)} wrong answers of {called(spec.text)}")
    try:
        return _explained(examples, make(spec), {one.name: one.domain for one in sets}), remark
    except MissingExtra as error:
        return examples, f"{remark} Without reasons: {error}."


def _explained(examples: Sequence[Example], form: Any, domains: Mapping[str, str]) -> list[Example]:
    from finsa_moe.explain.explain import ExplainSettings, explain

    settings, reasons = ExplainSettings(evaluations=EVALUATIONS), []
    for name in dict.fromkeys(example.name for example in examples):
        texts = [example.text for example in examples if example.name == name]
        domain = None if form.run == ROUTED else domains[name] if form.run == ORACLE else form.run
        reasons += explain(form.model, texts, domain=domain, settings=settings)
    return [replace(example, why=why) for example, why in zip(examples, reasons, strict=True)]
