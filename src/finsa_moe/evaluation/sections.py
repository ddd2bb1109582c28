"""An evaluation, and answers to texts, as sections of the HTML page.

In come an `Evaluation` or predictions, out come `report.Section`s. It computes nothing and draws only by `figures`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from finsa_moe.evaluation import report
from finsa_moe.evaluation.coverage import area
from finsa_moe.evaluation.figures import coverage_curves, heatmap
from finsa_moe.evaluation.metrics import Scores
from finsa_moe.evaluation.report import Cell, Section
from finsa_moe.evaluation.results import Evaluation
from finsa_moe.evaluation.tables import HEADS, cells, drawn, percent, slices
from finsa_moe.polarity import ENGLISH, NAMES, english
from finsa_moe.runtime.prediction import Prediction


def evaluation_sections(result: Evaluation, beside: Mapping[str, Mapping[str, Scores]] | None = None) -> list[Section]:
    """Summary, all runs, the leading run by class, confusions, routing and the sampled rows.

    Args:
        result: What `evaluate` gave.
        beside: Scores of other models on the same rows, by name and slice (a domain or ``all``), shown under the runs.
    """
    sections = [
        _summary(result), _runs(result, beside or {}), _classes(result), _confusions(result), _coverage(result),
    ]  # fmt: skip
    if result.routing is not None:
        sections.append(_routing(result))
    for title, rows in (("Answered wrongly", result.wrong), ("Answered rightly", result.correct)):
        if rows:
            sections.append(_rows(title, rows))
    return sections


def answers_section(predictions: Iterable[Prediction]) -> Section:
    """Texts with their polarity, all three scores as bars, and the expert that answered."""
    rows = []
    for p in predictions:
        scores = [Cell(f"{p.scores[name]:.3f}", bar=p.scores[name]) for name in ENGLISH]
        flags = [word for word, on in (("cut", p.truncated), ("uncertain", p.uncertain)) if on]
        rows.append([
            p.text, Cell(p.sentiment, english(p.sentiment)), p.expert, ", ".join(flags),
            f"{p.confidence:.3f}", *scores, f"{p.expert_weight:.3f}",
        ])  # fmt: skip
    heads = ("text", "polarity", "expert", "", "confidence", *NAMES, "expert weight")
    return Section("Answers", report.table(heads, rows, left=4))


def _summary(result: Evaluation) -> Section:
    scores = result.leading.overall
    low, high = scores.macro_f1_interval
    entries: list[tuple[str, object]] = [
        ("rows", f"{result.n:,}"),
        ("macro-F1 %", percent(scores.macro_f1)),
        ("its 95 % interval", f"{100 * low:.1f}–{100 * high:.1f}"),
        ("accuracy %", percent(scores.accuracy)),
        ("weighted F1 %", percent(scores.weighted_f1)),
        ("calibration error %", percent(scores.ece)),
    ]
    if scores.clusters is not None:
        entries.insert(1, ("clusters of near texts", f"{scores.clusters:,}"))
    if result.routing is not None and result.routing.accuracy is not None:
        entries.append(("routed to own expert %", percent(result.routing.accuracy)))
    return Section("Summary", report.facts(entries), f"The run “{result.leading.name}”, over all rows.")


def _runs(result: Evaluation, beside: Mapping[str, Mapping[str, Scores]]) -> Section:
    lines = [(run.name, name, s) for run in result.runs.values() for name, s in slices(run).items()]
    lines += [(model, name, s) for model, parts in beside.items() for name, s in parts.items()]
    best: dict[str, float] = {}
    for _, name, s in lines:
        best[name] = max(best.get(name, 0.0), s.macro_f1)
    rows, last = [], ""
    for run, name, s in lines:
        numbers: list[object] = list(cells(s))
        numbers[3] = Cell(numbers[3], "best" if s.macro_f1 == best[name] else "")
        clusters = "–" if s.clusters is None else f"{s.clusters:,}"
        rows.append([Cell("" if run == last else run, "best"), name, f"{s.n:,}", clusters, *numbers])
        last = run
    note = (
        "Percent. Macro averages run over the classes of the labels; 0/0 counts as 0. The interval of macro-F1 is a "
        f"bootstrap: {drawn(result.leading.overall)}. The best macro-F1 on the same rows is bold."
    )
    return Section("Scores", report.table(("run", "rows of", "n", "clusters", *HEADS), rows, left=2), note)


def _classes(result: Evaluation) -> Section:
    rows = []
    for name, chinese in zip(ENGLISH, NAMES, strict=True):
        c = result.leading.overall.per_class[name]
        numbers = [Cell(percent(x), bar=x) for x in (c.precision, c.recall, c.f1)]
        rows.append(
            [Cell(f"{chinese} {name}", name), *numbers, *(f"{x:,}" for x in (c.support, c.tp, c.fp, c.fn, c.tn))]
        )
    heads = ("class", "precision", "recall", "F1", "support", "TP", "FP", "FN", "TN")
    return Section(
        "By class", report.table(heads, rows), f"The run “{result.leading.name}”, over all rows; percent and counts."
    )


def _confusions(result: Evaluation) -> Section:
    figures = []
    for name, scores in slices(result.leading).items():
        png = heatmap(scores.confusion, ENGLISH, ENGLISH, title=name, rows="truth", columns="predicted")
        figures.append(report.picture(png, f"confusion matrix, {name}", name))
    return Section("Confusion", report.pictures(figures), "Rows are the truth; colour is the share of the row.")


def _coverage(result: Evaluation) -> Section:
    parts = slices(result.leading)
    png = coverage_curves({name: [(p.coverage, p.risk) for p in s.coverage] for name, s in parts.items()})
    asked = [at for at, p in enumerate(result.leading.overall.coverage) if p.coverage in (0.5, 0.7, 0.8, 0.9, 1.0)]
    rows = [
        [name, f"{100 * p.coverage:.0f}", _from(p.threshold), percent(1 - p.risk), f"{100 * area(s.coverage):.2f}"]
        for name, s in parts.items()
        for p in (s.coverage[at] for at in asked)
    ]
    heads = ("rows of", "answered %", "confidence from", "accuracy %", "mean risk %")
    body = report.pictures([report.picture(png, "risk over coverage"), report.table(heads, rows)])
    note = "What answering the surest texts alone comes to; the confidence is what --abstain-below takes."
    return Section("The surest texts", body, note)


def _from(threshold: float) -> str:
    """A confidence that no answer counted falls under: rounded down."""
    return f"{math.floor(1e5 * threshold) / 1e5:.5f}"


def _routing(result: Evaluation) -> Section:
    routing = result.routing
    assert routing is not None
    png = heatmap(routing.matrix, routing.domains, routing.experts, title="routing", rows="rows of", columns="expert")
    heads = ("rows of", *(f"→ {expert}" for expert in routing.experts))
    rows = [[domain, *(f"{x:,}" for x in row)] for domain, row in zip(routing.domains, routing.matrix, strict=True)]
    body = report.pictures([report.picture(png, "texts by domain and expert"), report.table(heads, rows)])
    return Section("Routing", body, "Which expert the router chose for the texts of each domain.")


def _rows(title: str, rows: Sequence[Mapping[str, object]]) -> Section:
    lines = []
    for row in sorted(rows, key=lambda r: -float(str(r["confidence"]))):
        label, predicted = str(row["label"]), str(row["predicted"])
        where = [str(row.get(key) or "–") for key in ("domain", "expert")]
        lines.append([
            row["text"], Cell(label, english(label)), Cell(predicted, english(predicted)), *where, row["id"],
            f"{float(str(row['confidence'])):.3f}",
        ])  # fmt: skip
    heads = ("text", "truth", "predicted", "domain", "expert", "id", "confidence")
    return Section(title, report.table(heads, lines, left=6), "A random sample, the most confident first.")
