"""The index as pictures: lines of sentiment over bars of volume, and a heat map by ticker and day.

An `Index` goes in, PNG bytes come out, drawn without a display. It computes nothing but which tickers are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from finsa_moe.data.fonts import drawable
from finsa_moe.figures import COLOURS, INK, LINE, SOFT, family, figure, png_bytes
from finsa_moe.scale.index import MARKET, Index

BARS = "#c9d3e3"
MOST_LINES, MOST_ROWS, MOST_DAYS = 4, 40, 250


def lines(index: Index, tickers: Sequence[str] | None = None) -> bytes:
    """The market's score with its volume, and below it that of single tickers; the most written of where none is named.

    Drawn is ``score_recent``, which fades from day to day, over the day's own ``score`` as fainter dots: a
    line with a dot a day, so that a day between thin ones is seen.
    """
    names = [MARKET, *(tickers if tickers is not None else _busiest(index, MOST_LINES))]
    picture = figure(9.6, 0.6 + 1.75 * len(names))
    panels = picture.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    called = drawable(names)
    for axes, name, title, colour in zip(panels, names, called, [INK, *COLOURS * len(names)], strict=False):
        part = index.frame.filter(pl.col("ticker") == name)
        day = part["day"].to_numpy()
        volume = axes.twinx()
        volume.bar(day, part["texts"].to_numpy(), width=1.0, color=BARS)
        volume.set_ylim(0, 3 * max(part["texts"].to_list(), default=1))  # bars below, lines above
        volume.set_ylabel("texts", color=SOFT, fontsize=8)
        axes.plot(day, _floats(part["score"]), ".", color=colour, alpha=0.35, markersize=3)
        axes.plot(day, _floats(part["score_recent"]), ".-", color=colour, linewidth=1.6, markersize=4)
        axes.axhline(0, color=LINE, linewidth=1)
        axes.set_zorder(volume.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.set_title(title, fontsize=10, color=INK, loc="left", fontfamily=family())
        axes.set_ylabel("score", color=SOFT, fontsize=8)
        for one in (axes, volume):
            one.tick_params(colors=SOFT, labelsize=8, length=0)
            one.spines[:].set_visible(False)
    picture.autofmt_xdate(rotation=0, ha="center")
    return png_bytes(picture)


def heat_map(index: Index, tickers: Sequence[str] | None = None) -> bytes:
    """Daily scores of the tickers most written of: a row each, the last days as columns, red rising and green falling.

    Red is up and green down as on every Chinese quote board; what the index leaves empty stays white.
    """
    names = list(tickers if tickers is not None else _busiest(index, MOST_ROWS))
    days = index.market["day"].to_list()[-MOST_DAYS:]
    at = {day: column for column, day in enumerate(days)}
    grid = np.full((max(1, len(names)), len(days)), np.nan)
    for row, name in enumerate(names):
        part = index.frame.filter((pl.col("ticker") == name) & pl.col("score").is_not_null())
        for day, score in zip(part["day"].to_list(), part["score"].to_list(), strict=True):
            if day in at:
                grid[row, at[day]] = score
    picture = figure(9.6, 1.2 + 0.2 * max(1, len(names)))
    axes = picture.subplots()
    limit = max(0.05, float(np.nanmax(np.abs(grid)))) if np.isfinite(grid).any() else 1.0
    image = axes.imshow(grid, cmap="RdYlGn_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    shown = np.unique(np.linspace(0, len(days) - 1, min(8, len(days))).astype(int))
    axes.set_xticks(shown, [str(days[i]) for i in shown], color=SOFT, fontsize=8)
    axes.set_yticks(range(len(names)), drawable(names), color=INK, fontsize=8, fontfamily=family())
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = picture.colorbar(image, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label("score: P(bullish) − P(bearish)", color=SOFT, fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=SOFT, labelsize=8, length=0)
    return png_bytes(picture)


def _busiest(index: Index, most: int) -> list[str]:
    """The tickers with most texts, ties by name."""
    total = (
        index.tickers.group_by("ticker").agg(pl.col("texts").sum()).sort(["texts", "ticker"], descending=[True, False])
    )
    return total["ticker"].head(most).to_list()


def _floats(column: pl.Series) -> Any:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
