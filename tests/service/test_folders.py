"""A service's own folders: gone with it, and with the next one where it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from finsa_moe.service.folders import COUNTS, SPOOL, YOUNG, own_folder, remove_dead


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def aged(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "upload.part.csv").write_text("text\n", encoding="utf-8")
    then = time.time() - 2 * YOUNG
    os.utime(folder, (then, then))
    return folder


def test_what_a_killed_service_left_is_removed_and_no_other_folder(temporary: Path) -> None:
    dead = [aged(temporary / f"{prefix}x") for prefix in (SPOOL, COUNTS)]
    others = [aged(temporary / "somebody-elses"), temporary / f"{SPOOL}young"]
    others[1].mkdir()
    (temporary / f"{SPOOL}file").write_text("", encoding="utf-8")
    with own_folder(SPOOL) as name:
        held = aged(Path(name))
        remove_dead()
        assert held.is_dir()
    assert not held.exists()
    assert [folder.exists() for folder in (*dead, *others)] == [False, False, True, True]


def test_the_folder_of_a_process_that_lives_stays_and_of_one_that_was_killed_goes(temporary: Path) -> None:
    program = (
        "import tempfile\nfrom finsa_moe.service.folders import SPOOL, own_folder\n"
        f"tempfile.tempdir = {str(temporary)!r}\n"
        "with own_folder(SPOOL) as name:\n    print(name, flush=True)\n    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        folder = aged(Path(process.stdout.readline().strip()))
        remove_dead()
        assert folder.is_dir()
        process.kill()
        process.wait()
        remove_dead()
        assert not folder.exists()
