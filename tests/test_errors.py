"""How an absent extra is told: in words of one place, by a table that is pyproject's."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from finsa_moe.errors import EXTRAS, MissingExtra, install, missing_extra, require
from finsa_moe.scale.stores import EXTRA

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "finsa_moe"
BROUGHT = {"scipy": ("train", "scale"), "threadpoolctl": ("train",), "fsspec": ("scale",)}
"""Modules that come with what is named: with scikit-learn and statsmodels, and with tokenizers of the base."""


@cache
def project() -> Mapping[str, list[Requirement]]:
    """The requirements of each extra of pyproject.toml, but for `dev`, which no command asks for."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return {name: [Requirement(line) for line in lines] for name, lines in extras.items() if name != "dev"}


def test_the_table_of_extras_is_that_of_pyproject() -> None:
    distribution = {
        module: canonicalize_name(name) for module, names in packages_distributions().items() for name in names
    }
    for extra, requirements in project().items():
        named = {canonicalize_name(one.name) for one in requirements} - {"finsa-moe"}
        assert {distribution.get(module, canonicalize_name(module)) for module in EXTRAS[extra]} == named, extra
    assert EXTRAS.keys() == project().keys()


def whole(extra: str) -> set[str]:
    """The modules that an extra brings, by the others that it names as well."""
    also = {inner for one in project()[extra] if one.name == "finsa-moe" for inner in one.extras}
    return {*EXTRAS[extra], *(module for inner in also for module in whole(inner))}


def required() -> Iterator[tuple[str, str, str]]:
    """Each call of `require`: where, the module, the extra, by its name in the room of scale."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "require":
                module, extra = node.args[:2]
                if isinstance(module, ast.Constant):
                    name = EXTRA if ast.unparse(extra) == "EXTRA" else ast.literal_eval(extra)
                    yield f"{file.name}:{node.lineno}", str(module.value), name


def test_whoever_asks_for_a_module_names_an_extra_that_brings_it() -> None:
    calls = list(required())
    assert len(calls) > 60
    for where, module, extra in calls:
        top = module.partition(".")[0]
        assert top in whole(extra) or extra in BROUGHT.get(top, ()), f"{where}: {extra} does not bring {module}"


@pytest.mark.parametrize(
    ("module", "extra"), [("polars.exceptions", "data"), ("python_calamine", "excel"), ("rjieba", "data"), ("os", None)]
)
def test_a_module_that_is_not_there_is_told_with_its_extra(module: str, extra: str | None) -> None:
    found = missing_extra(ModuleNotFoundError(name=module))
    assert (str(found) if found else None) == (
        extra and f"this command needs {module.partition('.')[0]}, which is not installed: {install(extra)}"
    )


def test_the_remedy_names_nothing_of_an_index() -> None:
    """On no index stands a package of ours: `pip install finsa-moe` would fail, or bring somebody else's."""
    with pytest.raises(
        MissingExtra, match=r"^trying needs no_such, which is not installed: pip install '\.\[data\]' in"
    ):
        require("no_such", "data", "trying")
    assert "\n" not in install("data")
    assert "finsa-moe" not in install("data")


def test_no_other_module_words_it() -> None:
    spelt = [
        file.relative_to(SOURCE)
        for pattern in ("*.py", "*.js", "*.html")
        for file in SOURCE.rglob(pattern)
        if (content := file.read_text(encoding="utf-8")) and ("finsa-moe[" in content or "pip install '" in content)
    ]
    assert spelt == [Path("errors.py")]
