"""`make install` mends an environment that has no pip, as Debian's `python3 -m venv` leaves one where a package is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
case "$1 $2" in
"-c import"*) exit 0 ;;
"-m venv")
  mkdir -p "$3/bin"
  if [ -f "{ready}" ]; then
    printf '#!/bin/sh\\necho "$@" >>"{log}"\\n'
  else
    printf '#!/bin/sh\\necho "No module named pip" >&2\\nexit 1\\n'
  fi >"$3/bin/python"
  chmod +x "$3/bin/python"
  [ -f "{ready}" ] ;;
esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_an_environment_without_pip_is_made_anew(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    ready, log, python = tmp_path / "ready", tmp_path / "log", tmp_path / "python3"
    python.write_text(PYTHON.format(ready=ready, log=log), encoding="utf-8")
    python.chmod(0o755)

    def make() -> subprocess.CompletedProcess[str]:
        command = ["make", "-C", str(tmp_path), "install", f"PYTHON={python}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert make().returncode != 0
    assert (tmp_path / ".venv" / "bin" / "python").is_file()
    ready.touch()  # python3-venv is installed
    done = make()
    assert done.returncode == 0, done.stderr
    assert "-m pip install" in log.read_text(encoding="utf-8")
