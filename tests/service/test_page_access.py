"""The page for who has no mouse or sees no screen: names, keys, and the pull of words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.paged import browser_page, chromium, judged, page, service

__all__ = ["browser_page", "chromium", "page", "service"]


def test_what_is_waited_for_and_asked_has_a_name(page: Any) -> None:
    page.evaluate("() => { document.getElementById('asking').showModal(); }")
    assert page.get_by_role("dialog", name="This service asks for a token").count() == 1
    page.evaluate("() => { document.getElementById('asking').close(); }")
    page.click("#language")
    page.click("#tab-file")
    page.evaluate("() => { document.getElementById('progress').hidden = false; }")
    assert page.get_by_role("progressbar", name="已判断的行").count() == 1
    assert page.get_by_role("button", name="Switch to English").count() == 1


def test_home_and_end_go_to_the_first_tab_and_the_last(page: Any) -> None:
    page.focus("#tab-texts")
    for key, name in (("End", "file"), ("Home", "texts"), ("ArrowLeft", "file"), ("ArrowRight", "texts")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.is_visible(f"#{name}")


@pytest.mark.parametrize("held", ["Alt", "Control", "Meta"])
def test_what_a_browser_does_with_arrows_and_a_second_key_is_left_to_it(page: Any, held: str) -> None:
    """Alt and the left arrow go back."""
    page.focus("#tab-texts")
    kept = (
        "([held]) => { const key = new KeyboardEvent('keydown', { key: 'ArrowLeft', [`${held}Key`]: true, bubbles: true,"
        " cancelable: true }); return document.getElementById('tab-texts').dispatchEvent(key); }"
    )
    assert page.evaluate(kept, [{"Control": "ctrl"}.get(held, held.lower())])
    assert page.is_visible("#texts")


def test_the_pull_of_words_is_told_without_a_mouse(page: Any) -> None:
    answer = judged(page, "公告涨涨跌").first
    marked = answer.locator("mark")
    shown = dict(zip(marked.all_inner_texts(), [mark.get_attribute("title") for mark in marked.all()], strict=True))
    assert shown
    answer.locator("summary").focus()
    page.keyboard.press("Enter")
    rows = answer.locator("tr").all()
    assert {row.locator("th").inner_text(): row.locator("td").inner_text() for row in rows} == shown
    sizes = [float(row.locator("td").inner_text().split()[-1].rstrip("%")) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    page.uncheck("#why")
    judged(page, "涨停了", "跌")
    assert page.locator("#answers summary").count() == 0
