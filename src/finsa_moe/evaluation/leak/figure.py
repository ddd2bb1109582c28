"""An audit as one picture without a text in it: how much repeats, and what that does to scores.

A `LeakReport` and its harms go in, a PNG comes out. It counts nothing itself and knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finsa_moe.data.duplicates.leakage import MADE, NOTIONS, LeakReport
from finsa_moe.evaluation.leak.harm import MODELS, Harm, lines
from finsa_moe.figures import COLOURS, INK, bare, figure, png_bytes, short, use_font

CALLED = {"raw": "word for word", "normalised": "but for marks", "near": "equal or near", MADE: "made of its rows"}
"""What the notions are called where people read them."""
_LEAKED = (MODELS["lookup_leaked"], MODELS["tfidf_leaked"])
_LONGEST = 24  # characters of a split's name that the picture has room for
MOST = 24
"""Bars that a reader can take in: where there were more, only near texts are drawn, of the pairs that share most."""


def audit_picture(report: LeakReport, harms: Sequence[Harm]) -> bytes:
    """Rows shared by splits (of one split alone, rows that repeat), and scores with 95 % intervals where measured.

    Args:
        report: What `data.duplicates.leakage.audit` found.
        harms: What `harm.harms` measured; the last is drawn, for the test split stands last.
    """
    harm = harms[-1] if harms else None
    called = dict(zip(report.splits, short(report.splits, _LONGEST), strict=True))
    bars, title = _bars(report, called)
    heights = [1.1 + 0.34 * len(bars), *([1.1 + 0.34 * len(lines(harm))] if harm else [])]
    if below := len(report.splits) > 2:  # names of pairs leave no room beside them
        picture = figure(9.6, sum(heights))
    else:
        picture = figure(9.6 if harm else 6.4, max(heights))
    grid = {"nrows": len(heights), "height_ratios": heights} if below else {"ncols": len(heights)}
    axes = picture.subplots(squeeze=False, **grid).ravel()
    _draw_bars(axes[0], bars)
    use_font([axes[0].set_title(title, fontsize=10, color=INK, loc="left")])
    if harm is not None:
        _draw_scores(axes[1], harm, called[harm.test])
    for axis in axes:
        axis.set_xlim(0, 116)
        axis.set_xticks(range(0, 101, 20))
        bare(axis, 9)
    return png_bytes(picture)


@dataclass(frozen=True)
class _Bar:
    """A bar: its name, its length in percent and which of `NOTIONS` it counts by."""

    name: str
    share: float
    notion: str


def _bars(report: LeakReport, called: Mapping[str, str]) -> tuple[list[_Bar], str]:
    """The bars, `NOTIONS` by `NOTIONS` where all fit, and what they are shares of."""
    pairs = report.pairs()
    if not pairs:
        rows = report.rows.height
        counts = [(notion, report.duplicates(notion=notion)) for notion in NOTIONS]
        bars = [_Bar(f"{CALLED[notion]}: {n:,} of {rows:,}", 100 * n / rows, notion) for notion, n in counts]
        return bars, f"rows of {called[report.splits[0]]} that repeat another, %"
    notions = NOTIONS if len(NOTIONS) * len(pairs) <= MOST else NOTIONS[-1:]
    worst = sorted(pairs, key=lambda pair: -report.shared(*pair).share)[:MOST]
    bars = []
    for a, b in (pair for pair in pairs if pair in worst):
        between = f"{called[b]} in {called[a]}" if len(report.splits) > 2 else ""
        for notion in notions:
            shared = report.shared(a, b, notion)
            what = ", ".join(filter(None, (between, CALLED[notion] if len(notions) > 1 else "")))
            bars.append(_Bar(f"{what}: {shared.rows:,} of {shared.of:,}", 100 * shared.share, notion))
    if len(report.splits) == 2:
        return bars, f"rows of {called[report.splits[1]]} that stand in {called[report.splits[0]]}, %"
    near = "" if len(notions) > 1 else f", {CALLED[notions[0]]}"
    some = f"; {MOST} of {len(pairs)} pairs" if len(pairs) > MOST else ""
    return bars, f"rows that stand in an earlier split{near}, %{some}"


def _draw_bars(axis: Any, bars: Sequence[_Bar]) -> None:
    places = range(len(bars))
    colours = [COLOURS[NOTIONS.index(bar.notion)] for bar in bars]
    axis.barh(places, [bar.share for bar in bars], color=colours, height=0.6)
    for at, bar in enumerate(bars):
        axis.text(bar.share + 1, at, f"{bar.share:.1f}", va="center", fontsize=9, color=INK)
    axis.set_yticks(places, [bar.name for bar in bars], fontsize=9, color=INK)
    use_font(axis.get_yticklabels())
    axis.set_ylim(len(bars) - 0.4, -0.6)  # the first bar on top


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
