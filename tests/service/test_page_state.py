"""What the page shows belongs to what was asked last, and an error never hides an answer that can still be had."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.paged import browser_page, chromium, judged, loaded, page, refused, sent, service
from tests.service.served import Service

__all__ = ["browser_page", "chromium", "page", "service"]
BROKEN = """() => { const whole = window.fetch;
    window.fetch = async (path, more) => { if (!path.startsWith('/v1/predict')) return whole(path, more);
        const told = new TextEncoder().encode('event: progress\\ndata: {"rows": 1, "of": 2}\\n\\n');
        return new Response(new ReadableStream({ pull(out) { if (this.sent) out.error(new TypeError('network error'));
            else { this.sent = true; out.enqueue(told); } } })); }; }"""
SLOWER = """() => { const whole = window.fetch; window.first = new Promise((go) => { window.let = go; });
    window.fetch = async (path, more) => { const late = String(more?.body).includes('跌');
        const found = await whole(path, more); if (late) { await window.first; setTimeout(() => { window.over = true; }); }
        return late && window.fails ? Promise.reject(new TypeError('x')) : found; }; }"""


@pytest.fixture
def opened(browser_page: Any, service: Service) -> Any:
    """The page, ready; not `page`, as a browser writes a refused request to its console."""
    browser_page.goto(service.url)
    loaded(browser_page)
    return browser_page


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("tab", "area", "found"), [("texts", "#words", "#answers li"), ("compare", "#one", "article")])
def test_an_earlier_slower_answer_is_not_shown(page: Any, tab: str, area: str, found: str, fails: bool) -> None:
    page.evaluate(SLOWER)
    page.evaluate("(fails) => { window.fails = fails; }", fails)
    page.click(f"#tab-{tab}")
    for text in ("跌停了", "涨停了"):
        page.fill(area, text)
        page.press(area, "Control+Enter")
    page.wait_for_selector(found, timeout=120_000)
    page.evaluate(
        "async () => { window.let(); for (let n = 0; n < 4000 && !window.over; n++)"
        " await new Promise((go) => setTimeout(go, 5)); for (let n = 0; n < 20; n++) await new Promise((go) => setTimeout(go, 5)); }"
    )
    assert page.evaluate("window.over")
    assert page.locator(found).first.locator(".text").inner_text() == "涨停了"
    assert not page.locator("div.status.wrong").count()
    assert page.is_enabled("#go")
    assert page.is_enabled("#versus")


def test_no_answers_stay_below_an_error_and_none_comes_back_with_the_language(opened: Any) -> None:
    judged(opened, "涨", "涨", "跌", "跌")
    refused(opened, "**/v1/predict", "storage")
    opened.click("#go")
    opened.wait_for_selector("#said.wrong")
    assert opened.inner_text("#said") == "in English"
    assert opened.inner_text("#answers") == opened.inner_text("#tally") == ""
    opened.click("#language")
    assert opened.locator("#said.wrong").count() == 1


def test_while_texts_are_read_the_language_brings_no_earlier_answers_back(page: Any) -> None:
    judged(page, "涨停了")
    page.evaluate(SLOWER)
    page.fill("#words", "跌停了")
    page.click("#go")
    page.click("#language")
    assert page.inner_text("#said") == "Reading …"
    assert page.inner_text("#answers") == ""
    page.evaluate("window.let()")
    page.wait_for_selector("#answers li[data-label=bearish]", timeout=120_000)


def test_no_sides_stay_below_an_error(opened: Any) -> None:
    opened.click("#tab-compare")
    opened.fill("#one", "涨停了")
    opened.click("#versus")
    opened.wait_for_selector("#sides article", timeout=120_000)
    opened.fill("#one", " ")
    opened.click("#versus")
    assert opened.inner_text("#verdict") == "Type a text first."
    opened.click("#language")
    assert opened.inner_text("#sides") == ""


def test_an_earlier_files_answer_does_not_come_back_with_the_language(opened: Any) -> None:
    opened.click("#tab-file")
    sent(opened, "text\n涨停了\n")
    opened.wait_for_selector("#download", timeout=120_000)
    refused(opened, "**/v1/predict/file?*", "storage")
    opened.click("#send")
    opened.wait_for_selector("#told.wrong")
    opened.click("#language")
    assert opened.locator("#told.wrong").count() == 1
    assert opened.locator("#download").count() == 0


def test_a_failed_download_can_be_tried_again(opened: Any) -> None:
    opened.click("#tab-file")
    sent(opened, "text\n涨停了\n")
    opened.wait_for_selector("#download", timeout=120_000)
    opened.route("**/v1/files/*", lambda route: route.abort())
    opened.click("#download")
    opened.wait_for_selector("#told.wrong")
    assert opened.inner_text("#told").startswith("The service cannot be reached.")
    opened.unroute("**/v1/files/*")
    with opened.expect_download() as waited:
        opened.click("#download")
    assert waited.value.suggested_filename.endswith(".csv")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_a_ticker_may_hold_what_javascript_takes_for_an_end_of_line(page: Any, mark: str) -> None:
    page.click("#tab-file")
    sent(page, f"ticker,text\nx{mark}y,涨停了\n")
    page.wait_for_selector("#told:has(#download), #told.wrong", timeout=120_000)
    assert page.inner_text("#told").startswith("1 of 1 rows answered")
    assert page.text_content("#tickers .tickers span") == f"x{mark}y"


def test_a_stream_that_breaks_is_told_in_the_readers_language(page: Any) -> None:
    page.evaluate(BROKEN)
    page.click("#language")
    page.click("#tab-file")
    sent(page, "text\n涨停了\n")
    page.wait_for_selector("#told.wrong")
    assert page.inner_text("#told") == "连不上服务。"


def test_a_file_that_is_stopped_is_no_error(page: Any, service: Service) -> None:
    page.click("#tab-file")
    service.engine.gate.clear()  # type: ignore[attr-defined]
    try:
        sent(page, "text\n涨停了\n")
        page.locator("#told", has_text="0 of 1 rows").wait_for()
        page.click("#stop")
        page.locator("#told", has_text="Stopped.").wait_for()
    finally:
        service.engine.gate.set()  # type: ignore[attr-defined]
    assert not page.locator("#told.wrong").count()


def test_the_model_is_asked_for_again_where_it_could_not_be_had(browser_page: Any, service: Service) -> None:
    browser_page.route("**/v1/model", lambda route: route.abort())
    browser_page.goto(service.url)
    browser_page.wait_for_selector("#said.wrong")
    assert browser_page.inner_text("#said") == "The service cannot be reached."
    browser_page.unroute("**/v1/model")
    judged(browser_page, "涨停了")
    loaded(browser_page)
    assert browser_page.inner_text("#model") == "a fake · fake"
