"""The page's words against the service's: every problem has its Chinese, and what is written in both places is the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from finsa_moe.runtime.prediction import STRANGE
from finsa_moe.service.page import FOLDER
from tests.service.paged import browser_page, chromium, page, service

ROOT = Path(__file__).parents[2]
__all__ = ["browser_page", "chromium", "page", "service"]
NEVER_ASKED = {"compressed", "media-type", "model", "no-token", "not-http", "not-json", "404"}
"""Of requests that the page does not make; told in the service's words."""


def test_every_problem_of_a_request_of_the_page_has_chinese_words() -> None:
    made = "".join(file.read_text(encoding="utf-8") for file in Path(FOLDER).parent.glob("*.py"))
    kinds = set(re.findall(r'(?:Problem|_refuse)\(\s*\d{3}, "([\w-]+)"', made))
    kinds |= set(re.findall(r'unavailable\("([\w-]+)"', made))
    kinds |= set(re.findall(r"urn:finsa:([\w-]+)", (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")))
    assert {"deadline", "too-many", "storage", "head", "away"} <= kinds
    words = (FOLDER / "words.js").read_text(encoding="utf-8")
    known = set(re.findall(r'"?([\w-]+)"?: \(p?\) =>', words[words.rindex("problems: {") :]))
    assert kinds - NEVER_ASKED - known == set()
    assert known - kinds == {"other"}


def test_both_languages_have_the_same_words(page: Any) -> None:
    english, chinese = page.evaluate(
        "import('/page/words.js').then(({ WORDS }) => [WORDS.en, WORDS.zh].map((words) => Object.keys(words).sort()))"
    )
    assert english == chinese


def test_a_problem_of_no_known_kind_is_told_in_the_services_words(page: Any) -> None:
    page.click("#language")
    told = "import('/page/words.js').then(({ told }) => ['urn:finsa:constructor', undefined].map((type) => told({ type, detail: 'why' })))"
    assert page.evaluate(told) == ["服务的说明（英文）：why"] * 2
    assert page.evaluate("import('/page/words.js').then(({ told }) => String(told({})))") == "undefined"  # of a proxy


def test_a_strange_text_is_strange_here_and_there() -> None:
    assert f"STRANGE = {STRANGE};" in (FOLDER / "draw.js").read_text(encoding="utf-8")
