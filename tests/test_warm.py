"""A fork of the warm interpreter is to its caller what the interpreter itself would be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TELL = "import os, sys; print(sys.argv, os.getcwd(), os.environ['SAID'], sys.stdin.read(), flush=True); {}"


def both(warm: Path, *words: str, folder: Path) -> list[tuple[int, str, str]]:
    """Status, output and last line of the errors: of the interpreter, and of a fork."""
    told = []
    for python in (sys.executable, str(warm / "python")):
        done = subprocess.run(
            [python, *words], cwd=folder, input="in", env={**os.environ, "SAID": "yes"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        told.append((done.returncode, done.stdout, done.stderr.strip().rpartition("\n")[2]))
    return told


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "sys.exit('why')", "1 / 0", "sys.stdout.close()"])
@pytest.mark.parametrize("form", ["-c", "-m", "script"])
def test_it_ends_as_the_interpreter_does(form: str, end: str, warm: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(TELL.format(end), encoding="utf-8")
    words = {"-c": ["-c", TELL.format(end)], "-m": ["-m", "asked"], "script": ["asked.py"]}[form]
    alone, forked = both(warm, *words, "-u", "a b", folder=tmp_path)
    assert forked == alone
    assert str(tmp_path) in forked[1]


def test_a_killed_one_is_told_and_one_whose_caller_is_killed_ends(warm: Path, tmp_path: Path) -> None:
    python = str(warm / "python")
    killed = subprocess.run([python, "-c", "import os; os.kill(os.getpid(), 9)"], check=False)
    assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with subprocess.Popen([python, "-c", script]) as caller:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        caller.kill()
    found = Path("/proc") / (tmp_path / "pid").read_text()
    while found.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not found.exists()


def test_it_ends_with_the_process_that_began_it() -> None:
    script = "import time; from tests.warm import programs\nwith programs() as folder: print(folder, flush=True); time.sleep(600)"
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        folder = begun.stdout.readline().strip()
        (server,) = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text().split()
        begun.kill()
    deadline, found = time.monotonic() + 60, Path("/proc") / server / "cmdline"
    while found.exists() and found.read_bytes() and time.monotonic() < deadline:  # of one that has ended it is empty
        time.sleep(0.01)
    assert not found.exists() or not found.read_bytes()
    shutil.rmtree(folder)
