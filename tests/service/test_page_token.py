"""The token as the page asks a person for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.paged import browser_page, chromium, judged, loaded, sent
from tests.service.served import Settings, serving

__all__ = ["browser_page", "chromium"]


TOKEN = "0123456789abcdef0123"


@pytest.fixture
def asking(browser_page: Any, tmp_path: Path) -> Iterator[Any]:
    """The page of a service with a token, which it asks for."""
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    with serving(Settings(token_file=str(secret))) as guarded:
        browser_page.goto(guarded.url)
        browser_page.wait_for_selector("#asking[open]")
        yield browser_page


def test_a_token_is_asked_for_once(asking: Any) -> None:
    assert asking.inner_text("#wrong") == ""
    asking.fill("#token", "0123456789abcdef4567")
    asking.keyboard.press("Enter")
    asking.wait_for_selector("#wrong:not(:empty)")
    assert asking.inner_text("#wrong") == "The token was refused; look at it again."
    asking.fill("#token", TOKEN)
    asking.keyboard.press("Enter")
    loaded(asking)
    judged(asking, "涨停了")


def test_a_token_that_no_header_can_bear_is_refused_where_it_is_given(asking: Any) -> None:
    asking.fill("#token", "０123456789abcdef0123")  # its first digit is a Chinese keyboard's
    asking.keyboard.press("Enter")
    asking.wait_for_selector("#wrong:not(:empty)")
    asking.fill("#token", TOKEN)
    asking.keyboard.press("Enter")
    loaded(asking)


@pytest.mark.parametrize("tab", ["texts", "compare", "file"])
def test_who_gives_no_token_is_told_once_and_asked_again_by_what_is_done_next(asking: Any, tab: str) -> None:
    asking.keyboard.press("Escape")
    asking.wait_for_selector("#said:not(:empty)")
    assert asking.inner_text("#said").startswith("this service asks for a token")
    assert not asking.is_visible("#asking")
    asking.click(f"#tab-{tab}")
    if tab == "file":
        sent(asking, "text\n涨停了\n")
    else:
        asking.fill("#words" if tab == "texts" else "#one", "涨停了")
        asking.click("#go" if tab == "texts" else "#versus")
    asking.fill("#token", TOKEN)
    asking.keyboard.press("Enter")
    found = {"texts": "#answers li", "compare": "#sides article", "file": "#download"}[tab]
    asking.wait_for_selector(found, timeout=120_000)
    loaded(asking)
    assert asking.inner_text("#model") == "a fake · fake"
    assert asking.text_content("#limits")
    assert not asking.locator("#said.wrong").count()
