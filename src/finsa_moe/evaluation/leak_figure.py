"""An audit as one picture without a text in it: how much repeats, and what that does to scores.

A `LeakReport` and its harms go in, a PNG comes out. It counts nothing itself and knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finsa_moe.data.leakage import NOTIONS, LeakReport
from finsa_moe.errors import require
from finsa_moe.evaluation.figures import COLOURS, INK, LINE, SOFT, drawable, png_bytes, use_font
from finsa_moe.evaluation.leak import MODELS, Harm, lines

CALLED = {"raw": "word for word", "normalised": "but for marks", "near": "equal or near"}
"""What the notions are called where people read them."""
_LEAKED = (MODELS["lookup_leaked"], MODELS["tfidf_leaked"])
_LONGEST = 20  # characters of a split's name that the picture has room for


def audit_picture(report: LeakReport, harms: Sequence[Harm]) -> bytes:
    """Rows shared by splits (of one split alone, rows that repeat), and scores with 95 % intervals where measured.

    Args:
        report: What `data.leakage.audit` found.
        harms: What `evaluation.leak.harms` measured; the last is drawn, for the test split stands last.
    """
    figure_class = require("matplotlib.figure", "data", "drawing figures").Figure
    harm = harms[-1] if harms else None
    short = dict(zip(report.splits, [_short(name) for name in drawable(report.splits)], strict=True))
    names, counts, title = _bars(report, short)
    rows = max(len(names), len(lines(harm)) if harm else 0)
    figure = figure_class(figsize=(9.6 if harm else 6.4, 1.1 + 0.34 * rows), layout="constrained")
    axes = figure.subplots(1, 2 if harm else 1, squeeze=False)[0]
    _draw_bars(axes[0], names, counts)
    use_font([axes[0].set_title(title, fontsize=10, color=INK, loc="left")])
    if harm is not None:
        _draw_scores(axes[1], harm, short[harm.test])
    for axis in axes:
        axis.set_xlim(0, 116)
        axis.set_xticks(range(0, 101, 20))
        axis.grid(axis="x", color=LINE, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, colors=SOFT, labelsize=9)
        axis.spines[:].set_visible(False)
    return png_bytes(figure)


def _bars(report: LeakReport, short: Mapping[str, str]) -> tuple[list[str], list[float], str]:
    """Name and share (percent) of each bar, `NOTIONS` by `NOTIONS`, and what they are shares of."""
    names, shares = [], []
    for a, b in report.pairs():
        pair = f"{short[b]} in {short[a]}, " if len(report.splits) > 2 else ""
        for notion in NOTIONS:
            shared = report.shared(a, b, notion)
            names.append(f"{pair}{CALLED[notion]}: {shared.rows:,} of {shared.of:,}")
            shares.append(100 * shared.share)
    if names:
        two = len(report.splits) == 2
        told = f"rows of {short[report.splits[1]]} that stand in {short[report.splits[0]]}, %"
        return names, shares, told if two else "rows that stand in an earlier split, %"
    rows = report.rows.height
    for notion in NOTIONS:
        repeats = report.duplicates(notion=notion)
        names.append(f"{CALLED[notion]}: {repeats:,} of {rows:,}")
        shares.append(100 * repeats / rows)
    return names, shares, f"rows of {short[report.splits[0]]} that repeat another, %"


def _draw_bars(axis: Any, names: Sequence[str], shares: Sequence[float]) -> None:
    places = range(len(names))
    axis.barh(places, shares, color=[COLOURS[at % len(NOTIONS)] for at in places], height=0.6)
    for at, share in enumerate(shares):
        axis.text(share + 1, at, f"{share:.1f}", va="center", fontsize=9, color=INK)
    axis.set_yticks(places, names, fontsize=9, color=INK)
    use_font(axis.get_yticklabels())
    axis.set_ylim(len(names) - 0.4, -0.6)  # the first bar on top


def _draw_scores(axis: Any, harm: Harm, test: str) -> None:
    found = lines(harm)
    for at, (name, judged) in enumerate(found):
        low, high = (100 * end for end in judged.interval)
        axis.plot([low, high], [at, at], color=COLOURS[0], linewidth=2)
        axis.plot(100 * judged.macro_f1, at, "o", color=COLOURS[1] if name in _LEAKED else COLOURS[0])
        axis.text(104, at, f"{100 * judged.macro_f1:.1f}", va="center", fontsize=9, color=INK)
    axis.set_yticks(range(len(found)), [name for name, _ in found], fontsize=9, color=INK)
    axis.set_ylim(len(found) - 0.4, -0.6)
    title = f"macro-F1 on {test}, 95 % interval over clusters"
    use_font([axis.set_title(title, fontsize=10, color=INK, loc="left")])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
