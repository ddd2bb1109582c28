"""Bodies of ``/v1/predict`` made to be costly: refused in the words of any other, before an error is made of each part."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from pydantic import ValidationError

from finsa_moe.service.predict import _parsed, _read
from finsa_moe.service.problems import Problem
from finsa_moe.service.settings import Settings
from finsa_moe.service.shapes import PredictRequest

SMALL = Settings(max_texts=50, max_explained=16)


def refused(body: bytes) -> Problem:
    with pytest.raises(Problem) as found:
        _read(body, SMALL)
    return found.value


@pytest.mark.parametrize("entry", ["1", '"a"', "[]", "null"])
@pytest.mark.parametrize(("more", "said"), [("", "1 to 50"), (', "explain": true', "with explain 1 to 16")])
def test_too_many_entries_are_refused_unchecked(entry: str, more: str, said: str) -> None:
    problem = refused(f'{{"texts": [{",".join([entry] * 200_000)}]{more}}}'.encode())
    assert (problem.status, problem.kind) == (422, "count")
    assert problem.detail == f"/texts: 200,000 texts; {said} are taken"


def test_of_a_name_twice_the_last_is_meant() -> None:
    many = ",".join(["1"] * 1000)
    assert refused(f'{{"texts": ["a"], "texts": [{many}]}}'.encode()).kind == "count"
    assert _read(f'{{"texts": [{many}], "texts": ["a"]}}'.encode(), SMALL).texts == ["a"]


@pytest.mark.parametrize("same", [False, True])
def test_unknown_fields_make_few_errors(same: bool) -> None:
    names = ",".join(f'"x{0 if same else at}": 1' for at in range(100_000))
    problem = refused(f'{{{names}, "texts": ["a"]}}'.encode())
    assert problem.errors[0] == {"pointer": "/x0", "detail": "Extra inputs are not permitted"}
    assert len(problem.errors) == (1 if same else 20)
    assert isinstance(problem.__context__, ValidationError)
    assert problem.__context__.error_count() == len(problem.errors)  # no more were made than are told


def test_a_long_name_is_told_in_part() -> None:
    problem = refused(f'{{"texts": ["a"], "{"涨" * 100_000}": 1}}'.encode())
    assert problem.errors == [{"pointer": f"/{'涨' * 80}…", "detail": "Extra inputs are not permitted"}]
    assert len(problem.detail) < 200


@pytest.mark.parametrize(
    "body",
    [
        b"[1]", b"3", b"null", b'"a"', b"{}", b'{"texts": 3}', b'{"texts": {"a": 1}}', b'{"texts": ["a", 3, null, [], {}]}',
        b'{"texts": ["a"], "scores": 1, "explain": "yes", "domain": 3, "more": 1}', b'{"texts": null, "domain": NaN}',
    ],
)  # fmt: skip
def test_the_words_are_those_of_the_schema_read_as_json(body: bytes) -> None:
    with pytest.raises(ValidationError) as wanted:
        PredictRequest.model_validate_json(body)
    places = [
        ("/" + "/".join(map(str, each["loc"])) if each["loc"] else "", each["msg"]) for each in wanted.value.errors()
    ]
    problem = refused(body)
    assert [(each["pointer"], each["detail"]) for each in problem.errors] == places
    assert (problem.status, problem.detail) == (422, f"{places[0][0] or 'the body'}: {places[0][1]}")


@pytest.mark.parametrize(
    "many", [rb"\u6da8", rb"\n", rb"\ud83d\ude00", rb"\ud83d", rb"\\", rb'", "\ud83d']
)  # fmt: skip
def test_half_an_emoji_among_many_escapes_is_no_work_for_each(many: bytes) -> None:
    """What Python is called to do is counted: it would keep everybody else waiting."""
    body = b'{"texts": ["' + many * 100_000 + rb'\ud83d"]}'
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        asked = _parsed(body)
    finally:
        sys.setprofile(None)
    assert calls < 200
    halves = json.loads(body)["texts"]
    assert asked["texts"] == [text.encode("utf-8", "ignore").decode() for text in halves]


@pytest.mark.parametrize(
    "body", [rb'{"texts": ["\ud83d"', rb'["\ud83d", nul]', rb'"\ud83d' + b'\xff"', b'["\\ud83d",' + b"[" * 50_000]
)
def test_half_an_emoji_makes_nothing_json_that_is_none(body: bytes) -> None:
    assert refused(body).kind == "not-json"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b'{"texts": ["\xff"]}', b"{} {}"])
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValidationError) as wanted:
        PredictRequest.model_validate_json(body)
    problem = refused(body)
    assert (problem.status, problem.kind) == (400, "not-json")
    assert problem.detail == f"the body is not JSON: {wanted.value.errors()[0]['msg']}"


def test_what_is_taken_is_as_the_schema_reads_it() -> None:
    for asked in ({"texts": "涨"}, {"texts": ["涨", "跌"] * 25, "domain": "news", "scores": False, "explain": True}):
        body = json.dumps(asked).encode()
        assert _read(body, SMALL) == PredictRequest.model_validate_json(body)
