"""The words that move each class most, as bars: a row a domain, a column a class.

A `WordTable` goes in, a PNG comes out. Bars to the right speak for the class, hatched ones to the left against it, so
that colour is not needed to read it. It needs a font that can write Chinese.
"""

from __future__ import annotations

from finsa_moe.data.domains import ALL
from finsa_moe.data.fonts import chinese_font, drawable
from finsa_moe.explain.word_table import WordTable
from finsa_moe.figures import INK, SOFT, bare, family, figure, png_bytes
from finsa_moe.polarity import Polarity

# Red rises and green falls, as every Chinese quote board has it.
COLOURS = {Polarity.BEARISH: "#1b7f4b", Polarity.NEUTRAL: "#6b7280", Polarity.BULLISH: "#c22f2f"}
AGAINST = "#b9bfc8"


def word_bars(table: WordTable, n: int = 12, least: int = 1) -> bytes:
    """Draw the `n` words with the largest sum of SHAP values, either way, for each class and domain.

    Args:
        table: Filled with explained texts.
        n: Words a panel.
        least: Leave out words that occur less often.
    """
    domains = table.domains or (ALL,)
    picture = figure(11.5, (0.9 + 0.26 * n) * len(domains) + 0.3)
    panels = picture.subplots(len(domains), len(Polarity), squeeze=False)
    for line, domain, called in zip(panels, domains, drawable(domains), strict=True):
        for axes, polarity in zip(line, Polarity, strict=True):
            rows = table.strongest(domain, polarity, n, least)
            words = drawable([_short(row.word) for row in rows])
            names = [f"{word} ×{row.frequency}" for word, row in zip(words, rows, strict=True)]
            bars = axes.barh(range(len(rows)), [row.sum for row in rows], height=0.7, color=COLOURS[polarity])
            for bar, row in zip(bars, rows, strict=True):
                if row.sum < 0:
                    bar.set(facecolor=AGAINST, edgecolor="white", hatch="////")
            axes.invert_yaxis()  # the strongest on top
            axes.axvline(0, color=SOFT, linewidth=0.8)
            axes.set_yticks(range(len(rows)), names, fontsize=8, color=INK, family=family())
            title = f"{called}: {polarity.chinese if chinese_font() else polarity.english}"
            axes.set_title(title, fontsize=10, color=INK, family=family(), loc="left")
            bare(axes, 8)
            axes.tick_params(axis="y", colors=INK)
    for axes in panels[-1]:
        axes.set_xlabel("sum of SHAP values, in probability", fontsize=8, color=SOFT)
    return png_bytes(picture)


def _short(word: str) -> str:
    return word if len(word) <= 10 else word[:7] + "..."
