"""The cross-domain matrix of a mixture: each expert, the router and the true domain's expert on every test set.

A comparison's models go in; of those that are forms of one mixture, a `Matrix` comes out. It runs and scores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines.spec import Spec
from finsa_moe.evaluation.comparison.comparison import MIXTURE, Comparison
from finsa_moe.evaluation.results import ORACLE, ROUTED


@dataclass(frozen=True)
class Matrix:
    """One mixture's forms.

    Attributes:
        mixture: How the mixture is named, without a form.
        forms: By row, the model's spec: the experts in order, then ``routed`` and ``oracle``, as far as they were run.
    """

    mixture: str
    forms: Mapping[str, str]

    def values(self, found: Comparison) -> dict[str, dict[str, float]]:
        """Macro-F1 by row and test set."""
        return {
            row: {one.name: found.entries[spec][one.name].macro_f1.value for one in found.sets}
            for row, spec in self.forms.items()
        }


def with_forms(specs: Sequence[str], experts: Callable[[Spec], Sequence[str]], domains: Sequence[str]) -> list[str]:
    """The specs, and after them what the matrices of their mixtures lack.

    Args:
        specs: Models as asked for.
        experts: Names the experts of a mixture.
        domains: Domains of the test sets; the true domain's expert is a row only where every set has one.

    Raises:
        ConfigError: If there is no mixture among the specs.
    """
    asked = [spec for spec in map(Spec.parse, specs) if spec.name == MIXTURE]
    if not asked:
        raise ConfigError(f"--matrix: no mixture among the models ({', '.join(specs)}); add --model finsa:DIR")
    wanted = list(specs)
    for target, one in {spec.target: spec for spec in asked}.items():
        own, name = experts(one), _name(target)
        there = {_run(spec) for spec in asked if spec.target == target and _plain(spec)}
        rows = (ROUTED, *own, *((ORACLE,) if set(domains) <= set(own) else ()))
        wanted += [name if row == ROUTED else f"{name}?run={row}" for row in rows if row not in there]
    return wanted


def matrices(found: Comparison) -> tuple[Matrix, ...]:
    """The matrix of every mixture that was run with an expert fixed and in another form besides."""
    forms: dict[str, dict[str, str]] = {}
    for spec in map(Spec.parse, found.models):
        if spec.name == MIXTURE and _plain(spec):
            forms.setdefault(_name(spec.target), {})[_run(spec)] = spec.text
    made = []
    for name, of in forms.items():
        fixed = [row for row in of if row not in (ROUTED, ORACLE)]
        rows = (*fixed, *(row for row in (ROUTED, ORACLE) if row in of))
        if fixed and len(rows) > 1:
            made.append(Matrix(name, {row: of[row] for row in rows}))
    return tuple(made)


def _plain(spec: Spec) -> bool:
    """A gate named in the spec is another way to run the same experts: it stands in the table of scores."""
    return "gate" not in spec.options


def _run(spec: Spec) -> str:
    return spec.options.get("run", ROUTED)


def _name(target: str) -> str:
    return f"{MIXTURE}:{target}" if target else MIXTURE
