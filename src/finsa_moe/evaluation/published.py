"""The paper's two tables, with its published rows beside scores of ours.

Scores by domain and model go in, tables come out. The paper's news and forum sets were never released: its rows stand
on other data than ours, and every table says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from finsa_moe.evaluation.metrics import Scores

HEADS = ("accuracy", "macro-P", "macro-R", "macro-F1", "weighted F1")
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


def numbers(scores: Scores) -> tuple[float, ...]:
    """Scores as the paper prints them, percent, under `HEADS`."""
    fractions = (scores.accuracy, scores.macro_precision, scores.macro_recall, scores.macro_f1, scores.weighted_f1)
    return tuple(100 * x for x in fractions)


def protocol_rows(domain: str, ours: Mapping[str, Scores]) -> list[tuple[str, tuple[float, ...], bool]]:
    """Name, numbers and whether published, of one domain's table: ours first."""
    rows = [(name, numbers(scores), False) for name, scores in ours.items()]
    return rows + [(f"{name} †", values, True) for name, values in PUBLISHED[domain].items()]


def protocol_tables(ours: Mapping[str, Mapping[str, Scores]]) -> list[Table]:
    """A table for each of the paper's domains that there are scores of.

    Args:
        ours: By domain and name, scores of models on rows of ours.
    """
    made = []
    for domain in (name for name in PUBLISHED if name in ours):
        texts = max(scores.n for scores in ours[domain].values())
        table = Table(title=f"{domain}: {texts:,} rows of ours, percent", title_justify="left", caption=OTHER_DATA,
                      caption_justify="left", box=box.SIMPLE_HEAD)  # fmt: skip
        table.add_column("model")
        for head in HEADS:
            table.add_column(head, justify="right")
        for name, values, published in protocol_rows(domain, ours[domain]):
            table.add_row(Text(name), *(f"{x:.2f}" for x in values), style="dim" if published else "")
        made.append(table)
    return made


def markdown(ours: Mapping[str, Mapping[str, Scores]]) -> str:
    """The same tables as Markdown."""
    lines: list[str] = []
    for domain in (name for name in PUBLISHED if name in ours):
        lines += [f"### {domain}", "", _line(("model", *HEADS)), "|---|" + "---:|" * len(HEADS)]
        lines += [
            _line((name, *(f"{x:.2f}" for x in values))) for name, values, _ in protocol_rows(domain, ours[domain])
        ]
        lines += ["", OTHER_DATA, ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
