"""The service's page in a browser, for tests: fixtures, what is typed and sent, and answers of a service that fails.

Import `browser_page`, `chromium`, `page` and `service` into a test's module to use them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser_page, chromium
from tests.service.served import Service, Settings, serving

__all__ = ["browser_page", "chromium"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_texts=20, max_explained=3)) as found:
        yield found


@pytest.fixture
def page(browser_page: Any, service: Service) -> Iterator[Any]:
    """The page, ready; whatever its console holds against it fails the test."""
    complaints: list[str] = []
    browser_page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    browser_page.goto(service.url)
    loaded(browser_page)
    yield browser_page
    assert not complaints


def loaded(page: Any) -> None:
    """Wait for the model's experts; not by a function that is asked again and again, which the page's policy forbids."""
    page.locator("#expert option").nth(2).wait_for(state="attached")


def judged(page: Any, *texts: str, answers: int | None = None) -> Any:
    page.fill("#words", "\n".join(texts))
    page.click("#go")
    found = page.locator("#answers li")
    found.nth((answers or len(texts)) - 1).wait_for(timeout=120_000)
    assert found.count() == (answers or len(texts))
    return found


def posts(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "ticker", "text"])
        writer.writerows(
            [f"2026-08-{1 + at % 28:02d}", f"60000{at % 3}", "涨" if at % 2 else "跌"] for at in range(300)
        )
        writer.writerow(["2026-08-30", "600001", ""])
    return path


def sent(page: Any, content: str) -> None:
    """Choose a CSV file with this content and send it."""
    page.set_input_files("#chosen", {"name": "x.csv", "mimeType": "text/csv", "buffer": content.encode()})
    page.click("#send")


def refused(page: Any, path: str, kind: str, status: int = 507) -> None:
    """Have requests of this path, a glob, answered by a problem of this kind."""
    problem = {"type": f"urn:finsa:{kind}", "title": "a title", "status": status, "detail": "in English"}
    content = json.dumps(problem)
    page.route(path, lambda route: route.fulfill(status=status, content_type="application/problem+json", body=content))
