"""A comparison as one self-contained HTML page that a head of research would read.

In come a `Comparison` and wrong answers, out comes a string: summary, scores, the method's metrics, differences,
pictures, experts, routing, leaks, wrong answers, how to reproduce. It computes nothing and draws only by
`comparison.figures` and `evaluation.figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finsa_moe.evaluation import report
from finsa_moe.evaluation.baselines import accounts
from finsa_moe.evaluation.comparison.comparison import POOLED, Comparison, Entry
from finsa_moe.evaluation.comparison.examples import Example
from finsa_moe.evaluation.comparison.experts import Matrix, matrices
from finsa_moe.evaluation.comparison.figures import curves, intervals, labels, reliability
from finsa_moe.evaluation.comparison.figures import matrix as expert_map
from finsa_moe.evaluation.comparison.method import NUMBERS
from finsa_moe.evaluation.comparison.tables import (
    COSTS,
    METHOD,
    account_rows,
    cost_rows,
    difference_words,
    interval_words,
    leak_lines,
    method_rows,
    score_words,
    unranked_lines,
)
from finsa_moe.evaluation.explained import CSS as EXPLAINED
from finsa_moe.evaluation.explained import examples_section
from finsa_moe.evaluation.figures import coverage_curves, heatmap
from finsa_moe.evaluation.report import Cell, Section
from finsa_moe.evaluation.results import ORACLE, ROUTED
from finsa_moe.polarity import ENGLISH, NAMES

CLEAN = (
    "Texts that do not leak may hold other shares of the classes, which alone moves macro-F1: compare models on them, "
    "not a model's two scores."
)
ROWS = {ROUTED: "router", ORACLE: "true domain's expert"}

# a spec may be as long as a path: it breaks, and the numbers beside it do not
CSS = f"""{EXPLAINED}
.wide td:first-child{{overflow-wrap:anywhere;min-width:9rem}}th{{vertical-align:bottom}}
"""


def page(
    found: Comparison, command: str = "", examples: Sequence[Example] = (), remark: str = "",
    paper: Section | None = None,
) -> str:  # fmt: skip
    """The whole page.

    Args:
        found: What was measured.
        command: What reproduces it.
        examples: Wrong answers to show.
        remark: Stands over them.
        paper: The paper's tables, where they are wanted.
    """
    sections = [_summary(found), _scores(found), _method(found), *([paper] if paper else []), _differences(found)]
    sections.append(_pictures(found))
    if found.curves:
        sections.append(_curves(found))
    sections.append(_calibration(found))
    sections += [_matrix(found, matrix) for matrix in matrices(found)]
    if sent := {model: counts for model in found.models if (counts := found.sent(model))}:
        sections.append(_routing(found, sent))
    sections.append(_data(found))
    sections.append(_costs(found))
    if examples:
        sections.append(examples_section(examples, remark))
    if command:
        sections.append(Section("How to reproduce", report.code(command)))
    texts = sum(len(one.texts) for one in found.sets)
    return report.html_page(
        f"{len(found.models)} models on {len(found.sets)} test sets", sections,
        f"macro-F1 in percent on {texts:,} texts; reference: {found.called(found.reference)}", CSS,
    )  # fmt: skip


def _summary(found: Comparison) -> Section:
    best, others = found.leader, [model for model in found.ranked if model != found.reference]
    against = [entry.against for model in others for entry in found.entries[model].values()]
    sure = sum(gap is not None and gap.sure for gap in against)
    entries: list[tuple[str, object]] = [
        ("best mean macro-F1 %", f"{100 * found.mean(best):.1f}"), ("reached by", found.called(best)),
        (f"differences from {found.called(found.reference)} that are sure", f"{sure} of {len(against)}"),
        ("leaking texts", f"{sum(leaked for leaked, _ in found.leaks.values()):,}" if found.leaks else "–"),
    ]  # fmt: skip
    return Section("Summary", report.facts(entries))


def _scores(found: Comparison) -> Section:
    rows = []
    for model in found.models:
        row: list[object] = [found.called(model)]
        for name in found.slices:
            entry = found.at(model, name)
            mark = "best" if found.best(name) == model else "muted" if _unsure(entry) else ""
            row += [Cell(score_words(entry), mark, entry.macro_f1.value), Cell(interval_words(entry), "muted")]
        rows.append([*row, f"{100 * found.mean(model):.1f}"])
    heads = ["model", *(head for name in found.slices for head in (name, "95 %")), "mean"]
    together = f" {POOLED}: their texts as one; mean: of the sets' scores." if found.pooled else ""
    unranked = "".join(f" {line}" for line in unranked_lines(found))
    note = (
        "Macro-F1, mean ± standard deviation over seeds. Intervals draw clusters of near texts. Bold: best of the set; "
        f"grey: not surely different from {found.called(found.reference)}.{together}{unranked}"
    )
    known = report.table(("name", "model"), [[name, spec] for spec, name in found.names.items()], left=2)
    return Section("Scores", report.table(heads, rows) + (known if found.names else ""), note)


def _method(found: Comparison) -> Section:
    lines = method_rows(found)
    best = {name: [max(found.at(model, name).metric(metric) for model in found.ranked) for metric in NUMBERS]
            for name in found.slices}  # fmt: skip
    ranked = set(map(found.called, found.ranked))
    rows = [
        [name, model, *(Cell(f"{100 * x:.1f}", "best" if model in ranked and x == top else "")
                        for x, top in zip(values, best[name], strict=True))]
        for name, model, values in lines
    ]  # fmt: skip
    return Section("The method's metrics", report.table(("test set", "model", *NUMBERS), rows, left=2), METHOD)


def _differences(found: Comparison) -> Section:
    rows = []
    for model in found.models:
        for name in found.slices:
            entry = found.at(model, name)
            if entry.against is not None and entry.test is not None:
                words = Cell(difference_words(entry), "muted" if _unsure(entry) else "")
                rows.append([found.called(model), name, words, entry.test.only_first, entry.test.only_second])
    heads = ("model", "test set", "difference, points", "it alone is right", "the reference alone")
    reference = found.called(found.reference)
    note = f"From {reference}: paired bootstrap over clusters, then McNemar's test (mid-p) on the first seed."
    return Section("Differences", report.table(heads, rows, left=3), note)


def _pictures(found: Comparison) -> Section:
    shown = [
        report.picture(intervals(found, one.name), f"macro-F1 of every model on {one.name}", one.name)
        for one in found.sets
    ]
    return Section("Pictures", report.pictures(shown, large=True))


def _curves(found: Comparison) -> Section:
    shown = [
        report.picture(curves(found, one.name), f"macro-F1 on {one.name} by share of rows", one.name)
        for one in found.sets
    ]
    return Section(
        "Learning curves", report.pictures(shown, large=True), "Mean over seeds; every share holds the smaller ones."
    )


def _calibration(found: Comparison) -> Section:
    shown, rows, called = [], [], labels(found)
    leading = dict.fromkeys((found.leader, found.reference))
    for one in found.sets:
        best = {m: found.entries[m][one.name].scores for m in leading}
        covered = {called[m]: [(p.coverage, p.risk) for p in scores.coverage] for m, scores in best.items()}
        shown.append(report.picture(coverage_curves(covered), f"risk and coverage on {one.name}", one.name))
        shown.append(
            report.picture(reliability(found, one.name, list(leading)), f"reliability on {one.name}", one.name)
        )
        for model in leading:
            title = f"{called[model]} on {one.name}"
            drawn = heatmap(
                found.confusion(model, one.name), ENGLISH, ENGLISH, title=title, rows="truth", columns="answer"
            )
            told = f"{found.called(model)} on {one.name}"
            shown.append(report.picture(drawn, f"confusion of {told}", told))
    for name in found.slices:
        for model in found.models:
            entry = found.at(model, name)
            numbers = (entry.scores.accuracy, entry.surest, entry.scores.ece)
            rows.append([found.called(model), name, *(f"{100 * x:.1f}" for x in numbers)])
    heads = ("model", "test set", "accuracy", "accuracy of the surest 70 %", "calibration error")
    body = report.table(heads, rows, left=2) + report.pictures(shown)
    return Section("Confidence and confusion", body, "Of the first seed; pictures of the best model and the reference.")


def _data(found: Comparison) -> Section:
    rows = []
    for one in found.sets:
        leaked = "–" if one.leaked is None else int(one.leaked.sum())
        counts = [int((one.truth == at).sum()) for at in range(len(NAMES))]
        rows.append([one.name, len(one.texts), len(set(one.clusters.tolist())), *counts, leaked])
    heads = ("test set", "texts", "clusters", *NAMES, "stand in training")
    clean = [
        [found.called(model), one.name, f"{100 * entry.macro_f1.value:.1f}", f"{100 * entry.clean:.1f}"]
        for model in found.models for one in found.sets
        if (entry := found.entries[model][one.name]).clean is not None
    ]  # fmt: skip
    body = report.table(heads, rows) + "".join(map(report.text, leak_lines(found)))
    if clean:
        body += report.text(CLEAN)
        body += report.table(("model", "test set", "all texts", "texts that do not leak"), clean, left=2)
    return Section("Data and leaks", body, "Near: Jaccard of character 4-grams, as finsa audit has it.")


def _matrix(found: Comparison, matrix: Matrix) -> Section:
    values = matrix.values(found)
    drawn = report.picture(expert_map(values), f"macro-F1 of {found.called(matrix.mixture)} by expert and test set")
    best = {one.name: max(of[one.name] for of in values.values()) for one in found.sets}
    rows = [
        [ROWS.get(row, f"expert {row}"), *(Cell(f"{100 * x:.1f}", "best" if x == best[name] else "")
                                           for name, x in of.items())]
        for row, of in values.items()
    ]  # fmt: skip
    body = report.pictures([drawn, report.table(("answered by", *(one.name for one in found.sets)), rows)])
    note = "Macro-F1 of the mixture with one expert for all texts, with the router, and with the true domain's expert."
    return Section(f"Experts across domains: {found.called(matrix.mixture)}", body, note)


def _routing(found: Comparison, sent: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Section:
    shown: list[str] = []
    rows: list[list[object]] = []
    called = labels(found)
    for model, counts in sent.items():
        experts = list(next(iter(counts.values())))
        drawn = heatmap(
            [list(of.values()) for of in counts.values()], list(counts), experts, title=called[model],
            rows="texts of", columns="expert",
        )  # fmt: skip
        shown.append(report.picture(drawn, f"texts by test set and expert, {found.called(model)}"))
        for name, of in counts.items():
            own = found.entries[model][name].routing
            share = f"{100 * own:.1f}" if own is not None else "–"
            rows.append([found.called(model), name, share, " · ".join(f"{expert} {n:,}" for expert, n in of.items())])
        every = {expert: sum(of[expert] for of in counts.values()) for expert in experts}
        whole = sum(every.values())
        used = " · ".join(f"{expert} {100 * n / whole:.1f} %" for expert, n in every.items())
        rows.append([found.called(model), Cell("expert use", "best"), "", used])
    heads = ("model", "test set", "to its own expert, %", "texts by expert")
    body = report.table(heads, rows, left=2) + report.pictures(shown)
    return Section("Routing", body, "Which expert the router chose; of the first seed.")


def _costs(found: Comparison) -> Section:
    body = report.table(COSTS, cost_rows(found))
    if asked := account_rows(found):
        body += report.text(f"What was asked of chat models, all seeds. {accounts.NOTE}")
        body += report.table(("model", *accounts.HEADS), asked)
    return Section(
        "What it took", body, "Training and answering together, on the machine that ran it; – for no training."
    )


def _unsure(entry: Entry) -> bool:
    return entry.against is not None and not entry.against.sure
