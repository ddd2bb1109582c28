"""An audit as tables for the screen: splits, repeats, conflicts, what is shared, what that does to scores.

A `LeakReport` and its harms go in, Rich tables come out. It counts nothing itself, and holds no text.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from finsa_moe.data.duplicates.leakage import MADE, NOTIONS, LeakReport
from finsa_moe.evaluation.leak.figure import CALLED
from finsa_moe.evaluation.leak.harm import Harm, lines
from finsa_moe.polarity import NAMES


def audit_tables(report: LeakReport, harms: Sequence[Harm]) -> list[Table]:
    """The tables in reading order."""
    one = _table("split", "rows", *NAMES, "no label", "length (quartiles)")
    for name in report.splits:
        balance = report.balance(name)
        counts = [f"{balance[key]:,}" for key in (*NAMES, "")]
        one.add_row(name, f"{report.of(name).height:,}", *counts, "/".join(map(str, report.lengths(name))))
    called = [CALLED[notion] for notion in NOTIONS]
    two, three = _table("repeats", *called), _table("label conflicts", *called)
    for name, split in counted(report):
        two.add_row(name, *(f"{report.duplicates(split, notion):,}" for notion in NOTIONS))
        three.add_row(name, *(f"{report.conflicts(split, notion):,}" for notion in NOTIONS))
    tables = [one, two, three] if report.labelled else [one, two]
    if report.pairs():
        tables.append(_table("rows of", "stand in", *(CALLED[notion] for notion in report.notions), left=2))
    for a, b in report.pairs():
        shared = [report.shared(a, b, notion) for notion in report.notions]
        tables[-1].add_row(b, a, *(f"{s.rows:,} ({100 * s.share:.1f} %)" for s in shared))
    for harm in harms:
        tables.append(_table(f"from {harm.train} to {harm.test}", "rows", "clusters", "accuracy", "macro-F1", "95 %"))
        for name, judged in lines(harm):
            low, high = judged.interval
            tables[-1].add_row(
                name, f"{judged.rows:,}", f"{judged.clusters:,}", f"{100 * judged.accuracy:.1f}",
                f"{100 * judged.macro_f1:.1f}", f"{100 * low:.1f}–{100 * high:.1f}",
            )  # fmt: skip
    return tables


def counted(report: LeakReport) -> list[tuple[str, str | None]]:
    """What repeats and conflicts are counted in, and what to call it: each split, and all where there are several."""
    alone: list[tuple[str, str | None]] = [(name, name) for name in report.splits]
    return [*alone, ("all together", None)] if report.pairs() else alone


def remarks(report: LeakReport, harms: Sequence[Harm]) -> list[str]:
    """What a reader of the tables must know: the bar for near texts, what intervals draw, what TF-IDF did not see."""
    told = [f"near: Jaccard of character {report.n}-grams ≥ {report.clusters.threshold:g}"]
    if MADE in report.notions and report.pairs():
        told.append(f"{CALLED[MADE]}: source_id names a row of the other split, or both name one row")
    if report.orphans and report.pairs():
        told.append(f"{report.orphans:,} rows name by source_id an original that is in none of the splits")
    if harms:
        told.append("95 %: bootstrap intervals of macro-F1, drawing clusters of near texts, not rows")
    if any(harm.tfidf_alike for harm in harms):
        told.append(
            "like classes: each class weighed as often as it occurs among the leaked rows, to compare with those"
        )
    for train, known, learnt in dict.fromkeys((harm.train, harm.known, harm.learnt) for harm in harms):
        if 0 < learnt < known:
            told.append(f"TF-IDF learnt from {learnt:,} of {known:,} rows of {train}: those that leak, the rest drawn")
    return told


def verdict(report: LeakReport, allowed: float = 0.0) -> list[str]:
    """A line for each pair of splits of which more leaks than is allowed: how much, and by which notion."""
    told = []
    for a, b in report.leaking(allowed=allowed):
        found = [f"{report.shared(a, b, notion).rows:,} {CALLED[notion]}" for notion in report.notions]
        rows, share = report.of(b).height, report.leaked(a, b)
        told.append(f"{b} leaks from {a}: {', '.join(found)}, of {rows:,} rows ({100 * share:.1f} %)")
    return told


def _table(*heads: str, left: int = 1) -> Table:
    made = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        made.add_column(head, justify="left" if at < left else "right")
    return made
