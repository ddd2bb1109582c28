"""The hold on an output folder, also where the system has no such hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.scale.manifest import LOCK, alone_in


def test_the_lock_names_who_holds_it(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    script = (
        f"import os, sys\nfrom pathlib import Path\nfrom finsa_moe.scale.manifest import alone_in\n"
        f"with alone_in(Path({str(tmp_path)!r})):\n    print(os.getpid(), flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    who = other.stdout.readline().strip()
    with pytest.raises(ConfigError, match=rf"another run \(process {who}\) is writing there; wait"), alone_in(tmp_path):
        pass
    other.communicate("")
    with alone_in(tmp_path):
        pass


def test_a_system_without_fcntl_scores_all_the_same(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.modules['fcntl'] = None\nfrom pathlib import Path\n"
        f"from finsa_moe.scale.manifest import alone_in\nwith alone_in(Path({str(tmp_path)!r})): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / LOCK).read_text().isdigit()
