"""Names that data are prepared and models trained under."""

from __future__ import annotations

import pytest

from finsa_moe.data.domains import check_domain
from finsa_moe.errors import ConfigError


@pytest.mark.parametrize("name", ["news", "股吧", "a-b_c", "-", "x" * 64])
def test_names(name: str) -> None:
    assert check_domain(name) == name


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", "news\n", "x" * 65])
def test_no_names(name: str) -> None:
    with pytest.raises(ConfigError, match="allowed are 1 to 64 letters, digits"):
        check_domain(name)
