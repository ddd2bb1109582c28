"""What an evaluation found: runs with their scores, where texts were routed, and rows to look at.

Filled by `evaluate`, read by `tables` and `sections`, saved as JSON by ``as_dict``. It computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from finsa_moe.evaluation.metrics import Scores

ROUTED, ORACLE = "routed", "oracle"
"""The ways to run a mixture: each text by the expert the router chose, or its true domain's; else one expert's name."""


@dataclass(frozen=True)
class Run:
    """The scores of one way to run the model, over all rows and by domain (empty where the rows have none)."""

    name: str
    overall: Scores
    by_domain: dict[str, Scores]

    def as_dict(self) -> dict[str, object]:
        """Plain dicts, ready for JSON."""
        return {"all": self.overall.as_dict(), "domains": {k: v.as_dict() for k, v in self.by_domain.items()}}


@dataclass(frozen=True)
class Routing:
    """Which expert the router chose for the texts of each domain.

    Attributes:
        accuracy: Share of rows sent to their own domain's expert, over the `n` rows whose domain has an expert; None
            where there is no such row.
        domains: Domains of the rows: the rows of `matrix`.
        experts: The model's experts: the columns of `matrix`.
        matrix: Texts by domain and expert chosen.
    """

    accuracy: float | None
    n: int
    domains: tuple[str, ...]
    experts: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, object]:
        """Plain dicts, ready for JSON."""
        return {
            "accuracy": self.accuracy,
            "n": self.n,
            "domains": list(self.domains),
            "experts": list(self.experts),
            "confusion": [list(row) for row in self.matrix],
        }


@dataclass(frozen=True)
class Evaluation:
    """The result: runs by name, the leading one first.

    Attributes:
        protocol: ``"routed"`` (ours) or ``"finsa"`` (as published: router off, the given domain's expert).
        runs: Scores by run: ``routed``, ``fixed:<domain>``…, ``oracle``; or ``given``; or ``model`` for a plain model.
        routing: Where texts were sent; None for a plain model, rows without a domain, or the published protocol.
        correct: A random sample of rows the leading run got right; plain dicts.
        wrong: The same of rows it got wrong.
    """

    protocol: str
    n: int
    runs: dict[str, Run]
    routing: Routing | None
    correct: tuple[dict[str, object], ...]
    wrong: tuple[dict[str, object], ...]

    @property
    def leading(self) -> Run:
        """The run that the evaluation is about: the first."""
        return next(iter(self.runs.values()))

    def as_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        return {
            "protocol": self.protocol,
            "n": self.n,
            "runs": {name: run.as_dict() for name, run in self.runs.items()},
            "routing": self.routing.as_dict() if self.routing else None,
            "correct": list(self.correct),
            "wrong": list(self.wrong),
        }
