"""The OpenAPI is what the service does: Schemathesis makes requests of it, and none ends in a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.served import Service, Settings, serving


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_texts=50, max_chars=500)) as found:
        yield found


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
