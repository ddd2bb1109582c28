"""The paper's two tables, with its published rows beside scores of ours, for the screen, the page, Markdown and JSON.

A comparison or an evaluation goes in, tables come out. The paper's news and forum sets were never released: its rows
stand on other data than ours, and every table says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from finsa_moe.evaluation import report
from finsa_moe.evaluation.comparison.comparison import Comparison
from finsa_moe.evaluation.comparison.method import PAPER as HEADS
from finsa_moe.evaluation.comparison.method import numbers
from finsa_moe.evaluation.report import Section
from finsa_moe.evaluation.results import Evaluation

TITLE = "The paper's tables"
PUBLISHED: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "news": {
        "FinBERT": (75.32, 73.10, 76.14, 73.88, 75.80),
        "GLM-Z1-9B, not tuned": (72.64, 69.45, 77.04, 69.94, 72.41),
        "FinGPT v3.1": (82.10, 78.95, 82.42, 80.23, 82.43),
        "GPT-4o-mini": (65.51, 68.52, 68.61, 65.35, 65.00),
        "FinSA-MoE": (90.04, 90.26, 89.73, 89.93, 89.98),
    },
    "forum": {
        "FinBERT": (68.65, 63.66, 68.77, 63.81, 70.24),
        "GLM-Z1-9B, not tuned": (85.49, 77.70, 75.77, 76.57, 85.12),
        "FinGPT v3.1": (83.49, 74.67, 76.78, 75.36, 84.16),
        "GPT-4o-mini": (70.10, 65.96, 68.24, 63.83, 73.10),
        "FinSA-MoE": (92.92, 89.86, 87.69, 88.68, 92.82),
    },
}
"""Percent, under `HEADS`, by domain and model, as published."""
OTHER_DATA = "† as published, on the paper's own rows, which were not released: not to be ranked against the others"


@dataclass(frozen=True)
class Ours:
    """What stands beside the published rows of a domain.

    Attributes:
        of: The rows of ours, in words.
        rows: Percent under `HEADS`, by model.
    """

    of: str
    rows: Mapping[str, tuple[float, ...]]


def of_comparison(found: Comparison) -> dict[str, Ours]:
    """By domain, every model on all the domain's sets: their texts pooled, mean over seeds."""
    made = {}
    for domain, models in found.domains.items():
        own = [one for one in found.sets if one.domain == domain]
        texts = sum(len(one.texts) for one in own)
        pooled = f" of {', '.join(one.name for one in own)} pooled" if len(own) > 1 else f" of {own[0].name}"
        rows = {found.called(m): tuple(100 * float(np.mean(by[name])) for name in HEADS) for m, by in models.items()}
        seeds = max(int(facts.get("seeds", 1)) for facts in found.facts.values())
        mean = f", mean over up to {seeds} seeds" if seeds > 1 else ""
        made[domain] = Ours(f"{texts:,} rows{pooled}{mean}", rows)
    return made


def of_evaluation(result: Evaluation, files: Mapping[str, Sequence[str]]) -> dict[str, Ours]:
    """By domain, the leading run on the rows of all its files pooled.

    Args:
        result: What `evaluate` gave.
        files: Names of the files that hold rows of each domain.
    """
    made = {}
    for domain, scores in result.leading.by_domain.items():
        pooled = " pooled" if len(files[domain]) > 1 else ""
        found = numbers(scores)
        rows = {result.leading.name: tuple(100 * found[name] for name in HEADS)}
        made[domain] = Ours(f"{scores.n:,} rows of {', '.join(files[domain])}{pooled}", rows)
    return made


def protocol_rows(domain: str, ours: Ours) -> list[tuple[str, tuple[float, ...], bool]]:
    """Name, numbers and whether published, of one domain's table: ours first."""
    rows = [(name, values, False) for name, values in ours.rows.items()]
    return rows + [(f"{name} †", values, True) for name, values in PUBLISHED[domain].items()]


def protocol_tables(ours: Mapping[str, Ours]) -> list[Table]:
    """A table for each of the paper's domains that there are scores of."""
    made = []
    for domain in _in_paper(ours):
        table = Table(title=f"{domain}: {ours[domain].of}, percent", title_justify="left", caption=OTHER_DATA,
                      caption_justify="left", box=box.SIMPLE_HEAD)  # fmt: skip
        table.add_column("model")
        for head in HEADS:
            table.add_column(head, justify="right")
        for name, values, published in protocol_rows(domain, ours[domain]):
            table.add_row(Text(name), *(f"{x:.2f}" for x in values), style="dim" if published else "")
        made.append(table)
    return made


def section(ours: Mapping[str, Ours]) -> Section:
    """The same tables on the page, published rows in grey."""
    body = ""
    for domain in _in_paper(ours):
        rows = [
            [report.Cell(words, "muted" if published else "") for words in (name, *(f"{x:.2f}" for x in values))]
            for name, values, published in protocol_rows(domain, ours[domain])
        ]
        body += report.text(f"{domain}: {ours[domain].of}, percent.") + report.table(("model", *HEADS), rows)
    return Section(TITLE, body + "".join(map(report.text, absent(ours))), OTHER_DATA)


def markdown(ours: Mapping[str, Ours]) -> str:
    """The same tables as Markdown."""
    lines = [f"## {TITLE}", "", OTHER_DATA, ""]
    for domain in _in_paper(ours):
        lines += [f"### {domain}", "", f"{ours[domain].of}, percent.", ""]
        lines += [_line(("model", *HEADS)), "|---|" + "---:|" * len(HEADS)]
        lines += [
            _line((name, *(f"{x:.2f}" for x in values))) for name, values, _ in protocol_rows(domain, ours[domain])
        ]
        lines.append("")
    return "\n".join([*lines, *absent(ours)])


def as_dict(ours: Mapping[str, Ours]) -> dict[str, Any]:
    """The same tables ready for JSON: fractions, ours and the published ones apart."""

    def named(rows: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
        return {model: {head: x / 100 for head, x in zip(HEADS, of, strict=True)} for model, of in rows.items()}

    tables = {
        domain: {"rows": ours[domain].of, "ours": named(ours[domain].rows), "published": named(PUBLISHED[domain])}
        for domain in _in_paper(ours)
    }
    return {"remark": OTHER_DATA, "tables": tables, "absent": absent(ours)}


def absent(ours: Mapping[str, Ours]) -> list[str]:
    """A line for each of our domains that the paper has no table of."""
    return [f"{domain}: {one.of}; the paper has no table of it" for domain, one in ours.items()
            if domain not in PUBLISHED]  # fmt: skip


def _in_paper(ours: Mapping[str, Ours]) -> list[str]:
    return [domain for domain in PUBLISHED if domain in ours]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
