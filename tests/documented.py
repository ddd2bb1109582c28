"""What the documents tell a reader to type: commands and Python of the fenced blocks, file by file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README_CN.md", "CONTRIBUTING.md", "runs/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
REPORTS = [ROOT / "docs" / "results" / "sample_report" / "comparison.md"]
"""Made by a script that takes many minutes; `test_compare_run` holds what the script asks for."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    """Bodies of the blocks of one language."""
    return [body for name, body in _FENCE.findall(document.read_text(encoding="utf-8")) if name == language]


def commands(document: Path) -> list[list[str]]:
    """Commands of the shell blocks, comments dropped, continued lines joined, in the order of the text."""
    lines = "".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]
