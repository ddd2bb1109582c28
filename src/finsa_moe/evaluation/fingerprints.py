"""A fingerprint of a model's folder: of all its files, or of those that answer.

A folder goes in, a digest comes out. It opens no model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

_WEIGHTS, _READ = (".safetensors", ".onnx"), ("config.json", "tokenizer.json")
_TABLE = re.compile(r"(router_)?ngrams\d*\.npz")  # cells of a comparison, which may lie there too, end like it


def of_folder(folder: Path) -> str:
    """A fingerprint of a model's folder: names, sizes and content of its files, but for its card and hidden ones."""
    return _of_files(folder, lambda path: path != folder / "README.md" and not path.name.startswith("."))


def of_weights(folder: Path) -> str:
    """A fingerprint of what answers in a model's folder, whatever results, notes and logs lie beside it."""
    return _of_files(
        folder, lambda path: path.suffix in _WEIGHTS or path.name in _READ or _TABLE.fullmatch(path.name) is not None
    )


def _of_files(folder: Path, taken: Callable[[Path], bool]) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and taken(path)):
        found.update(f"{path.relative_to(folder)}\n{path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()
