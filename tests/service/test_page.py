"""The service's page as a person uses it, in a real browser: texts and reasons, two experts, files, languages, keys."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import probabilities
from tests.service.paged import browser_page, chromium, judged, loaded, page, posts, service
from tests.service.served import Service, until

__all__ = ["browser_page", "chromium", "page", "service"]
MIXED = "<b>涨</b>跌<script>document.title='broken'</script>"


def test_texts_are_answered_with_their_reasons(page: Any) -> None:
    answers = judged(page, "涨停了", "  ", "公告：下跌", MIXED, answers=3)
    rose, fell, mixed = (answers.nth(at) for at in range(3))
    assert rose.get_attribute("data-label") == "bullish"
    assert fell.get_attribute("data-label") == "bearish"
    assert rose.locator(".number").inner_text() == f"{100 * probabilities('涨停了', 1)[2]:.1f}%"
    assert "forum" in rose.locator(".fact.main").inner_text()
    assert "news" in fell.locator(".fact.main").inner_text()
    assert rose.locator("mark.up").count() >= 1
    assert "涨" in "".join(rose.locator("mark.up").all_inner_texts())
    assert mixed.locator(".text").inner_text() == MIXED  # shown, never run
    assert page.title() == "FinSA"


def test_many_texts_have_no_reasons_and_too_many_are_refused_in_place(page: Any) -> None:
    answers = judged(page, *["涨"] * 5)
    assert answers.locator("mark").count() == 0
    assert "up to 3 texts" in page.inner_text("#said")
    assert page.locator("#tally .bars").count() == 1
    page.fill("#words", "涨\n" * 21)
    page.click("#go")
    assert page.inner_text("#said").startswith("21 lines; at most 20")
    page.fill("#words", " \n")
    page.click("#go")
    assert page.inner_text("#said") == "Type a text first."


def test_an_expert_can_be_chosen(page: Any) -> None:
    page.select_option("#expert", "news")
    answer = judged(page, "涨停了").first
    assert "news" in answer.locator(".fact.main").inner_text()
    assert answer.locator(".number").inner_text() == f"{100 * probabilities('涨停了', 0)[2]:.1f}%"


def test_two_experts_side_by_side(page: Any) -> None:
    page.click("#tab-compare")
    page.fill("#one", "公告：\n涨停了")
    page.click("#versus")
    page.wait_for_selector("#sides article", timeout=120_000)
    sides = page.locator("#sides article")
    assert [sides.nth(at).locator(".fact.main").inner_text() for at in (0, 1)] == ["expert news", "expert forum"]
    assert sides.nth(0).locator(".number").inner_text() != sides.nth(1).locator(".number").inner_text()
    assert page.inner_text("#verdict") == "Both experts agree. The router would ask news."


def test_a_file_is_answered_watched_drawn_and_fetched(page: Any, tmp_path: Path) -> None:
    page.click("#tab-file")
    assert page.is_disabled("#send")
    page.set_input_files("#chosen", str(posts(tmp_path / "posts.csv")))
    page.click("#send")
    page.wait_for_selector("#download", timeout=120_000)
    assert "300 of 301 rows answered" in page.inner_text("#told")
    assert "1 could not be" in page.inner_text("#told")
    assert page.inner_text("#time h2") == "Over time · by day"
    assert page.locator("#tickers .bars").count() == 3
    with page.expect_download() as waited:
        page.click("#download")
    assert waited.value.suggested_filename.endswith(".csv")
    rows = list(csv.DictReader(io.StringIO(Path(waited.value.path()).read_text(encoding="utf-8"))))
    assert len(rows) == 301
    assert [row["sentiment"] for row in rows[:2]] == ["利空", "利好"]


def test_a_file_that_cannot_be_read_is_told_in_words(browser_page: Any, service: Service) -> None:
    """Not by `page`: a browser writes a refused request to its console."""
    browser_page.goto(service.url)
    browser_page.click("#tab-file")
    browser_page.set_input_files("#chosen", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    browser_page.click("#send")
    browser_page.wait_for_selector("#told.wrong")
    assert "x.csv" in browser_page.inner_text("#told")


def test_a_file_that_was_mended_can_be_chosen_again(page: Any, tmp_path: Path) -> None:
    page.click("#tab-file")
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    page.set_input_files("#chosen", str(path))
    assert page.input_value("#chosen") == ""  # so that the same name is a change again
    path.write_text("text,b\n涨停,2\n", encoding="utf-8")
    page.click("#send")
    page.wait_for_selector("#told.wrong")
    assert page.inner_text("#told") == "The file has changed since it was chosen; choose it again."
    page.set_input_files("#chosen", str(path))
    page.click("#send")
    page.wait_for_selector("#download", timeout=120_000)


def test_a_workbook_is_turned_away_in_the_readers_language(page: Any) -> None:
    page.click("#language")
    page.click("#tab-file")
    for name in ("posts.xlsx", "constructor", "a.CSV"):
        page.set_input_files("#chosen", {"name": name, "mimeType": "", "buffer": b"text\n1\n"})
        assert page.is_disabled("#send") == (name != "a.CSV")
        told = "本页只接受 CSV、TSV、JSON lines 和 Parquet；Excel 请先另存为 CSV（UTF-8）。"
        assert page.inner_text("#told") == (told if name != "a.CSV" else "")


def test_refusals_are_told_in_the_readers_language(browser_page: Any, service: Service) -> None:
    browser_page.goto(service.url)
    loaded(browser_page)
    browser_page.click("#language")
    browser_page.uncheck("#why")
    browser_page.fill("#words", "涨\n" + "涨" * 10_001)
    browser_page.click("#go")
    browser_page.wait_for_selector("#said.wrong")
    assert browser_page.inner_text("#said") == "第 2 条文本超过字数上限，请缩短。"


def test_a_file_without_a_column_of_texts_is_told_in_chinese(browser_page: Any, service: Service) -> None:
    browser_page.goto(service.url)
    loaded(browser_page)
    browser_page.click("#language")
    browser_page.click("#tab-file")
    content = "日报,备忘\n1,2\n".encode()
    browser_page.set_input_files("#chosen", {"name": "x.csv", "mimeType": "text/csv", "buffer": content})
    assert browser_page.inner_text("#dropped") == f"x.csv · {len(content)} B"
    browser_page.click("#send")
    browser_page.wait_for_selector("#told.wrong")
    told = browser_page.inner_text("#told")
    assert told.startswith("没有找到文本列。请在“文本列”里填写列名")
    assert told.endswith("文件中的列：日报, 备忘")


def test_experts_have_their_chinese_names(page: Any) -> None:
    page.click("#language")
    answer = judged(page, "涨停了").first
    assert answer.locator(".fact.main").inner_text() == "专家 股吧"
    options = page.locator("#expert option")
    assert [options.nth(at).inner_text() for at in range(3)] == ["由路由器选择", "新闻", "股吧"]
    assert [options.nth(at).get_attribute("value") for at in range(3)] == ["", "news", "forum"]


def test_a_file_that_falls_beside_the_box_does_not_take_the_pages_place(page: Any) -> None:
    dropped = """(place) => {
        const held = new DataTransfer();
        held.items.add(new File(['text'], 'a.csv'));
        return ['dragover', 'drop'].map((kind) => !document.querySelector(place).dispatchEvent(
            new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true })));
    }"""
    page.click("#tab-file")
    assert page.evaluate(dropped, "footer") == [True, True]
    assert page.is_disabled("#send")
    assert page.evaluate(dropped, "#drop") == [True, True]
    assert page.is_enabled("#send")


def test_a_phone_shows_all_of_it(page: Any, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.click("#tab-compare")
    page.fill("#one", "涨停了")
    page.click("#versus")
    page.wait_for_selector("#sides article", timeout=120_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.click("#tab-file")
    page.set_input_files("#chosen", str(posts(tmp_path / "posts.csv")))
    page.click("#send")
    page.wait_for_selector("#time text", timeout=120_000)
    heights = page.evaluate(
        "[...document.querySelectorAll('#time text')].map((text) => text.getBoundingClientRect().height)"
    )
    assert min(heights) >= 11
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.click("#time summary")
    assert page.locator("#time tr").nth(1).inner_text().split() == ["2026-08-01", "11", "0", "0"]


@pytest.mark.parametrize(("most", "ticks"), [(1, [0, 1]), (2, [0, 1, 2]), (3, [0, 2, 4]), (300, [0, 150, 300])])
def test_an_axis_counts_whole_texts(page: Any, most: int, ticks: list[int]) -> None:
    drawn = """async (most) => {
        const svg = (await import('/page/draw.js')).drawn([{ day: '2026-08-01', bearish: most, neutral: 0, bullish: 0 }], 300);
        return [[...svg.querySelectorAll('[text-anchor]')].map((text) => text.textContent),
            [...svg.querySelectorAll('line')].map((line) => +line.getAttribute('y1')), +svg.querySelector('rect').getAttribute('y')];
    }"""
    said, lines, top = page.evaluate(drawn, most)
    assert said == list(map(str, ticks))
    assert (lines[0] - top) / (lines[0] - lines[-1]) == pytest.approx(most / ticks[-1])


def test_languages_and_themes_are_kept(page: Any, service: Service) -> None:
    judged(page, "涨停了")
    page.click("#language")
    assert page.inner_text("#go") == "判断"
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert "置信度" in page.inner_text("#answers")
    before = page.get_attribute("html", "data-theme")
    page.click("#theme")
    after = page.get_attribute("html", "data-theme")
    assert {before, after} == {"light", "dark"}
    page.goto(service.url)
    assert page.inner_text("#go") == "判断"
    assert page.get_attribute("html", "data-theme") == after


def test_the_keyboard_is_enough(page: Any) -> None:
    page.focus("#words")
    page.keyboard.insert_text("跌停了")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#answers li", timeout=120_000)
    page.focus("#tab-texts")
    for name in ("compare", "file", "texts"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.is_visible(f"#{name}")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, textarea, input')].filter(node => node.offsetParent && "
        "!(node.textContent.trim() || node.labels?.length || node.getAttribute('aria-label'))).map(node => node.id)"
    )
    assert unnamed == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_their_ground(page: Any, theme: str) -> None:
    """Contrast of 4.5 at least, WCAG 2.2, 1.4.3, for the page's own pairs of colours."""
    if page.get_attribute("html", "data-theme") != theme:
        page.click("#theme")
    judged(page, "涨停了")
    pairs = page.evaluate(
        """() => {
            const ground = (node) => { for (let at = node; at; at = at.parentElement) {
                const c = getComputedStyle(at).backgroundColor;
                if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
            return ['#said', '#answers .number', '#answers small', '#answers b', '.fact', '#go', 'footer span', '#model']
                .map((s) => { const node = document.querySelector(s); return [s, getComputedStyle(node).color, ground(node)]; });
        }"""
    )
    for name, ink, ground in pairs:
        assert contrast(ink, ground) >= 4.5, (name, ink, ground)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].replace("/", ",").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_is_copied_runs(page: Any, service: Service) -> None:
    page.evaluate("document.execCommand = () => true; Object.defineProperty(navigator, 'clipboard', {value: "
                  "{writeText: async (words) => { window.copied = words; }}})")  # fmt: skip
    judged(page, "涨'停了")
    ran = []
    for at, command in ((0, ["bash", "-c"]), (1, [sys.executable, "-c"])):
        page.locator("#said .chip").nth(at).click()
        until(lambda: page.evaluate("Boolean(window.copied)"))
        words = page.evaluate("const words = window.copied; window.copied = null; words")
        done = subprocess.run([*command, words], capture_output=True, text=True, timeout=300, check=True)
        ran.append(done.stdout)
    assert json.loads(ran[0])["predictions"][0]["sentiment"] == "利好"
    assert ran[1].split()[0] == "利好"
