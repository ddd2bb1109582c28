"""Under .ci/run a test that skips itself has failed: green would mean that browser, Java and nginx were tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    "conftest.py": "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport",
    "test_tests.py": """
import pytest

def test_passes(): ...

def test_without_a_tool(): pytest.skip("no chromium on this machine")

@pytest.mark.skipif(True, reason="no make here")
def test_marked(): ...

@pytest.mark.skipif(True, reason="../shared/data is not there")
def test_of_data(): ...

@pytest.mark.xfail
def test_known_to_fail(): raise AssertionError
""",
    "test_module.py": "import pytest\npytest.importorskip('no_such_module', reason='the extra spark is not installed')",
}


@pytest.mark.parametrize(
    ("more", "ends"),
    [({}, "1 passed, 4 skipped, 1 xfailed"), ({"FINSA_CI": "1"}, "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors")],
    ids=["elsewhere", "ci"],
)
def test_a_skip_is_a_failure_but_for_what_is_not_ours(more: dict[str, str], ends: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FINSA_CI", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", "."]
    done = subprocess.run(
        [*command, "--continue-on-collection-errors"], cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)} | more,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f" {ends} in " in done.stdout, done.stdout
    for reason in ("no chromium on this machine", "no make here", "the extra spark is not installed"):
        assert (f"no test is left out: Skipped: {reason}" in done.stdout) == bool(more)


def test_the_run_of_all_tests_says_so() -> None:
    assert "export FINSA_CI=1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
