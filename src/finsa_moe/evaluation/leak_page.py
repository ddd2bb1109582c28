"""An audit as one HTML page, and as one picture without a text in it.

A `LeakReport` and what it does to scores go in; the page or the picture comes out. It counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finsa_moe.data.leakage import NOTIONS, LeakReport
from finsa_moe.errors import DataError, require
from finsa_moe.evaluation import report as page
from finsa_moe.evaluation.figures import COLOURS, INK, LINE, SOFT, drawable, png_bytes
from finsa_moe.evaluation.leak import Harm, lines
from finsa_moe.evaluation.report import Cell, Section, html_page
from finsa_moe.polarity import ENGLISH, NAMES

_ENGLISH = dict(zip(NAMES, ENGLISH, strict=True))
_CALLED = {"raw": "word for word", "normalised": "but for marks", "near": "equal or near"}


def audit_page(report: LeakReport, harms: Sequence[Harm], command: str = "") -> str:
    """The page: what is shared, what it does to scores, each split, and the clusters that do most harm.

    Args:
        report: What `data.leakage.audit` found.
        harms: What `evaluation.leak.harm` measured.
        command: How to make the page again.
    """
    sections = [_summary(report), _shared(report), _splits(report)]
    if harms:
        sections.insert(1, _harm(report, harms))
    sections.append(_worst(report))
    if command:
        sections.append(Section("Again", page.code(command)))
    verdict = "leaks" if report.leaks() else "no leak found"
    return html_page("Leak audit", sections, f"{', '.join(report.splits)} · {verdict}")


def audit_picture(report: LeakReport, harms: Sequence[Harm]) -> bytes:
    """Shared rows by notion, and scores with 95 % intervals where there are labels: a PNG without a text."""
    figure_class = require("matplotlib.figure", "data", "drawing figures").Figure
    height = 1.1 + 0.34 * max(6 * len(harms), 3 * len(report.pairs()), 3)
    figure = figure_class(figsize=(9.6 if harms else 5.2, height), layout="constrained")
    axes = figure.subplots(1, 2 if harms else 1, squeeze=False)[0]
    names, shares = [], []
    for a, b in report.pairs():
        for notion in NOTIONS:
            shared = report.shared(a, b, notion)
            pair = f"{b} in {a}, " if len(report.splits) > 2 else ""
            names.append(f"{pair}{_CALLED[notion]}: {shared.rows:,} of {shared.of:,}")
            shares.append(100 * shared.share)
    axes[0].barh(range(len(names)), shares, color=[COLOURS[at % 3] for at in range(len(names))], height=0.6)
    for at, share in enumerate(shares):
        axes[0].text(share + 1, at, f"{share:.1f} %", va="center", fontsize=9, color=INK)
    axes[0].set_yticks(range(len(names)), drawable(names), fontsize=9, color=INK)
    told = "an earlier split" if len(report.splits) > 2 else drawable([report.splits[0]])[0]
    axes[0].set_title(f"rows of {drawable([report.splits[-1]])[0]} whose text stands in {told}", fontsize=10, color=INK)
    axes[0].set_xlim(0, 112)
    for harm in harms:
        found = lines(harm)
        for at, (_, judged) in enumerate(found):
            low, high = (100 * end for end in judged.interval)
            axes[1].plot([low, high], [at, at], color=COLOURS[0], linewidth=2)
            axes[1].plot(100 * judged.macro_f1, at, "o", color=COLOURS[1] if "leaked" in found[at][0] else COLOURS[0])
            axes[1].text(101, at, f"{100 * judged.macro_f1:.1f}", va="center", fontsize=9, color=INK)
        axes[1].set_yticks(range(len(found)), [name for name, _ in found], fontsize=9, color=INK)
        axes[1].set_title(f"macro-F1 on {drawable([harm.test])[0]}, %, 95 % interval", fontsize=10, color=INK)
        axes[1].set_xlim(0, 112)
        break  # one pair is one picture; the page has the table of all
    for axis in axes:
        axis.invert_yaxis()
        axis.grid(axis="x", color=LINE, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, colors=SOFT, labelsize=9)
        axis.spines[:].set_visible(False)
    return png_bytes(figure)


def write(path: Path, content: str | bytes) -> None:
    """Write a page or a picture, whole or not at all.

    Raises:
        DataError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error


def _summary(report: LeakReport) -> Section:
    entries: list[tuple[str, object]] = [(name, f"{report.of(name).height:,}") for name in report.splits]
    for a, b in report.pairs():
        entries.append((f"of {b} in {a}", f"{100 * report.shared(a, b).share:.1f} %"))
    entries.append((f"texts of several labels in {report.splits[0]}", f"{report.conflicts(report.splits[0]):,}"))
    return Section(
        "Summary", page.facts(entries), f"Near: Jaccard of character {report.n}-grams ≥ {report.clusters.threshold:g}."
    )


def _harm(report: LeakReport, harms: Sequence[Harm]) -> Section:
    rows = []
    for harm in harms:
        for name, judged in lines(harm):
            low, high = judged.interval
            marked = Cell(f"{100 * judged.macro_f1:.1f}", bar=judged.macro_f1)
            rows.append(
                [harm.train, harm.test, name, f"{judged.rows:,}", f"{100 * judged.accuracy:.1f}", marked,
                 f"{100 * low:.1f}–{100 * high:.1f}"]
            )  # fmt: skip
    heads = ("learnt from", "judged on", "model", "rows", "accuracy %", "macro-F1 %", "95 %")
    note = (
        "The look-up knows nothing but the labels of the same texts in the training split. What it scores above the "
        "majority class, and what TF-IDF scores more on leaked rows than on clean ones, is what the leak gives."
    )
    image = page.picture(audit_picture(report, harms), "shared rows and scores")
    return Section("What the leak does to scores", image + page.table(heads, rows, left=3), note)


def _shared(report: LeakReport) -> Section:
    rows = []
    for a, b in report.pairs():
        for notion in NOTIONS:
            s = report.shared(a, b, notion)
            rows.append([b, a, _CALLED[notion], f"{s.rows:,}", f"{s.of:,}", Cell(f"{100 * s.share:.1f}", bar=s.share),
                         f"{s.texts:,}"])  # fmt: skip
    if not rows:
        return Section("Shared texts", page.text("One split alone: there is nothing to share with."))
    heads = ("rows of", "stand in", "same", "rows", "of", "%", "distinct texts")
    return Section("Shared texts", page.table(heads, rows, left=3))


def _splits(report: LeakReport) -> Section:
    counted = [f"{what}, {_CALLED[notion]}" for what in ("repeats", "label conflicts") for notion in NOTIONS]
    heads = ("split", "rows", *NAMES, "no label", "length (quartiles)", *counted)
    rows = []
    for name in report.splits:
        counts = report.balance(name)
        total = max(1, report.of(name).height)
        polarities = [f"{counts[label]:,} ({100 * counts[label] / total:.0f} %)" for label in NAMES]
        rows.append(
            [name, f"{report.of(name).height:,}", *polarities, f"{counts['']:,}",
             "/".join(map(str, report.lengths(name))),
             *(f"{report.duplicates(name, notion):,}" for notion in NOTIONS),
             *(f"{report.conflicts(name, notion):,}" for notion in NOTIONS)]
        )  # fmt: skip
    note = "Repeats: rows beyond the first of each text. Conflicts: distinct texts (clusters) with more than one label."
    return Section("Splits", page.table(heads, rows), note)


def _worst(report: LeakReport) -> Section:
    rows = []
    for at, example in enumerate(report.worst(20), 1):
        for row in example.rows:
            label = row["label"] or "–"
            rows.append([at, row["split"], Cell(label, _ENGLISH.get(label, "muted")), (row["text"] or "")[:300]])
    if not rows:
        return Section("Examples", page.text("No text repeats."))
    return Section("Examples", page.table(("cluster", "split", "label", "text"), rows, left=4), "The worst clusters.")
