"""Debian's Chromium for tests of pages, driven by Playwright; skipped, saying so, where either is missing.

Import `chromium` and `browser_page` into a test's module to use them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser without a window."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=180_000
        )
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: Any) -> Iterator[Any]:
    """A fresh page; the test fails if a script of it failed, or if it asked another place than loopback for anything."""
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("http://127.0.0.1", "data:")) else wrong.append(request.url),
    )
    yield page
    context.close()
    assert not wrong
