"""Many requests: tried again, never repeated, counted, resumed."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError, EndpointError
from finsa_moe.llm.client import Bill, Client, Manners
from finsa_moe.llm.endpoint import Answer, Endpoint, PassingError, RefusedError
from tests.llm.server import Handler, Server, breaks_off, closes, raw, says, serving, status


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def client(server: Server, kept: Path | None = None, waits: list[float] | None = None, **manners: float) -> Client:
    asked = Manners(**{"pause": 0.1, **manners})  # type: ignore[arg-type]
    return Client(Endpoint(server.url, "m", timeout=120), asked, kept, (waits if waits is not None else []).append)


def test_failures_that_pass_are_tried_again() -> None:
    waits: list[float] = []
    with serving(status(500), status(429, Retry_After="9"), raw(b"?"), closes, says("好")) as server:
        asker = client(server, waits=waits)
        assert asker.ask(said("涨")).text == "好"
        assert len(server.requests) == 5
    assert waits[1] == 9  # asked to
    for at, wait in ((0, 0.1), (2, 0.4), (3, 0.8)):  # doubled, shortened by chance
        assert wait / 2 <= waits[at] <= wait
    assert asker.bill == Bill(asked=1, prompt_tokens=7, answer_tokens=3)
    assert asker.bill.cost(1e6, 2e6) == 13


def test_given_up_after_so_many_tries() -> None:
    with serving(status(503)) as server:
        asker = client(server, tries=3)
        with pytest.raises(PassingError, match=r"status 503: no \(given up after 3 tries\)"):
            asker.ask(said("涨"))
        assert len(server.requests) == 3


def test_all_are_answered_some_at_once() -> None:
    most, now, lock, met = 0, 0, threading.Lock(), threading.Event()

    def behave(handler: Handler, body: dict[str, object]) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        if most > 1:
            met.set()
        met.wait(120)  # the first for a second one
        time.sleep(0.02)
        with lock:
            now -= 1
        says(lambda text: text[::-1])(handler, body)

    with serving(behave) as server:
        found = dict(client(server, at_once=3).ask_all(said(f"第{at}条") for at in range(30)))
    assert {at: answer.text for at, answer in found.items() if isinstance(answer, Answer)} == {
        at: f"第{at}条"[::-1] for at in range(30)
    }
    assert 1 < most <= 3


def test_one_that_fails_does_not_stop_the_others_and_a_refusal_does() -> None:
    def behave(handler: Handler, body: dict[str, object]) -> None:
        (status(500) if "坏" in str(body) else says("好"))(handler, body)

    with serving(behave) as server:
        asker = client(server, tries=2)
        found = dict(asker.ask_all([said("一"), said("坏"), said("三")]))
        assert isinstance(found[1], EndpointError)
        assert isinstance(found[0], Answer)
        assert isinstance(found[2], Answer)
        assert (asker.bill.asked, asker.bill.failed) == (2, 1)
    with serving(status(401)) as server, pytest.raises(EndpointError, match="status 401"):
        list(client(server).ask_all([said(str(at)) for at in range(50)]))
    assert len(server.requests) < 20


def test_a_request_refused_for_what_it_holds_stops_no_other() -> None:
    def behave(handler: Handler, body: dict[str, object]) -> None:
        (status(400, b"filtered") if "坏" in str(body) else says("好"))(handler, body)

    with serving(behave) as server:
        found = dict(client(server).ask_all([said("坏"), said("二"), said("坏三"), said("四")]))
        assert [type(found[at]) for at in range(4)] == [RefusedError, Answer, RefusedError, Answer]
        assert len(server.requests) == 4
    with serving(status(422)) as server, pytest.raises(RefusedError, match="status 422"):
        list(client(server).ask_all([said(str(at)) for at in range(50)]))  # its form is refused, not its content
    assert len(server.requests) < 20


def test_equal_requests_are_one_where_they_should_be(tmp_path: Path) -> None:
    kept = tmp_path / "answers.jsonl"
    with serving(says("好")) as server:
        list(client(server, kept).ask_all([said("涨"), said("跌")], one_by_one=False))
        found = dict(client(server, kept).ask_all([said("平"), said("涨"), said("跌")], one_by_one=False))
        assert [found[at].text for at in range(3)] == ["好"] * 3  # type: ignore[union-attr]
        assert len(server.requests) == 3


def test_what_was_answered_is_never_asked_again(tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "answers.jsonl"
    with serving(says(lambda text: text + "!")) as server:
        first = client(server, kept)
        assert len(list(first.ask_all([said("涨"), said("跌"), said("涨")]))) == 3
        assert len(server.requests) == 3  # equal requests are told apart
        again = client(server, kept)
        assert dict(again.ask_all([said("涨"), said("跌"), said("涨"), said("平")]))[3] == Answer("平!", 7, 3)
        assert len(server.requests) == 4
        assert again.bill == Bill(
            1, 3, 0, prompt_tokens=7, answer_tokens=3, prompt_tokens_before=21, answer_tokens_before=9
        )
        assert (again.bill.cost(1e6, 2e6), again.bill.cost(1e6, 2e6, before=True)) == (13, 39)
        other = Client(Endpoint(server.url, "another model"), Manners(), kept)
        other.ask(said("涨"))
        assert len(server.requests) == 5


def test_requests_that_come_and_go_leave_the_others_answered(tmp_path: Path) -> None:
    kept = tmp_path / "answers.jsonl"
    with serving(says(lambda text: text + "!")) as server:
        list(client(server, kept).ask_all([said("涨"), said("涨"), said("跌")]))
        found = dict(
            client(server, kept).ask_all([said("平"), said("跌"), said("涨"), said("新"), said("涨"), said("涨")])
        )
        assert len(found) == 6
        assert sorted(body["messages"][0]["content"] for _, body, _ in server.requests[3:]) == ["平", "新", "涨"]


def test_where_nobody_is_the_run_ends_early() -> None:
    with serving(status(500)) as server:
        asker = client(server, tries=2, at_once=2, given_up=5)
        with pytest.raises(EndpointError, match=r"status 500.*so ended 5 requests in a row"):
            list(asker.ask_all(said(str(at)) for at in range(1000)))
    assert len(server.requests) <= 2 * (5 + 4)


def test_failures_between_answers_end_nothing() -> None:
    def behave(handler: Handler, body: dict[str, object]) -> None:
        (status(500) if "坏" in str(body) else says("好"))(handler, body)

    with serving(behave) as server:
        asker = client(server, tries=1, at_once=1, given_up=3)
        found = dict(asker.ask_all(said("坏" if at % 3 else "好") for at in range(30)))
    assert sum(isinstance(answer, Answer) for answer in found.values()) == 10
    assert asker.bill.failed == 20


def test_failures_in_a_row_are_counted_as_they_were_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that have ended none comes first, and the last handed out may be the first asked."""

    def last_first(waiting: dict, return_when: str) -> tuple[list, set]:
        done, left = futures.wait(waiting)
        return sorted(done, key=waiting.__getitem__, reverse=True), left

    def behave(handler: Handler, body: dict[str, object]) -> None:
        (status(500) if "坏" in str(body) else says("好"))(handler, body)

    monkeypatch.setattr("finsa_moe.llm.client.wait", last_first)
    with serving(behave) as server:
        asker = client(server, tries=1, at_once=1, given_up=3)
        assert len(list(asker.ask_all(said("坏" if at % 3 else "好") for at in range(12)))) == 12
    assert asker.bill.failed == 8


def test_a_days_quota_is_not_slept_through() -> None:
    waits: list[float] = []
    with (
        serving(status(429, Retry_After="86400")) as server,
        pytest.raises(EndpointError, match="asks to wait 86,400 s: go on later"),
    ):
        client(server, waits=waits).ask(said("涨"))
    assert not waits


def test_asking_that_is_broken_off_does_not_sit_out_its_pauses() -> None:
    def behave(handler: Handler, body: dict[str, object]) -> None:
        (says("好") if "好" in str(body) else status(503))(handler, body)

    with serving(behave) as server:
        asker = Client(Endpoint(server.url, "m"), Manners(pause=600, longest_pause=600, at_once=4))
        began = time.monotonic()
        answers = asker.ask_all([said("坏"), said("坏二"), said("好")])
        assert next(answers)[0] == 2
        time.sleep(0.2)
        answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 120


def test_tokens_that_are_not_told_are_said_to_be_missing() -> None:
    with serving(raw(b'{"choices": [{"message": {"content": "x"}}]}'), says("好")) as server:
        asker = client(server, at_once=1)
        list(asker.ask_all([said("一"), said("二")]))
    assert asker.bill == Bill(asked=2, prompt_tokens=7, answer_tokens=3, untold=1)


def test_a_line_cut_off_is_put_right(tmp_path: Path) -> None:
    kept = tmp_path / "answers.jsonl"
    with serving(says("好")) as server:
        list(client(server, kept).ask_all([said("一"), said("二")]))
        kept.write_bytes(kept.read_bytes()[:-9])
        list(client(server, kept).ask_all([said("一"), said("二")]))
        assert len(server.requests) == 3
        list(client(server, kept).ask_all([said("一"), said("二")]))
        assert len(server.requests) == 3
    kept.write_text("id,text\n1,涨\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a file of answers"):
        client(server, kept)


def test_no_more_a_minute_than_allowed() -> None:
    waits: list[float] = []
    with serving(says("好")) as server:
        list(client(server, waits=waits, per_minute=1, at_once=1).ask_all([said(str(at)) for at in range(4)]))
    assert [round(wait / 60) for wait in waits] == [0, 1, 2, 3]  # its clock stands still while it should sleep


@pytest.mark.parametrize(
    "manners", [{"at_once": 0}, {"tries": 0}, {"longest": 0}, {"given_up": 0}, {"per_minute": -1}, {"temperature": -1}]
)
def test_bad_manners(manners: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"allowed are numbers from [01]"):
        Manners(**manners)


def test_an_answer_that_breaks_off_is_none() -> None:
    with serving(breaks_off, says("好")) as server:
        assert client(server).ask(said("涨")).text == "好"


def test_what_waits_is_not_sent_once_the_asking_is_broken_off() -> None:
    with serving(says("好")) as server:
        asker = Client(Endpoint(server.url, "m", timeout=120), Manners(at_once=4, per_minute=6))
        answers = asker.ask_all([said(str(at)) for at in range(8)])
        next(answers)
        answers.close()
        assert len(server.requests) == 1  # the others' turn would have come in 10 s and more
