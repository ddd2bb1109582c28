"""Pictures for the report: heat maps of counts and the curves of a training run, as PNG.

Counts or statistics files in, PNG bytes or a file out. Labels are English; a name that no installed font can draw is
numbered.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe.data.fonts import drawable
from finsa_moe.errors import DataError
from finsa_moe.figures import INK, LINE, SOFT, alone, figure, frame, look, panel, png_bytes, use_font
from finsa_moe.files import write

PANELS = (("loss", "training loss"), ("eval_weighted_f1", "weighted F1, validation rows"))


def heatmap(
    counts: Sequence[Sequence[int]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    title: str,
    rows: str,
    columns: str,
) -> bytes:
    """Counts as a heat map, coloured by the share of each row, with the count and that share written in each cell.

    Args:
        counts: (r, c).
        row_names: r names.
        column_names: c names.
        title: Over the picture.
        rows: What the rows are.
        columns: What the columns are.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    share = np.divide(
        matrix,
        matrix.sum(axis=1, keepdims=True),
        out=np.zeros_like(matrix),
        where=matrix.sum(axis=1, keepdims=True) > 0,
    )
    height, width = matrix.shape
    picture = figure(1.7 + 0.95 * width, 1.3 + 0.72 * height)
    axes = picture.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (r, c), x in np.ndenumerate(matrix):
        colour = "white" if share[r, c] > 0.55 else INK
        axes.text(c, r - 0.1, f"{int(x):,}", ha="center", va="center", color=colour, fontsize=11)
        axes.text(c, r + 0.22, f"{100 * share[r, c]:.0f} %", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(width), drawable(column_names), color=INK)
    axes.set_yticks(range(height), drawable(row_names), color=INK)
    use_font(axes.get_xticklabels() + axes.get_yticklabels())
    axes.set_xlabel(columns, color=SOFT)
    axes.set_ylabel(rows, color=SOFT)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    use_font([axes.set_title(alone(title), color=INK, fontsize=11)])
    return png_bytes(picture)


def coverage_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> bytes:
    """Risk over coverage, one line a name.

    Args:
        curves: By name, points (coverage, risk), both in 0..1.
    """
    picture, axes = panel(5.2, 3.5)
    for at, (label, points) in enumerate(zip(drawable(list(curves)), curves.values(), strict=True)):
        share, risk = 100 * np.array(points).T
        axes.plot(share, risk, **look(at), linewidth=1.8, marker=".", label=label)
    axes.set_xlabel("texts answered, % (the surest first)", color=SOFT)
    axes.set_ylabel("wrong, %", color=SOFT)
    axes.set_ylim(bottom=0)
    axes.grid(color=LINE, linewidth=0.8)
    use_font(axes.legend(frameon=False, fontsize=8).get_texts())
    return png_bytes(picture)


def training_curves(statistics: Sequence[str | Path], png: str | Path) -> Path:
    """Draw loss and, where it was evaluated, weighted F1 over the steps of each stage; writes and returns `png`.

    Args:
        statistics: The stages' JSONL files: objects with `stage` and `step`, and `loss` or `eval_weighted_f1` or both.
        png: Where the picture goes.

    Raises:
        DataError: If a file is missing, a line is no object, or there is nothing to draw.
    """
    curves = _curves([Path(path) for path in statistics])
    panels = [(key, name) for key, name in PANELS if any(key in curve for curve in curves.values())]
    if not panels:
        names = ", ".join(str(path) for path in statistics) or "no file"
        raise DataError(
            f"no training curve in {names}: no line has step and loss; name a statistics file of a finished stage"
        )
    picture = figure(4.8 * len(panels) + 0.4, 3.5)
    for axes, (key, name) in zip(np.atleast_1d(picture.subplots(1, len(panels))), panels, strict=True):
        drawn = {stage: curve[key] for stage, curve in curves.items() if key in curve}
        for at, (points, label) in enumerate(zip(drawn.values(), drawable(list(drawn)), strict=True)):
            steps, values = np.array(sorted(points.items())).T
            if key == "loss" and len(values) > 20:
                axes.plot(steps, values, **look(at), alpha=0.25, linewidth=1)
                values = smoothed(values)
            axes.plot(steps, values, **look(at), linewidth=1.8, label=label, marker="" if len(values) > 30 else ".")
        axes.set_title(name, color=INK, fontsize=11, loc="left")
        axes.set_xlabel("step", color=SOFT)
        axes.grid(color=LINE, linewidth=0.8)
        frame(axes)
        use_font(axes.legend(frameon=False, fontsize=8).get_texts())
    png = Path(png)
    write(png, png_bytes(picture))
    return png


def smoothed(values: Any, keep: float = 0.9) -> Any:
    """Exponential moving average (n,) → (n,), corrected for its start as in Adam (Kingma & Ba 2015, section 3)."""
    out, mean = [], 0.0
    for at, value in enumerate(values, start=1):
        mean = keep * mean + (1 - keep) * float(value)
        out.append(mean / (1 - keep**at))
    return np.array(out)


def _curves(files: Sequence[Path]) -> dict[str, dict[str, dict[float, float]]]:
    """Points by stage and quantity; stages of the same name from two files are told apart by the folder's name."""
    curves: dict[str, dict[str, dict[float, float]]] = {}
    seen: dict[str, Path] = {}
    for file in files:
        for row in _lines(file):
            stage = str(row.get("stage", file.stem))
            if seen.setdefault(stage, file) != file:
                stage = f"{stage} ({file.parent.name})"
            for key, _ in PANELS:
                value, step = row.get(key), row.get("step")
                if isinstance(value, int | float) and isinstance(step, int | float) and math.isfinite(value):
                    curves.setdefault(stage, {}).setdefault(key, {})[step] = (
                        value  # a resumed run repeats steps: the last counts
                    )
    return curves


def _lines(file: Path) -> list[Mapping[str, Any]]:
    if not file.is_file():
        raise DataError(f"statistics file {file} does not exist; name the JSONL file that a training stage wrote")
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: {line[:40]!r} is no JSON object; remove the line or train again")
        rows.append(row)
    return rows
