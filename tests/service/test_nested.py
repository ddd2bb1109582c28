"""Rows of a file whose text is a list or an object: refused as such, whole and in their place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import pairwise

import polars as pl
import pytest

from finsa_moe.service.files import PORTION
from tests.service.served import Service, Settings, serving

REASON = "the text is a list or an object; allowed: a string or a number"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_chars=20)) as found:
        yield found


def answers(service: Service, rows: list[dict[str, object]], query: str = "") -> list[dict[str, object]]:
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    reply = service.ask("POST", f"/v1/predict/file{query}", body, LINES)
    assert reply.status == 200, reply.body
    return [json.loads(line) for line in reply.body.decode().splitlines()]


def test_a_list_or_an_object_is_no_empty_text(service: Service) -> None:
    rows: list[dict[str, object]] = [
        {"text": "涨", "n": 1}, {"text": ["跌停"], "n": 2}, {"text": "", "n": 3}, {"text": {"a": "跌"}, "n": 4}, {"text": 5, "n": 5},
    ]  # fmt: skip
    found = answers(service, rows)
    assert [row["refused"] for row in found] == [None, REASON, "empty text", REASON, None]
    assert [(row["text"], row["n"]) for row in found] == [(row["text"], row["n"]) for row in rows]
    assert [row["sentiment"] is None for row in found] == [False, True, True, True, False]
    assert [row["refused"] for row in answers(service, rows[1:2] * 3)] == [REASON] * 3


def test_a_list_in_one_of_several_columns_refuses_the_row(service: Service) -> None:
    rows: list[dict[str, object]] = [
        {"title": "涨停", "body": "涨"},
        {"title": "涨停", "body": ["跌停"]},
        {"title": "跌"},
    ]
    assert [row["refused"] for row in answers(service, rows, "?text=title%2Bbody")] == [None, REASON, None]


def test_many_rows_keep_their_order(service: Service) -> None:
    rows: list[dict[str, object]] = [{"id": at, "text": "涨" if at % 7 else ["跌"]} for at in range(1500)]
    found = answers(service, rows)
    assert [row["id"] for row in found] == list(range(1500))
    assert [row["refused"] for row in found] == [None if at % 7 else REASON for at in range(1500)]


def test_lists_of_a_parquet_file(service: Service) -> None:
    body = io.BytesIO()
    pl.DataFrame({"title": ["涨", "跌"], "body": [["a"], None]}).write_parquet(body)
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    reply = service.ask("POST", "/v1/predict/file?text=title%2Bbody", body.getvalue(), kind)
    assert reply.status == 200, reply.body
    found = pl.read_parquet(io.BytesIO(reply.body))
    assert found["refused"].to_list() == [REASON, None]
    assert found["body"].to_list() == [["a"], None]


def test_only_empty_texts_count_as_empty() -> None:
    with serving(Settings(max_chars=20)) as service:
        rows: list[dict[str, object]] = [{"text": "涨" * 21}, {"text": ["跌"]}, {"text": ""}, {"text": "涨"}]
        assert [row["refused"] is None for row in answers(service, rows)] == [False, False, False, True]
        assert service.metric("finsa_empty_texts_total") == 1


@pytest.mark.parametrize("where", ["first", "last", "many"])
def test_rows_that_are_refused_do_not_hold_the_others_back(service: Service, where: str) -> None:
    """No more than a portion is handed on at once, whatever of a batch is broken, and in the order of the file."""
    lines = [json.dumps({"text": "涨", "n": at}) for at in range(1700)]
    for at in {"first": [0], "last": [1699], "many": range(100, 1500)}[where]:
        lines[at] = "broken" if at % 2 else json.dumps({"text": ["跌"], "n": at})
    body = "".join(f"{line}\n" for line in lines).encode()
    told = service.ask("POST", "/v1/predict/file", body, {**LINES, "Accept": "text/event-stream"}).body.decode()
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    steps = [event["rows"] for event in events[:-1]]
    assert max(after - before for before, after in pairwise(steps)) <= PORTION
    found = service.ask("GET", events[-1]["file"]).body.decode().splitlines()
    assert [json.loads(row)["id"] for row in found] == [f"row-{at}" for at in range(1, 1701)]
