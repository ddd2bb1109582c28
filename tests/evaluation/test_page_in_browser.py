"""The page of a comparison in a real browser: it stands alone, fits its window, marks what is best and what is unsure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finsa_moe.evaluation.comparison.cells import Answers, Cell
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.evaluation.comparison.examples import wrong
from finsa_moe.evaluation.comparison.page import page
from finsa_moe.evaluation.comparison.scoring import compare
from finsa_moe.explain.explain import ExplainSettings, explain
from tests.browser import chromium
from tests.fakes import fake_finsa

__all__ = ["chromium"]
MIXTURE = "finsa:models/a_long_path/that/goes/on/and/on/without_a_single_space_in_it"
RNG = np.random.default_rng(8)
SETS = [
    TestSet(name, name, [f"第{at}条很长的文本" * 12 for at in range(90)], RNG.integers(0, 3, 90), np.arange(90),
            np.arange(90) < 3)
    for name in ("news", "forum")
]  # fmt: skip


def answers(right: float, *, routed: bool = False) -> Answers:
    said = {one.name: np.where(RNG.random(90) < right, one.truth, (one.truth + 1) % 3) for one in SETS}
    sent = {one.name: [one.name] * 90 for one in SETS} if routed else {}
    return Answers({name: np.eye(3, dtype=np.float32)[of] * 0.7 + 0.1 for name, of in said.items()}, sent)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    best = answers(0.9, routed=True)
    close = {name: probs.copy() for name, probs in best.probs.items()}
    for one in SETS:  # one answer worse: not surely different
        right = int(np.flatnonzero(close[one.name].argmax(1) == one.truth)[0])
        close[one.name][right] = np.roll(close[one.name][right], 1)
    found = {
        Cell(MIXTURE, None): best, Cell(f"{MIXTURE}?run=news", None): Answers(close),
        Cell("majority", 13): answers(0.2),
    }  # fmt: skip
    result = compare(SETS, found, reference=MIXTURE, resamples=200)
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    examples = wrong(SETS, found[Cell(MIXTURE, None)], 2)
    why = explain(fake_finsa(), ["公告 涨 升"], settings=ExplainSettings(evaluations=50))[0]
    examples[0] = replace(examples[0], text=why.text, said=why.polarity, why=why)
    path.write_text(page(result, "finsa compare " + "--model x " * 60, examples), encoding="utf-8")
    return path


@pytest.fixture
def opened(chromium: Any, file: Path) -> Iterator[Any]:
    """The page as a reader opens it: from disk, without a network, and without a word in the console."""
    context = chromium.new_context(locale="en-US", offline=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda told: wrong.append(told.text))
    own = file.as_uri()
    opened.on(
        "request", lambda asked: None if asked.url == own or asked.url.startswith("data:") else wrong.append(asked.url)
    )
    opened.goto(own)
    yield opened
    context.close()
    assert not wrong


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window(opened: Any, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    wide = opened.evaluate("[...document.querySelectorAll('.wide')].map(box => getComputedStyle(box).overflowX)")
    assert wide
    assert set(wide) == {"auto"}


def test_every_link_of_the_head_leads_to_its_section(opened: Any) -> None:
    for link in opened.query_selector_all("nav a"):
        anchor = link.get_attribute("href").removeprefix("#")
        assert opened.inner_text(f"#{anchor} h2") == link.inner_text()


def test_the_best_is_bold_and_what_is_unsure_grey(opened: Any) -> None:
    weight, grey, ink = opened.evaluate("""() => {
        const scores = [...document.querySelectorAll('section')].find(s => s.querySelector('h2').innerText === 'Scores');
        const rows = [...scores.querySelectorAll('tbody tr')];
        const style = (row, at) => getComputedStyle(row.children[at]);
        return [rows.map(r => style(r, 1).fontWeight), style(rows[1], 1).color, style(rows[2], 1).color];
    }""")
    assert weight == ["700", "400", "400"]
    assert grey != ink


def test_pictures_are_drawn_and_told(opened: Any) -> None:
    shown = opened.evaluate("[...document.images].map(i => [i.naturalWidth > 0, i.alt.length > 10])")
    assert len(shown) > 8
    assert all(drawn and told for drawn, told in shown)


def test_wrong_answers_stand_below(opened: Any) -> None:
    text = opened.inner_text("section:has(h2:text-is('Wrong answers'))")
    assert text.count("should be") == 4
    assert "第" in text


def test_the_words_that_misled_have_the_colour_of_the_answer(opened: Any) -> None:
    """Not the yellow that browsers give to `mark`."""
    said, line, ground = opened.evaluate("""() => {
        const told = document.querySelectorAll('.wrong')[0].querySelectorAll('b')[1];
        const mark = getComputedStyle(document.querySelector('.said mark:not(.against)'));
        return [getComputedStyle(told).color, mark.borderBottomColor, mark.backgroundColor];
    }""")
    assert line == said
    assert ground not in ("rgb(255, 255, 0)", "rgba(0, 0, 0, 0)")
