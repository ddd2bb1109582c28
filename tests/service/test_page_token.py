"""The token as the page asks a person for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser import browser_page, chromium
from tests.service.served import Settings, serving
from tests.service.test_page import judged, loaded

__all__ = ["browser_page", "chromium"]


def test_a_token_is_asked_for_once(browser_page: Any, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef0123")
    with serving(Settings(token_file=str(secret))) as guarded:
        browser_page.goto(guarded.url)
        browser_page.wait_for_selector("#asking[open]")
        assert browser_page.inner_text("#wrong") == ""
        browser_page.fill("#token", "0123456789abcdef4567")
        browser_page.keyboard.press("Enter")
        browser_page.wait_for_selector("#wrong:not(:empty)")
        assert browser_page.inner_text("#wrong") == "The token was refused; look at it again."
        browser_page.fill("#token", "0123456789abcdef0123")
        browser_page.keyboard.press("Enter")
        loaded(browser_page)
        judged(browser_page, "涨停了")


def test_a_token_that_no_header_can_bear_is_refused_where_it_is_given(browser_page: Any, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef0123")
    with serving(Settings(token_file=str(secret))) as guarded:
        browser_page.goto(guarded.url)
        browser_page.wait_for_selector("#asking[open]")
        browser_page.fill("#token", "０123456789abcdef0123")  # its first digit is a Chinese keyboard's
        browser_page.keyboard.press("Enter")
        browser_page.wait_for_selector("#wrong:not(:empty)")
        browser_page.fill("#token", "0123456789abcdef0123")
        browser_page.keyboard.press("Enter")
        loaded(browser_page)


def test_who_gives_no_token_is_told_once(browser_page: Any, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef0123")
    with serving(Settings(token_file=str(secret))) as guarded:
        browser_page.goto(guarded.url)
        browser_page.wait_for_selector("#asking[open]")
        browser_page.keyboard.press("Escape")
        browser_page.wait_for_selector("#said:not(:empty)")
        assert browser_page.inner_text("#said").startswith("this service asks for a token")
        assert not browser_page.is_visible("#asking")
