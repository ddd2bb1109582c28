"""An audit as one HTML page: pictures, tables, and the clusters that do most harm, word for word.

A `LeakReport` and what it does to scores go in, the page comes out. It counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from finsa_moe.data.duplicates.leakage import NOTIONS, LeakReport
from finsa_moe.evaluation import report as page
from finsa_moe.evaluation.leak.figure import CALLED, audit_picture
from finsa_moe.evaluation.leak.harm import Harm, lines
from finsa_moe.evaluation.leak.tables import counted, remarks
from finsa_moe.evaluation.report import Cell, Section, html_page
from finsa_moe.polarity import NAMES, english


def audit_page(report: LeakReport, harms: Sequence[Harm], command: str = "") -> str:
    """The page: what is shared, what it does to scores, each split, and the clusters that do most harm.

    Args:
        report: What `data.duplicates.leakage.audit` found.
        harms: What `harm.harms` measured.
        command: How to make the page again.
    """
    sections = [_summary(report, harms), _shared(report), _splits(report), _repeats(report), _worst(report)]
    if harms:
        sections.insert(1, _harm(harms))
    if command:
        sections.append(Section("Again", page.code(command)))
    verdict = "leaks" if report.leaks() else "no leak found"
    return html_page("Leak audit", sections, f"{', '.join(report.splits)} · {verdict}")


def _summary(report: LeakReport, harms: Sequence[Harm]) -> Section:
    entries: list[tuple[str, object]] = [(name, f"{report.of(name).height:,}") for name in report.splits]
    for a, b in report.pairs():
        entries.append((f"of {b} in {a}", f"{100 * report.shared(a, b).share:.1f} %"))
    if report.labelled:
        entries.append((f"texts of several labels in {report.splits[0]}", f"{report.conflicts(report.splits[0]):,}"))
    image = page.picture(audit_picture(report, harms), "rows whose text stands twice, and scores with and without them")
    return Section("Summary", page.facts(entries) + image, ". ".join(remarks(report, harms)) + ".")


def _harm(harms: Sequence[Harm]) -> Section:
    rows = []
    for harm in harms:
        for name, judged in lines(harm):
            low, high = judged.interval
            marked = Cell(f"{100 * judged.macro_f1:.1f}", bar=judged.macro_f1)
            rows.append(
                [harm.train, harm.test, name, f"{judged.rows:,}", f"{judged.clusters:,}",
                 f"{100 * judged.accuracy:.1f}", marked, f"{100 * low:.1f}–{100 * high:.1f}"]
            )  # fmt: skip
    heads = ("learnt from", "judged on", "model", "rows", "clusters", "accuracy %", "macro-F1 %", "95 %")
    note = (
        "The look-up knows nothing but the labels of the same texts in the training split: what it scores above the "
        "majority class, the leak gave. What TF-IDF scores more on leaked rows than on clean ones of like classes "
        "shows the leak too, as far as both are equally hard. The 95 % intervals draw clusters of near texts, not "
        "rows: copies of one post are one observation."
    )
    return Section("What the leak does to scores", page.table(heads, rows, left=3), note)


def _shared(report: LeakReport) -> Section:
    rows = []
    for a, b in report.pairs():
        for notion in report.notions:
            s = report.shared(a, b, notion)
            rows.append([b, a, CALLED[notion], f"{s.rows:,}", f"{s.of:,}", Cell(f"{100 * s.share:.1f}", bar=s.share),
                         f"{s.texts:,}"])  # fmt: skip
    if not rows:
        return Section("Shared texts", page.text("One split alone: there is nothing to share with."))
    heads = ("rows of", "stand in", "same", "rows", "of", "%", "distinct texts")
    return Section("Shared texts", page.table(heads, rows, left=3))


def _splits(report: LeakReport) -> Section:
    heads = ("split", "rows", *NAMES, "no label", "length (quartiles)")
    rows = []
    for name in report.splits:
        counts = report.balance(name)
        total = max(1, report.of(name).height)
        polarities = [f"{counts[label]:,} ({100 * counts[label] / total:.0f} %)" for label in NAMES]
        lengths = "/".join(map(str, report.lengths(name)))
        rows.append([name, f"{report.of(name).height:,}", *polarities, f"{counts['']:,}", lengths])
    return Section("Splits", page.table(heads, rows), "Lengths in characters.")


def _repeats(report: LeakReport) -> Section:
    counts = {"repeats": report.duplicates} | ({"conflicts": report.conflicts} if report.labelled else {})
    heads = ("split", *(f"{what}, {CALLED[notion]}" for what in counts for notion in NOTIONS))
    rows = [
        [name, *(f"{count(split, notion):,}" for count in counts.values() for notion in NOTIONS)]
        for name, split in counted(report)
    ]
    note = "Repeats: rows beyond the first of each text."
    if not report.labelled:
        return Section("Repeats", page.table(heads, rows), note)
    note += " Conflicts: distinct texts (clusters) with more than one label."
    return Section("Repeats and label conflicts", page.table(heads, rows), note)


def _worst(report: LeakReport) -> Section:
    rows = []
    for at, example in enumerate(report.worst(20), 1):
        for row in example.rows:
            label = row["label"]
            cell = Cell("–", "muted") if label is None else Cell(label, english(label))
            rows.append([at, row["split"], cell, (row["text"] or "")[:300]])
    if not rows:
        return Section("Examples", page.text("No text repeats."))
    return Section("Examples", page.table(("cluster", "split", "label", "text"), rows, left=4), "The worst clusters.")
