"""The Chinese pages are written with Chinese punctuation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_PROSE = re.compile(r"^```.*?^```|`[^`\n]*`|(?<=\])\([^)]*\)|^\|[-:| ]+\|$", re.MULTILINE | re.DOTALL)
"""Blocks and spans of code, links' targets, tables' alignment."""
HALF_WIDTH = re.compile(r"[一-鿿][,:;?!(]|[,:;?!)][一-鿿]|\(\d")


def half_width(page: str) -> list[str]:
    """Where Chinese prose uses a half-width mark, each with some of its line."""
    prose = NO_PROSE.sub(lambda code: "`" * len(code[0]), page)  # of one length, so that places stay
    return [page[max(0, at.start() - 10) : at.end() + 10] for at in HALF_WIDTH.finditer(prose)]


@pytest.mark.parametrize("page", ["README_CN.md", "docs/guide_cn.md"])
def test_chinese_prose_has_full_width_marks(page: str) -> None:
    assert half_width((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("放量突破,拿稳了", 1),
        ("放量突破，拿稳了（`a,利空`）：见[指南](guide.md#不装,torch)", 0),
        ("| 逐条 | 倍 |\n|---|---:|\n| 1,067 条 | 2.5 倍(2.4–2.6) |", 1),
        ("```sh\nfinsa predict 放量突破,拿稳了\n```\n价格:", 1),
        ("P(利好) − P(利空)", 0),
    ],
)
def test_half_width_marks_are_found_in_prose_alone(text: str, found: int) -> None:
    assert len(half_width(text)) == found
