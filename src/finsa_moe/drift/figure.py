"""A drift as one picture: shares before and now with their intervals, and the words that shifted.

A `Drift` goes in, a PNG comes out. Before is a hollow mark and now a full one, so that colour is not needed to read it.
"""

from __future__ import annotations

from typing import Any

from finsa_moe.data.fonts import chinese_font, drawable
from finsa_moe.drift.shift import Change, Drift
from finsa_moe.figures import COLOURS, INK, SOFT, bare, family, figure, png_bytes
from finsa_moe.polarity import english

_GROUPS = {"novel": "unlike known texts", "routing": "read by", "sentiment": "answered"}


def drift_picture(drift: Drift, old: str = "old", new: str = "new") -> bytes:
    """Draw a drift; `old` and `new` are what the two bodies of text are called."""
    rows = max(len(drift.changes), len(drift.words) / 2, 4)
    picture = figure(10.5, 1.4 + 0.36 * rows)
    left, right = picture.subplots(1, 2, width_ratios=(1.15, 1))
    before, now = drawable([old, new])
    _shares(left, drift, before, now)
    _words(right, drift)
    for axes in (left, right):
        bare(axes, 9)
        axes.tick_params(axis="y", labelcolor=INK)
    return png_bytes(picture)


def _shares(axes: Any, drift: Drift, old: str, new: str) -> None:
    names = [f"{_GROUPS[one.kind]}{'' if one.kind == 'novel' else ' ' + _called(one)}" for one in drift.changes]
    for at, one in enumerate(drift.changes):
        marks = ((one.old, one.old_interval, -0.16, SOFT, "white"), (one.new, one.new_interval, 0.16, *COLOURS[:1] * 2))
        for share, (low, high), off, colour, fill in marks:
            axes.plot([100 * low, 100 * high], [at + off] * 2, color=colour, linewidth=2, zorder=2)
            axes.plot(100 * share, at + off, "o", color=colour, markerfacecolor=fill, markersize=6, zorder=3)
    axes.plot([], [], "o-", color=SOFT, markerfacecolor="white", label=f"{old}: {drift.old_rows:,} rows")
    axes.plot([], [], "o-", color=COLOURS[0], label=f"{new}: {drift.new_rows:,} rows")
    legend = axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    for entry in legend.get_texts():
        entry.set(family=family(), color=INK)
    axes.set_yticks(range(len(names)), drawable(names), family=family())
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of rows, %, with 95 % intervals", fontsize=9, color=SOFT)


def _words(axes: Any, drift: Drift) -> None:
    shown = drift.words
    words = drawable([one.word for one in shown])  # numbered, as the table lists them, where no font has them
    names = [f"{word} {one.old:,} → {one.new:,}" for word, one in zip(words, shown, strict=True)]
    for at, one in enumerate(shown):
        risen = one.log_odds > 0
        bar = axes.barh(at, one.log_odds, height=0.66, color=COLOURS[0] if risen else "#b9bfc8")[0]
        if not risen:
            bar.set(edgecolor="white", hatch="////")
        axes.plot(one.interval, [at, at], color=INK, linewidth=1)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.set_yticks(range(len(names)), names, family=family())
    if shown:
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("log-odds ratio: more now to the right, less to the left", fontsize=9, color=SOFT)
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no word surely shifted", ha="center", color=SOFT, transform=axes.transAxes)


def _called(one: Change) -> str:
    return english(one.name) if one.kind == "sentiment" and not chinese_font() else one.name
