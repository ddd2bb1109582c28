"""The uvicorn that is asked for is one whose inner parts ours are made of."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")


def test_only_the_minor_version_that_is_tested_is_taken() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    asked = tomllib.loads(text)["project"]["optional-dependencies"]["serve"]
    (found,) = (need for need in map(Requirement, asked) if need.name == "uvicorn")
    major, minor, _ = map(int, version("uvicorn").split("."))
    assert found.specifier.contains(f"{major}.{minor}.99")
    assert not found.specifier.contains(f"{major}.{minor + 1}.0")
