"""What the tests of several processes share: how a launcher is asked, and what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def command(processes: int, *words: str, python: str = sys.executable) -> list[str]:
    if processes == 1:
        return [python, "-m", "finsa_moe", *words]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", "0", "--standalone"]
    return [python, *launch, "-m", "finsa_moe", *words]


@pytest.fixture
def run(warm: Path) -> Callable[..., str]:
    """Run a command of the package in so many processes, or `by` another launcher's words; what it printed."""
    python = str(warm / "python")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON_EXEC": python}  # what the launcher starts

    def run(processes: int, *words: str, by: Callable[..., list[str]] | None = None) -> str:
        asked = by(*words, python=python) if by else command(processes, *words, python=python)
        done = subprocess.run(asked, capture_output=True, text=True, env=environment, timeout=1200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
