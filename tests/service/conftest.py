"""A service that takes one file at a time, and where it keeps files: what stays behind is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.served import Service, Settings, serving


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def service(spool: Path) -> Iterator[Service]:
    with serving(Settings(files_at_once=1, spool=str(spool))) as found:
        yield found
