"""The ablations' table and picture: each point's mean over seeds, what the knob changed, and what was trained for it.

Answers by point and seed, the true classes and the clusters of near texts go in, Markdown and a PNG come out.
Differences are paired by text and seed, and their intervals draw clusters: copies of a post are one observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.evaluation.comparison.cells import Answers
from finsa_moe.evaluation.comparison.clustered import Draws, difference
from finsa_moe.evaluation.metrics import confusion, ratios

Found = Mapping[tuple[Any, int], Answers]
Truth = Mapping[str, NDArray[np.int64]]
CLASSES = (0, 1, 2)
TRAINED = {"rows": "rows", "steps": "steps", "joint_steps": "joint steps"}
"""What a cell tells of its training, and how the table calls it."""


def table(found: Found, truth: Truth, clusters: Truth, base: Any) -> str:
    """Markdown: macro-F1 in percent, mean ± sd over seeds, and the difference to the base with its 95 % interval.

    Args:
        found: Answers by point and seed.
        truth: By test set, class ids (n,).
        clusters: By test set, a number for each text, equal for near ones, (n,).
        base: The point that the others are held against.
    """
    names = list(truth)
    other = "base" if base.knob == "base" else f"{base.knob}, {base.value}"
    heads = " | ".join(f"{name} | against {other}" for name in names)
    trained = " | ".join(TRAINED.values())
    lines = [
        f"| knob | value | seeds | {heads} | routing % | own − routed | {trained} | seconds |",
        f"|---|---|---:|{'---:|---:|' * len(names)}---:|---:|{'---:|' * len(TRAINED)}---:|",
    ]
    draws = {name: Draws(clusters[name]) for name in names}
    scored = {key: _scores(answers, truth, draws) for key, answers in found.items()}
    for point in dict.fromkeys(key[0] for key in found):
        seeds = [seed for other, seed in found if other == point]
        cells = []
        for name in names:
            values = [100 * scored[point, seed][name][0] for seed in seeds]
            spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{spread}")
            shared = [seed for seed in seeds if (base, seed) in found]
            if point == base or not shared:
                cells.append("–")
                continue
            pairs = [(scored[point, seed][name], scored[base, seed][name]) for seed in shared]
            told = difference(
                float(np.mean([a[0] - b[0] for a, b in pairs])), np.mean([a[1] - b[1] for a, b in pairs], axis=0)
            )
            mark = "**" if told.sure else ""
            cells.append(f"{mark}{100 * told.value:+.1f}{mark} ({100 * told.low:+.1f} to {100 * told.high:+.1f})")
        routed = [_routing(found[point, seed], names) for seed in seeds]
        gaps = [gap for seed in seeds if (gap := _gap(found[point, seed], scored[point, seed], truth)) is not None]
        facts = [found[point, seed].facts for seed in seeds]
        took = np.median([of["seconds"] for of in facts])
        cells += [f"{100 * np.mean(routed):.1f}" if gaps else "–", f"{np.mean(gaps):+.1f}" if gaps else "–"]
        cells += [_counts([of[name] for of in facts if name in of]) for name in TRAINED]
        lines.append(f"| {point.knob} | {point.value} | {len(seeds)} | {' | '.join(cells)} | {took:.0f} |")
    texts = ", ".join(
        f"{name} {len(classes):,} texts in {len(np.unique(clusters[name])):,}" for name, classes in truth.items()
    )
    lines += ["", f"Intervals draw clusters of near texts: {texts}. Bold: 0 lies outside. Spread: n − 1 over seeds."]
    return "\n".join(lines) + "\n"


def picture(found: Found, truth: Truth, base: Any, path: Path) -> None:
    """A panel a knob, a line a domain: dots are seeds, the dashed line is the base."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scored = {key: {n: _macro_f1(t, answers.probs[n]) for n, t in truth.items()} for key, answers in found.items()}
    knobs = [knob for knob in dict.fromkeys(key[0].knob for key in found) if knob != base.knob]
    figure, axes = plt.subplots(
        1, max(1, len(knobs)), figsize=(2.4 * max(2, len(knobs)), 3.2), sharey=True, squeeze=False
    )
    for axis, knob in zip(axes[0], knobs, strict=False):
        points = list(dict.fromkeys(key[0] for key in found if key[0].knob == knob))
        for at, (name, colour) in enumerate(zip(truth, ("tab:blue", "tab:orange"), strict=False)):
            by = [[100 * scored[key][name] for key in found if key[0] == point] for point in points]
            for place, values in enumerate(by):
                axis.scatter([place + 0.12 * at] * len(values), values, s=12, color=colour, alpha=0.6)
            axis.plot(
                [place + 0.12 * at for place in range(len(by))], [np.mean(v) for v in by], color=colour, label=name
            )
            usual = [100 * scored[key][name] for key in found if key[0] == base]
            if usual:
                axis.axhline(float(np.mean(usual)), color=colour, linestyle="--", linewidth=0.8)
        long = any(len(point.value) > 8 for point in points)
        turned = {"rotation": 20, "ha": "right"} if long else {}
        axis.set_xticks(range(len(points)), [point.value for point in points], fontsize=7, **turned)
        axis.set_title(knob, fontsize=8)
    axes[0][0].set_ylabel("macro-F1, %")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _scores(answers: Answers, truth: Truth, draws: Mapping[str, Draws]) -> dict[str, tuple[float, NDArray[np.float64]]]:
    return {
        name: draws[name].macro_f1(classes, answers.probs[name].argmax(-1), CLASSES) for name, classes in truth.items()
    }


def _routing(answers: Answers, names: list[str]) -> float:
    return float(np.mean([np.mean(np.array(answers.experts[name]) == name) for name in names]))


def _gap(answers: Answers, scores: Mapping[str, tuple[float, Any]], truth: Truth) -> float | None:
    """Points that the true domain's expert is ahead of the routed answer, over the domains."""
    if not all(f"{name}/own" in answers.probs for name in truth):
        return None
    own = {name: _macro_f1(classes, answers.probs[f"{name}/own"]) for name, classes in truth.items()}
    return float(np.mean([100 * (own[name] - scores[name][0]) for name in truth]))


def _macro_f1(classes: NDArray[np.int64], probs: NDArray[np.float32]) -> float:
    return float(ratios(confusion(classes, probs.argmax(-1)))[2][list(CLASSES)].mean())


def _counts(values: list[int]) -> str:
    """One number where all seeds have the same, else the least and the most; a dash where none tells."""
    low, high = (min(values), max(values)) if values else (0, 0)
    return "–" if not values else f"{low:,}" if low == high else f"{low:,}–{high:,}"
