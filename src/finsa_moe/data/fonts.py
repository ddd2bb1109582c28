"""Which installed font can write Chinese in a figure, and what is drawn where none can.

Asked by every figure of the package, so that all of them fall back to English labels together. It draws nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from finsa_moe.errors import require

_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "Microsoft YaHei", "SimHei",
    "Noto Sans CJK JP", "Arial Unicode MS",
)  # fmt: skip


@cache
def chinese_font() -> str | None:
    """The name of an installed font that can write Chinese, or None."""
    module: Any = require("matplotlib.font_manager", "data", "drawing figures")
    manager = module.fontManager
    if (found := _among(manager)) is None:
        listed = {font.fname for font in manager.ttflist}
        for path in module.findSystemFonts():  # matplotlib's list is kept in a file, and knows no font that came later
            if path not in listed:
                with suppress(Exception):  # as matplotlib does when it makes the list: some fonts it cannot read
                    manager.addfont(path)
        found = _among(manager)
    return found


def _among(manager: Any) -> str | None:
    installed = {font.name for font in manager.ttflist}
    return next((name for name in _FAMILIES if name in installed), None)


def drawable(names: Sequence[str]) -> list[str]:
    """The names as matplotlib draws them: where no font writes Chinese, one beyond ASCII becomes its number.

    No ``$`` of them begins a formula. Names that went through it stay as they are.
    """
    able = chinese_font() is not None
    shown = (name if able or name.isascii() else f"#{at}" for at, name in enumerate(names, start=1))
    return [re.sub(r"(?<!\\)\$", r"\\$", name) for name in shown]
