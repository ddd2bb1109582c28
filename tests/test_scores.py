"""The scores that the pages print are those that were measured, and not last round's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finsa_moe import shipped

ROOT = Path(__file__).parents[1]
ROWS = {  # the lines of the READMEs' tables, by dev file
    "news/dev": ("news flashes", "新闻快讯"),
    "forum/dev": ("stock-board posts", "股吧帖子"),
    "forum/dev_investors": ("investors' posts", "投资者帖子"),
    "forum/dev_finfe": ("FinFE, human labels", "FinFE（人工标注）"),
}
KINDS = {
    "news": ("wire lines", "快讯"),
    "boards": ("board posts", "股吧帖子"),
    "investors": ("investors' posts", "投资者帖子"),
    "other": ("other news", "其他新闻"),
}


@pytest.mark.parametrize(
    ("readme", "at", "open_", "close"), [("README.md", 0, "(", ")"), ("README_CN.md", 1, "（", "）")]
)
def test_a_readmes_table_bears_the_cards_numbers(readme: str, at: int, open_: str, close: str) -> None:
    dev = json.loads((shipped.model() / "card.json").read_text(encoding="utf-8"))["dev"]
    baseline = json.loads((ROOT / "docs" / "results" / "tfidf.json").read_text(encoding="utf-8"))
    lines = [_cells(line) for line in (ROOT / readme).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for name, labels in ROWS.items():
        routed = dev[name]["routed"]
        low, high = (f"{100 * bound:.1f}" for bound in routed["macro_f1_interval"])
        tfidf = [f"{baseline[name][which]['macro_f1']:.1f}" for which in ("given", "learnt")]
        ours = f"{100 * routed['macro_f1']:.1f}{open_}{low}–{high}{close}"
        assert [labels[at].replace(" ", ""), f"{routed['n']:,}", *tfidf, ours] in lines


@pytest.mark.parametrize(
    ("readme", "at", "open_", "to", "close", "comma"),
    [("README.md", 0, "(", "to", ")", ","), ("README_CN.md", 1, "（", "至", "）", "，")],
)
def test_a_readmes_second_table_bears_what_the_untouched_texts_gave(
    readme: str, at: int, open_: str, to: str, close: str, comma: str
) -> None:
    found = json.loads((ROOT / "docs" / "results" / "untouched.json").read_text(encoding="utf-8"))
    page = (ROOT / readme).read_text(encoding="utf-8")
    lines = [_cells(line) for line in page.splitlines() if line.startswith("| ")]

    def ahead(of: dict[str, list[float]]) -> str:
        value, low, high = (f"{points:.1f}".replace("-", "−") for points in of["behind"])
        return f"{value}{open_}{low}{to}{high}{close}"

    for kind, models in found.items():
        ours, theirs = models["finsa"], models["tfidf learnt"]
        low, high = ours["interval"]
        baselines = [f"{models[name]['macro_f1']:.1f}" for name in ("tfidf given", "tfidf learnt")]
        expected = [
            KINDS[kind][at].replace(" ", ""), str(ours["n"]), *baselines,
            f"{ours['macro_f1']:.1f}{open_}{low:.1f}–{high:.1f}{close}", ahead(theirs),
            f"{ours['apart']['n']}:{ours['apart']['macro_f1']:.1f}{comma}{ahead(theirs['apart'])}",
        ]  # fmt: skip
        assert expected in lines
    met = sum(models["finsa"]["n"] - models["finsa"]["apart"]["n"] for models in found.values())
    assert f"{met:,}" in page


def _cells(line: str) -> list[str]:
    """Of a table's line, without bold marks and spaces."""
    return [cell.replace("*", "").replace(" ", "") for cell in line.strip("|").split("|")]
