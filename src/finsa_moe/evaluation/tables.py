"""An evaluation as tables for the terminal: all runs, the leading run by class, and where texts were routed.

In comes an `Evaluation`, out come rich tables. Percent as in the paper's tables. It computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from finsa_moe.data.domains import ALL
from finsa_moe.errors import install
from finsa_moe.evaluation.metrics import Scores
from finsa_moe.evaluation.results import Evaluation, Run
from finsa_moe.polarity import ENGLISH, NAMES

HEADS = ("acc", "macro-P", "macro-R", "macro-F1", "95 %", "wtd-F1", "ECE")


def percent(x: float) -> str:
    """A fraction as the paper's tables print it, to be laid beside them: percent, two digits.

    Comparisons, audits and cards print one, as much as their intervals can tell.
    """
    return f"{100 * x:.2f}"


def cells(scores: Scores) -> list[str]:
    """One row of numbers under `HEADS`."""
    low, high = scores.macro_f1_interval
    numbers = [scores.accuracy, scores.macro_precision, scores.macro_recall, scores.macro_f1]
    return [
        *map(percent, numbers),
        f"{100 * low:.1f}–{100 * high:.1f}",
        percent(scores.weighted_f1),
        percent(scores.ece),
    ]


def drawn(scores: Scores) -> str:
    """What the bootstrap of an interval draws."""
    if scores.clusters is None:
        return f"intervals draw single rows, as finding near texts needs rensa: {install('data')}"
    return f"intervals draw {scores.clusters:,} clusters of near texts"


def slices(run: Run) -> dict[str, Scores]:
    """A run's scores by slice: each domain, then all rows where that says more."""
    return {**run.by_domain, ALL: run.overall} if len(run.by_domain) != 1 else dict(run.by_domain)


def runs_table(result: Evaluation, beside: Mapping[str, Mapping[str, Scores]] | None = None) -> Table:
    """Every run by domain and over all, the leading run in bold; then other models' scores on the same rows."""
    table = _table(f"{result.n:,} rows, percent; {drawn(result.leading.overall)}", ("run", "on"), ("n", *HEADS))
    runs = {run.name: slices(run) for run in result.runs.values()}
    for model, parts in {**runs, **(beside or {})}.items():
        for at, (name, scores) in enumerate(parts.items()):
            table.add_row(
                Text("" if at else model),
                Text(name),
                f"{scores.n:,}",
                *cells(scores),
                style="bold" if model == result.leading.name else "",
                end_section=at == len(parts) - 1,
            )
    return table


def class_table(run: Run) -> Table:
    """Precision, recall, F1 and the four counts of each class."""
    heads = ("precision", "recall", "F1", "support", "TP", "FP", "FN", "TN")
    table = _table(f"{run.name}: by class, all rows", ("class",), heads)
    for chinese, (name, c) in zip(NAMES, run.overall.per_class.items(), strict=True):
        counts = (c.support, c.tp, c.fp, c.fn, c.tn)
        ratios = (percent(c.precision), percent(c.recall), percent(c.f1))
        table.add_row(f"{chinese} {name}", *ratios, *(f"{x:,}" for x in counts))
    return table


def confusion_table(run: Run) -> Table:
    """Texts by true class (rows) and predicted class (columns)."""
    table = _table(f"{run.name}: confusion, all rows", ("truth",), tuple(f"→ {name}" for name in NAMES))
    for at, name in enumerate(ENGLISH):
        table.add_row(f"{NAMES[at]} {name}", *(f"{x:,}" for x in run.overall.confusion[at]))
    return table


def routing_table(result: Evaluation) -> Table | None:
    """Texts by domain and expert chosen; None where nothing was routed or the rows have no domain."""
    routing = result.routing
    if routing is None:
        return None
    own = f"to their own: {percent(routing.accuracy)}" if routing.accuracy is not None else "routing"
    table = _table(own, ("rows of",), tuple(f"→ {expert}" for expert in routing.experts))
    for domain, row in zip(routing.domains, routing.matrix, strict=True):
        table.add_row(Text(domain), *(f"{x:,}" for x in row))
    return table


def rows_table(title: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """Sampled rows, one a line, the text cut to the width of the screen."""
    table = _table(title, ("truth", "predicted", "sure", "domain", "expert"), ())
    table.expand = True  # else a long text would squeeze the other columns
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        where = [Text(str(row.get(name) or "–")) for name in ("domain", "expert")]
        words = Text(" ".join(str(row["text"]).split()))  # as Text, so that [大笑] is not read as markup
        table.add_row(str(row["label"]), str(row["predicted"]), f"{row['confidence']:.3f}", *where, words)
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    # one blank between columns and no frame, so that all of it fits into 80 columns
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for head in left:
        table.add_column(Text(head), no_wrap=True)
    for head in right:
        table.add_column(Text(head), justify="right", no_wrap=True)
    return table
