"""Pictures of a comparison: intervals by model, learning curves, reliability, as PNG.

In comes a `Comparison`, out come bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from finsa_moe.data.fonts import drawable
from finsa_moe.evaluation.comparison.comparison import Comparison
from finsa_moe.figures import COLOURS, INK, LINE, SOFT, alone, figure, look, panel, png_bytes, short, use_font

_LONGEST = 40


def intervals(found: Comparison, name: str) -> bytes:
    """Macro-F1 of every model on a test set, with its interval; the best stands on top."""
    models = sorted(found.models, key=lambda model: found.entries[model][name].macro_f1.value)
    picture, axes = panel(6.4, 1.1 + 0.32 * len(models))
    for at, model in enumerate(models):
        value = found.entries[model][name].macro_f1
        colour = COLOURS[1] if model == found.reference else COLOURS[0]
        axes.plot([100 * value.low, 100 * value.high], [at, at], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([100 * value.value], [at], "o", color=colour, markersize=7)
        axes.annotate(
            f"{100 * value.value:.1f}", (1.01, at), xycoords=("axes fraction", "data"), va="center", color=INK
        )
    called = labels(found)
    axes.set_yticks(range(len(models)), [called[model] for model in models], color=INK)
    use_font(axes.get_yticklabels())
    use_font([axes.set_xlabel(f"{_macro_f1_on(name)}, %, with 95 % interval", color=SOFT)])
    axes.grid(axis="x", color=LINE)
    return png_bytes(picture)


def curves(found: Comparison, name: str) -> bytes:
    """Macro-F1 on a test set by share of the training rows."""
    picture, axes = panel(5.2, 3.5)
    called = labels(found)
    for at, (model, of) in enumerate(found.curves.items()):
        points = sorted(of[name].items())
        axes.plot([100 * x for x, _ in points], [100 * y for _, y in points], marker=".", linewidth=1.8,
                  **look(at), label=called[model])  # fmt: skip
    axes.set_xscale("log")
    shares = sorted({share for of in found.curves.values() for share in of[name]})
    axes.set_xticks([100 * share for share in shares], [f"{100 * share:g}" for share in shares])
    axes.minorticks_off()
    axes.set_xlabel("training rows, %", color=SOFT)
    use_font([axes.set_ylabel(f"{_macro_f1_on(name)}, %", color=SOFT)])
    axes.grid(color=LINE)
    use_font(axes.legend(frameon=False, fontsize=8).get_texts())
    return png_bytes(picture)


def reliability(found: Comparison, name: str, models: Sequence[str]) -> bytes:
    """How often answers of a confidence are right, beside what they claim."""
    picture, axes = panel(4.2, 3.5)
    axes.plot([33, 100], [33, 100], color=LINE, linewidth=2)
    called = labels(found)
    for at, model in enumerate(models):
        points = found.entries[model][name].scores.reliability
        axes.plot([100 * p.confidence for p in points], [100 * p.accuracy for p in points], marker="o", markersize=4,
                  **look(at), label=called[model])  # fmt: skip
    axes.set_xlabel("confidence, %", color=SOFT)
    axes.set_ylabel("right, %", color=SOFT)
    axes.grid(color=LINE)
    use_font(axes.legend(frameon=False, fontsize=8).get_texts())
    return png_bytes(picture)


def matrix(values: Mapping[str, Mapping[str, float]]) -> bytes:
    """Macro-F1 by form of a mixture and test set; a column's best is darkest, its worst white."""
    rows, columns = list(values), list(next(iter(values.values())))
    found = 100 * np.array([[values[row][column] for column in columns] for row in rows])
    low, high = found.min(axis=0), found.max(axis=0)
    shade = (found - low) / np.where(high > low, high - low, 1.0)
    picture = figure(1.9 + 1.15 * len(columns), 1.2 + 0.5 * len(rows))
    axes = picture.subplots()
    axes.imshow(0.75 * shade, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (r, c), x in np.ndenumerate(found):
        axes.text(c, r, f"{x:.1f}", ha="center", va="center", color="white" if shade[r, c] > 0.75 else INK)
    axes.set_xticks(range(len(columns)), drawable(columns), color=INK, fontsize=8)
    axes.set_yticks(range(len(rows)), drawable(rows), color=INK)
    use_font(axes.get_xticklabels() + axes.get_yticklabels())
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return png_bytes(picture)


def labels(found: Comparison) -> dict[str, str]:
    """How pictures call each model."""
    return dict(zip(found.models, short([found.called(model) for model in found.models], _LONGEST), strict=True))


def _macro_f1_on(name: str) -> str:
    return f"macro-F1 on {alone(name)}" if alone(name) else "macro-F1"
