"""The simulation of sampling as a picture: macro-F1 over labelled rows, chosen and at random, from the kept results.

Run: ``python -m benchmarks.active_chart``, after ``python -m benchmarks.active``; it measures nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.active import SPLITS
from benchmarks.measure import kept, picture

PICTURE = picture(Path("docs/results/sampling.png"))
STYLE = {"random": ("#697180", "o", "at random"), "sampled": ("#2b5fb3", "s", "finsa sample")}


def main() -> None:
    found = kept("active")
    budgets, files = found["budgets"], found["files"]
    figure = Figure(figsize=(10.5, 6.0), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True).ravel()
    for axes, (name, kinds) in zip(panels, files.items(), strict=True):
        for way, (colour, marker, label) in STYLE.items():
            for kind, line in (("states", "-"), ("tfidf", ":")):
                curve = kinds[kind]["curves"][way]
                halvings = len(found["seeds"]) * SPLITS[kind]
                mean, error = 100 * np.array(curve["mean"]), 196 * np.array(curve["sd"]) / np.sqrt(halvings)
                axes.fill_between(budgets, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
                shown = label if kind == "states" else f"{label}, TF-IDF"
                axes.plot(budgets, mean, line, color=colour, marker=marker, markersize=3.5, label=shown)
        axes.set_title(name, fontsize=10, loc="left")
        axes.grid(color="#e4e6ea", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[3:]:
        axes.set_xlabel("labelled rows")
    for axes in panels[::3]:
        axes.set_ylabel("macro-F1, %")
    panels[0].legend(frameon=False, fontsize=8)
    PICTURE.parent.mkdir(exist_ok=True)
    part = PICTURE.with_name(f".{PICTURE.name}")
    figure.savefig(part, dpi=120, format="png", facecolor="white")
    part.replace(PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    main()
