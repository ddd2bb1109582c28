"""The wheel of what is tracked: built in a copy, where no left build folder can enter it, by the setuptools at hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_tracked(target: Path) -> None:
    """Copy the files that git tracks, as they stand in the checkout, links as links."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def build(out: Path) -> Path:
    """The wheel, made in a folder; nothing is asked of the network."""
    with tempfile.TemporaryDirectory() as place:
        copy_tracked(Path(place))
        how = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out)]
        subprocess.run([sys.executable, "-m", "pip", "wheel", *how, place], check=True)
    (made,) = out.glob("*.whl")
    return made
