"""Whatever is no module goes into the wheel too: what is told of a file there must be true where it is installed."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_package_is_installed() -> None:
    package = ROOT / "src" / "finsa_moe"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=package, capture_output=True, text=True, check=True).stdout
    files = {package / name for name in listed.split("\0") if name and not name.endswith(".py")}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["finsa_moe"]
    assert files - {file for pattern in patterns for file in package.glob(pattern)} == set()
