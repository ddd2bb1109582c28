"""What every picture of the package shares: colours, strokes, fonts, empty figures, and how one becomes a PNG.

Names and sizes in, parts of figures out; what is drawn in them is known to the rooms that draw. It needs matplotlib
(extra `data`), and draws without a display.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import count
from typing import Any

from finsa_moe.data.fonts import chinese_font, drawable
from finsa_moe.errors import require

INK, SOFT, LINE = "#1d2126", "#697180", "#e4e6ea"
COLOURS = ("#2b5fb3", "#c2572f", "#1b7f4b", "#8a4fb0", "#b08900", "#4b8f9c")
_STROKES = ("-", "--", ":", "-.")
_PLAIN = "DejaVu Sans"  # what matplotlib brings


def figure(width: float, height: float) -> Any:
    """An empty figure of so many inches, laid out when it is drawn.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    module = require("matplotlib.figure", "data", "drawing figures")
    return module.Figure(figsize=(width, height), layout="constrained")


def panel(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches and its one pair of axes, framed."""
    made = figure(width, height)
    axes = made.subplots()
    frame(axes)
    return made, axes


def frame(axes: Any) -> None:
    """Ticks and two spines in the page's colours."""
    axes.tick_params(colors=SOFT, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)


def bare(axes: Any, size: int) -> None:
    """No spines and no ticks, labels of that size in points, and upright lines behind what lies on them."""
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=SOFT, labelsize=size)
    axes.spines[:].set_visible(False)


def look(at: int) -> dict[str, str]:
    """Colour and stroke of a picture's line of this number; once every colour is taken, the stroke is another."""
    return {"color": COLOURS[at % len(COLOURS)], "linestyle": _STROKES[at // len(COLOURS) % len(_STROKES)]}


def short(names: Sequence[str], longest: int) -> list[str]:
    """Names for a picture: no two alike, cut in the middle where a path or an address would leave no room."""
    made: list[str] = []
    for name in names:
        end = longest * 3 // 8
        cut = name if len(name) <= longest else f"{name[: longest - 3 - end]}...{name[-end:]}"
        made.append(next(shown for at in count(1) if (shown := f"{cut} ({at})" if at > 1 else cut) not in made))
    return drawable(made)


def alone(name: str) -> str:
    """A name that no other one stands beside, empty where it cannot be drawn here: a number would say nothing."""
    return drawable([name])[0] if name.isascii() or chinese_font() is not None else ""


def family() -> list[str]:
    """Font families to write with: one that can write Chinese, where there is one, then matplotlib's own."""
    font = chinese_font()
    return [_PLAIN] if font is None else [font, _PLAIN]


def use_font(labels: Sequence[Any]) -> None:
    """Give labels of a figure a font that can write Chinese, where there is one."""
    for label in labels if chinese_font() else ():
        label.set_fontfamily(family())


def png_bytes(made: Any) -> bytes:
    """A figure drawn."""
    out = io.BytesIO()
    made.savefig(out, format="png", dpi=150, facecolor="white")
    return out.getvalue()
