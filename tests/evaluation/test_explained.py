from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from finsa_moe import figures
from finsa_moe.data import fonts
from finsa_moe.evaluation import word_figure
from finsa_moe.evaluation.explained import CSS, bars_section, texts_section, words_section
from finsa_moe.evaluation.report import html_page
from finsa_moe.evaluation.word_figure import word_bars
from finsa_moe.explain.word_table import WordTable
from finsa_moe.polarity import NAMES, Polarity
from tests.evaluation.test_report import Outline
from tests.explain.test_word_table import made

MIXED = made(
    {"涨停": (-0.4, 0.1, 0.3), "了": (0.0, 0.01, -0.01), "<b>跌": (0.2, 0.1, -0.3), "割肉": (0, 0, 0)}, unread="割肉"
)


class Marks(HTMLParser):
    """The marked words and their looks, and the text as a reader sees it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.marks: list[tuple[str, str]] = []
        self.said = ""
        self._inside = False
        self._kind: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._inside = self._inside or (tag == "p" and "said" in (found.get("class") or ""))
        if tag in ("mark", "span") and self._inside:
            self._kind = found.get("class") or "for"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "p"
        self._kind = None if tag in ("mark", "span") else self._kind

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.said += data
            if self._kind:
                self.marks.append((data, self._kind))


def test_words_are_marked_and_the_text_is_whole() -> None:
    section = texts_section([MIXED], Polarity.BULLISH)
    seen = Marks(section.body)
    assert seen.said == MIXED.text
    assert seen.marks == [("涨停", "for"), ("<b>跌", "against"), ("割肉", "unread")]  # 了 is too weak to be marked
    bearish = Marks(texts_section([MIXED], Polarity.BEARISH).body)
    assert bearish.marks[0] == ("涨停", "against")
    assert "<b>跌" not in section.body


def test_every_value_stands_in_a_table_with_its_sign() -> None:
    body = texts_section([MIXED]).body
    for value in ("−0.4000", "+0.1000", "+0.3000", "−0.0100"):
        assert value in body
    assert "exact: every coalition" in body
    assert "The first 1 of 9 texts" in texts_section([MIXED], of=9).note
    page = Outline(html_page("t", [texts_section([MIXED, MIXED])], css=CSS))
    assert not page.open
    assert not [link for link in page.links if not link.startswith("#")]


def test_bars_and_rows_of_words() -> None:
    table = WordTable()
    table.add(MIXED)
    table.add(made({"跌停": (0.5, -0.25, -0.25)}, expert="forum"))
    bars = bars_section(table, tuple(Polarity), n=2).body
    assert bars.count("<table>") == 3 * 3  # all, forum, news by class
    assert re.search(r"forum · 利空.*?跌停.*?\+0\.500", bars)
    rows = words_section(table.rows(["跌停"], domains=["forum"]), "Lexicon").body
    assert rows.count("<tr>") == 1 + 3
    assert "100.00" in rows
    assert "No word of the list" in words_section([], "Lexicon").body


def test_the_picture_has_a_panel_a_domain_and_class(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from matplotlib.image import imread

    # as on a machine without a Chinese font: names beyond ASCII are numbered
    for module in (fonts, figures, word_figure):
        monkeypatch.setattr(module, "chinese_font", lambda: None)
    table = WordTable()
    table.add(MIXED)
    one = imread(io.BytesIO(word_bars(table)))
    table.add(made({"down": (0.5, -0.25, -0.25)}, expert="forum"))
    three = imread(io.BytesIO(word_bars(table)))
    assert three.shape[0] > 2 * one.shape[0]
    green, red = (np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for c in ("#1b7f4b", "#c22f2f"))
    for colour in (green, red):
        assert (np.abs(three[..., :3] - colour).max(axis=2) < 0.02).sum() > 500
    assert word_bars(WordTable()).startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_cash_tag_is_no_formula(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """matplotlib reads what stands between two dollars as mathematics, and this one is none."""
    for module in (fonts, figures, word_figure):
        monkeypatch.setattr(module, "chinese_font", lambda: "DejaVu Sans")
    table = WordTable()
    table.add(made({"$A_^(B)$": (0.5, -0.25, -0.25), "$高$": (0.5, -0.25, -0.25)}))
    assert word_bars(table).startswith(b"\x89PNG")
    assert "does not have a glyph" not in caplog.text


def test_a_long_table_shows_as_much_of_every_domain_and_class() -> None:
    table = WordTable()
    for expert in ("news", "forum"):
        table.add(made({f"词{at}": (0.1 * at, 0.0, -0.1 * at) for at in range(30)}, expert=expert))
    rows = table.rows()
    assert len(rows) == 30 * 3 * 3
    section = words_section(rows, "Words", "A note.", most=45)
    assert section.body.count("<tr>") == 1 + 5 * 9
    assert section.note == "The first 5 of each domain and class, 270 rows in all. A note."
    for polarity in NAMES:
        assert section.body.count(f">{polarity}<") == 5 * 3
