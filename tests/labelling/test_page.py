"""The labelling page as a person uses it: keys, and what they leave on disk."""

from __future__ import annotations

import csv
import json
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.labelling.desk import Desk
from finsa_moe.labelling.server import PAGE, LabelServer
from finsa_moe.labelling.sheet import read_sheet
from tests.browser import browser_page, chromium

__all__ = ["browser_page", "chromium"]
TEXTS = ["涨停了", "<b>跌</b>停<script>document.title='broken'</script>", "横盘", "等公告"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LabelServer]:
    path = tmp_path / "of a week" / "batch.csv"
    path.parent.mkdir()
    why = ["at random", "利好 0.41 or 利空 0.38; more unusual than 97 % of known texts; of a group of 12", "", ""]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [[f"r{at}", text, "利好", "0.4127", why[at]] for at, text in enumerate(TEXTS)]
        csv.writer(file).writerows([["id", "text", "guess", "confidence", "why"], *rows])
    with Desk(path, read_sheet(path), "li") as desk, LabelServer(desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def labels(server: LabelServer) -> dict[str, str]:
    with server.desk.out.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def press(page: Any, key: str, shown: str) -> None:
    """Press a key and wait for the text that must come."""
    page.keyboard.press(key)
    page.wait_for_function("words => document.querySelector('#text').textContent === words", arg=shown)


def opened(page: Any, server: LabelServer) -> Any:
    page.goto(server.url)
    page.wait_for_function("words => document.querySelector('#text').textContent === words", arg=TEXTS[0])
    return page


def test_a_file_labelled_by_keys_alone(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    press(page, "3", TEXTS[1])
    assert labels(server) == {"r0": "利好"}
    assert page.title() == "finsa label"  # a text is shown, never run
    press(page, "1", TEXTS[2])
    press(page, "s", TEXTS[3])
    press(page, "u", TEXTS[2])
    press(page, "2", TEXTS[3])
    press(page, "Backspace", TEXTS[2])
    assert labels(server) == {"r0": "利好", "r1": "利空"}
    press(page, "2", TEXTS[3])
    page.keyboard.press("1")
    page.wait_for_selector("#done:not([hidden])")
    assert labels(server) == {"r0": "利好", "r1": "利空", "r2": "中性", "r3": "利空"}
    assert page.inner_text("#sum") == "4 of 4 labelled → batch.labels.li.csv"
    assert page.inner_text("#next") == f"finsa prepare {shlex.quote(str(server.desk.out))} --domain NAME --out DIR"
    assert not page.is_visible("#again")
    page.keyboard.press("u")
    page.wait_for_selector("#work:not([hidden])")
    assert page.inner_text("#text") == TEXTS[3]
    assert "r3" not in labels(server)


def test_a_note_takes_digits_for_digits(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    page.keyboard.press("n")
    page.keyboard.type("1 或 3,说不准")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#noted').textContent.includes('说不准')")
    assert not server.desk.labelled
    press(page, "3", TEXTS[1])
    with server.desk.out.open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["note"] == "1 或 3,说不准"
    page.keyboard.press("n")
    page.keyboard.type("不要")
    page.keyboard.press("Escape")
    press(page, "2", TEXTS[2])
    assert server.desk.journal.notes == {"r0": "1 或 3,说不准"}


def test_the_guess_is_hidden_until_asked_for(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    assert not page.is_visible("#guess")
    page.keyboard.press("g")
    assert page.is_visible("#guess")
    assert page.inner_text("#guess").strip() == "· 利好 · 0.4127"  # of a random sample as well
    page.keyboard.press("g")
    assert not page.is_visible("#guess")
    press(page, "ArrowRight", TEXTS[1])
    page.keyboard.press("g")
    assert "利好 · 0.4127 · 利好 0.41 or 利空 0.38; more unusual than 97 %" in page.inner_text("#guess")


def test_why_a_text_was_chosen_is_told_in_chinese(chromium: Any, server: LabelServer) -> None:
    page = opened(chromium.new_page(locale="zh-CN"), server)
    press(page, "ArrowRight", TEXTS[1])
    page.keyboard.press("g")
    why = "利好 0.41 或 利空 0.38；比 97% 的已知文本更少见；所在分组共 12 条"
    assert page.inner_text("#guess").strip() == f"· 利好 · 0.4127 · {why}"
    page.close()


def test_a_typed_note_is_saved_by_the_click_that_labels(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    page.keyboard.press("n")
    page.keyboard.type("说不准")
    page.click("[data-key=n]")  # and asking for the note once more keeps what was typed
    page.click("[data-label=中性]")
    page.wait_for_function("words => document.querySelector('#text').textContent === words", arg=TEXTS[1])
    assert server.desk.journal.notes == {"r0": "说不准"}
    assert labels(server) == {"r0": "中性"}


def test_the_skipped_ones_are_shown_once_more(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    for text in TEXTS[1:]:
        press(page, "s", text)
    page.keyboard.press("s")
    page.wait_for_selector("#done:not([hidden])")
    assert page.inner_text("#sum") == "0 of 4 labelled, 4 skipped"  # no file was made, and none is named
    assert page.inner_text("#next") == ""
    page.click("#again")
    page.wait_for_selector("#work:not([hidden])")
    press(page, "1", TEXTS[1])
    press(page, "s", TEXTS[2])
    assert labels(server) == {"r0": "利空"}


def test_arrows_look_back_and_a_label_is_changed(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    press(page, "3", TEXTS[1])
    press(page, "ArrowLeft", TEXTS[0])
    assert page.get_attribute("[data-label=利好]", "aria-pressed") == "true"
    press(page, "1", TEXTS[1])
    assert labels(server) == {"r0": "利空"}
    press(page, "ArrowRight", TEXTS[2])
    page.click("[data-label=中性]")  # the mouse does it as well
    page.wait_for_function("words => document.querySelector('#text').textContent === words", arg=TEXTS[3])
    assert labels(server) == {"r0": "利空", "r2": "中性"}


def test_a_key_that_was_not_saved_is_told(browser_page: Any, server: LabelServer) -> None:
    page = opened(browser_page, server)
    server.desk.journal.path = server.desk.journal.path.parent / "gone" / "journal"
    page.keyboard.press("3")
    page.wait_for_selector("#failure:not([hidden])")
    assert "this key was not saved" in page.inner_text("#failure")
    assert page.inner_text("#text") == TEXTS[0]
    assert server.desk.labelled == 0


def test_labels_that_cannot_be_written_are_told_until_they_are(browser_page: Any, server: LabelServer) -> None:
    page, out = opened(browser_page, server), server.desk.out
    server.desk.out = out.parent / "gone" / out.name
    press(page, "3", TEXTS[1])
    assert "every key is safe in batch.labels.li.journal" in page.inner_text("#failure")
    server.desk.out = out
    press(page, "1", TEXTS[2])
    assert not page.is_visible("#failure")
    assert labels(server) == {"r0": "利好", "r1": "利空"}


def test_the_enter_that_ends_a_composition_saves_no_note(browser_page: Any, server: LabelServer) -> None:
    """Safari sends it after the composition has ended, by the key code of one that an input method has taken."""
    page = opened(browser_page, server)
    page.keyboard.press("n")
    page.keyboard.type("zhang")
    enter = "code => note.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', keyCode: code, bubbles: true}))"
    page.evaluate(enter, 229)
    assert page.is_visible("#noting")
    assert not page.evaluate("busy")
    page.evaluate(enter, 13)
    page.wait_for_function("() => document.querySelector('#noted').textContent.includes('zhang')")
    assert server.desk.journal.notes == {"r0": "zhang"}


def test_another_sites_page_cannot_label(browser_page: Any, server: LabelServer, tmp_path: Path) -> None:
    """A page of another origin sends what a form can send, and what a script would: neither is taken."""
    act = f"{server.url}act"
    body = json.dumps({"do": "label", "row": "r0", "label": "利好"})
    browser_page.goto("data:text/html,<p>elsewhere</p>")
    for kind in ("text/plain", "application/json"):
        sent = """async ([act, body, kind]) => {
            try { return (await fetch(act, {method: 'POST', headers: {'Content-Type': kind}, body})).status }
            catch (error) { return 'refused' }
        }"""
        assert browser_page.evaluate(sent, [act, body, kind]) == "refused"
    blind = "([act, body]) => fetch(act, {method: 'POST', mode: 'no-cors', body}).then(() => 'sent', () => 'sent')"
    assert browser_page.evaluate(blind, [act, body]) == "sent"
    assert server.desk.labelled == 0


def test_chinese_words_have_chinese_punctuation() -> None:
    words = PAGE.read_text(encoding="utf-8").partition('startsWith("zh") ? {')[2].partition("} : {")[0]
    assert "备注：" in words
    assert not re.findall(r"[\u4e00-\u9fff] ?[,:;()?]|[,:;()?] ?[\u4e00-\u9fff]", words)
