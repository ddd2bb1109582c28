"""The OpenAPI is what the service does: Schemathesis makes requests of it, and none ends in a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.served import Service, Settings, serving

FORMATS = {
    "text/csv", "text/tab-separated-values", "application/x-ndjson", "application/vnd.apache.parquet",
}  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_texts=50, max_chars=500)) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a service says whose clients bear a token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef0123")
    with serving(Settings(token_file=str(token))) as found:
        return found.ask("GET", "/openapi.json").json()


def test_it_names_every_route_with_examples(service: Service) -> None:
    found = service.ask("GET", "/openapi.json").json()
    assert set(found["paths"]) == {
        "/v1/predict", "/v1/predict/file", "/v1/files/{asked}", "/v1/model", "/v1/reload", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    schemas = found["components"]["schemas"]
    example = schemas["PredictRequest"]["properties"]["texts"]["examples"][0]
    answer = service.predict(example)
    assert answer.status == 200
    assert set(answer.json()["predictions"][0]) <= set(schemas["Answer"]["properties"])
    assert set(schemas["Answer"]["required"]) <= set(answer.json()["predictions"][0])
    for path in found["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                assert int(status) < 400 or set(response["content"]) == {"application/problem+json"}


ANY = {"403", "421"}
ASKED = ANY | {"401", "429"}


@pytest.mark.parametrize(
    ("method", "path", "statuses", "kinds"),
    [
        ("post", "/v1/predict", ASKED | {"400", "408", "413", "415", "422", "503"}, {"application/json"}),
        (
            "post",
            "/v1/predict/file",
            ASKED | {"408", "413", "415", "422", "503", "507"},
            FORMATS | {"text/event-stream"},
        ),
        ("get", "/v1/files/{asked}", ASKED | {"404"}, FORMATS),
        ("get", "/v1/model", ASKED, {"application/json"}),
        ("post", "/v1/reload", ASKED | {"409"}, {"application/json"}),
        ("get", "/healthz", ANY, {"application/json"}),
        ("get", "/readyz", ANY | {"503"}, {"application/json"}),
        ("get", "/metrics", ASKED, {"text/plain"}),
    ],
)
def test_a_route_answers_what_it_may(
    service: Service, guarded: Any, method: str, path: str, statuses: set[str], kinds: set[str]
) -> None:
    found = service.ask("GET", "/openapi.json").json()["paths"][path][method]["responses"]
    assert set(found) == statuses | {"200"}
    assert set(found["200"]["content"]) == kinds
    said = {status: answer["description"] for status, answer in found.items()}
    assert len(set(said.values())) == len(said)  # each in its own words
    assert ("No token is set" in said["403"]) == (path == "/v1/reload")
    free = guarded["paths"][path][method].get("security", guarded["security"]) == []
    assert free == ("401" not in statuses)


def test_the_formats_that_are_told_are_those_taken(service: Service) -> None:
    found = service.ask("GET", "/openapi.json").json()["paths"]["/v1/predict/file"]["post"]
    told = set(found["requestBody"]["content"])
    assert FORMATS | {"application/octet-stream"} <= told
    for kind in told:
        reply = service.ask("POST", "/v1/predict/file", b"text\na\n", {"Content-Type": kind})
        assert (reply.status != 415) == (kind != "application/octet-stream")  # which asks for a name
        if reply.status == 200:
            assert reply.headers["content-type"].partition(";")[0] in FORMATS


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/page/style.css"])
def test_what_watches_may_ask_for_the_head_alone(service: Service, path: str) -> None:
    whole, head = service.ask("GET", path), service.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))


@pytest.mark.slow
def test_schemathesis_finds_no_fault(service: Service) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra dev)")
    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    found = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    checked = 0
    for result in found.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
        )
        def ask(case):  # type: ignore[no-untyped-def]
            nonlocal checked
            checked += 1
            case.call_and_validate(
                checks=[schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
                        response_schema_conformance], timeout=300
            )  # fmt: skip

        ask()
    assert checked > 150
