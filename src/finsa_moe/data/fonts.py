"""Which installed font can write Chinese in a figure.

Asked by every figure of the package, so that all of them fall back to English labels together. It draws nothing.
"""

from __future__ import annotations

from functools import cache

from finsa_moe.errors import require

_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "Microsoft YaHei", "SimHei",
    "Noto Sans CJK JP", "Arial Unicode MS",
)  # fmt: skip


@cache
def chinese_font() -> str | None:
    """The name of an installed font that can write Chinese, or None."""
    manager = require("matplotlib.font_manager", "data", "drawing figures").fontManager
    installed = {font.name for font in manager.ttflist}
    return next((name for name in _FAMILIES if name in installed), None)
