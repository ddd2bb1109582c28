from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finsa_moe.errors import DataError
from finsa_moe.evaluation import figures
from finsa_moe.evaluation.evaluate import evaluate
from finsa_moe.evaluation.report import Cell, Section, code, facts, html_page, picture, pictures, table, text
from finsa_moe.evaluation.sections import answers_section, evaluation_sections
from tests.evaluation.test_evaluate import ROWS
from tests.fakes import fake_finsa

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = "<script>alert('x')</script>&\"涨"


class Outline(HTMLParser):
    """Tags, whether they close properly, and all text."""

    VOID = ("meta", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_everything_is_escaped_and_closed() -> None:
    body = table((EVIL,), [[Cell(EVIL, EVIL)]]) + text(EVIL) + code(EVIL) + facts([(EVIL, EVIL)])
    body += pictures([picture(PNG, EVIL, EVIL)])
    outline = Outline(html_page(EVIL, [Section(EVIL, body, EVIL)], EVIL))
    assert not outline.open
    assert "script" not in outline.tags
    # title, h1, subtitle, link, h2, note; head, cell, paragraph, code, fact, its name, caption
    assert outline.words.count(EVIL) == 13


def test_a_high_picture_is_not_pressed_flat() -> None:
    """By the height in its header; of a comparison of many models, or of many splits."""
    for pixels, tall in ((600, False), (2400, True)):
        png = PNG + b"\0\0\0\rIHDR" + (900).to_bytes(4) + pixels.to_bytes(4)
        assert ('<img class="tall" alt="x"' in picture(png, "x")) == tall
    assert "img.tall{max-height:none}" in html_page("x", [])


def test_the_page_of_an_evaluation_stands_alone() -> None:
    result = evaluate(fake_finsa(), ROWS)
    sections = [*evaluation_sections(result), answers_section(fake_finsa().predict(["公告涨", EVIL]))]
    page = html_page("FinSA-MoE 示例", sections)
    outline = Outline(page)
    assert not outline.open
    assert all(link.startswith(("data:image/png;base64,", "#s")) for link in outline.links)
    assert "http" not in page.replace(page[page.index("<style>") : page.index("</style>")], "")
    assert not re.search(r"url\(|@import", page)
    for part in (
        "Summary",
        "By class",
        "Confusion",
        "Routing",
        "Answered wrongly",
        "83.33",
        "利好 bullish",
        "fixed:news",
    ):
        assert part in outline.words
    pictured = [link for link in outline.links if link.startswith("data:")]
    assert len(pictured) == 5  # confusion of news, forum and all, the surest texts, and the routing
    assert all(base64.b64decode(link.split(",")[1]).startswith(PNG) for link in pictured)


def test_other_models_stand_beside_the_runs() -> None:
    result = evaluate(fake_finsa(), ROWS)
    beside = {"TF-IDF": {"all": result.leading.overall}}
    assert "TF-IDF" in Outline(html_page("x", evaluation_sections(result, beside))).words


def test_heatmap_is_a_picture_whatever_the_counts() -> None:
    for counts in ([[0, 0], [0, 0]], [[5]], [[1, 2, 3]] * 4):
        names = [f"d{n}" for n in range(len(counts))]
        columns = [f"e{n}" for n in range(len(counts[0]))]
        assert figures.heatmap(counts, names, columns, title="新闻", rows="r", columns="c").startswith(PNG)


def test_no_two_curves_look_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "png_bytes", lambda figure: figure)
    drawn: Any = figures.coverage_curves({f"slice {at}": [(0.5, 0.1), (1.0, 0.2)] for at in range(14)})
    looks = {(line.get_color(), line.get_linestyle()) for line in drawn.axes[0].get_lines()}
    assert len(looks) == 14


def write(path: Path, rows: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_training_curves(tmp_path: Path) -> None:
    loss = [{"stage": "expert", "step": n, "loss": 2 / (n + 1)} for n in range(40)]
    evals = [{"stage": "expert", "step": 20, "eval_weighted_f1": 0.6}, {"stage": "expert", "step": 39, "wall": 1}]
    one = write(tmp_path / "news" / "statistics.jsonl", [*loss, *evals])
    two = write(tmp_path / "forum" / "statistics.jsonl", loss[:5])
    curves = figures._curves([one, two])
    assert set(curves) == {"expert", "expert (forum)"}
    assert curves["expert"]["loss"][1] == 1.0
    assert curves["expert"]["eval_weighted_f1"] == {20: 0.6}
    target = tmp_path / "curves.png"
    assert figures.training_curves([one, two], target) == target
    assert target.read_bytes().startswith(PNG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.png", "forum", "news"]


def test_training_curves_refuse_what_is_no_statistics(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"stage": "a", "step": 1, "loss": 2}\n{"stage": ', encoding="utf-8")
    for path, says in (
        (tmp_path / "none.jsonl", "does not exist"),
        (broken, "line 2"),
        (write(tmp_path / "empty.jsonl", [{"stage": "a", "step": 1}]), "no training curve"),
    ):
        with pytest.raises(DataError, match=says):
            figures.training_curves([path], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_smoothing_by_hand() -> None:
    np.testing.assert_allclose(figures.smoothed([1.0, 3.0], keep=0.5), [1.0, (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75])
