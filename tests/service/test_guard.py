"""Who is let in without a token: whoever names this machine as it may be listened at, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.served import Service, serving


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as found:
        yield found


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.2", 200), ("127.8.9.1:8000", 200), ("[::1]", 200), ("[::1]:8000", 200),
        ("LocalHost:8000", 200), ("0.0.0.0", 421), ("192.0.2.1", 421), ("[::]:8000", 421), ("[2001:db8::1]", 421),
        ("127.0.0.1.evil.example", 421), ("localhost.evil.example:8000", 421), ("", 421), ("[", 421),
    ],
)  # fmt: skip
def test_every_loopback_address_and_no_other_name_is_answered(service: Service, host: str, status: int) -> None:
    assert service.ask("GET", "/v1/model", headers={"Host": host}).status == status
