"""What an output was made of, kept beside it: a stage that is skipped because its output stands would make the same.

``python runs/made_of.py OUTPUT WORD…`` before a stage makes OUTPUT, a file or a folder, of the WORDs: settings as they
are, files and folders by a hash of what they hold (of a folder its weights and tables). They are kept in
``OUTPUT.made_of``. Where OUTPUT stands already and was made of others, one line says so and the status is 1. Of an
OUTPUT beside which nothing is kept nobody can tell, and it passes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from finsa_moe.files import write

HELD = (".csv", ".npz", ".safetensors")


def told(word: str | Path) -> str:
    """A setting as it is; a file or a folder by its last name and a hash."""
    path = Path(word)
    if path.is_file():
        files = [path]
    elif not str(word) or not (files := [file for file in path.rglob("*") if file.suffix in HELD]):
        return str(word)
    whole = hashlib.blake2b(digest_size=6)
    for file in sorted(files):
        whole.update(file.read_bytes())
    return f"{path.name} {whole.hexdigest()}"


def made_of(output: Path, *words: str | Path) -> None:
    """Keep what an output is going to be made of.

    Raises:
        SystemExit: If it stands already and was made of something else.
    """
    kept, now = output.with_name(f"{output.name}.made_of"), [told(word) for word in words]
    if not output.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write(kept, json.dumps(now, ensure_ascii=False) + "\n")
    elif kept.is_file() and (before := json.loads(kept.read_text(encoding="utf-8"))) != now:
        odd = ", ".join(one for one in before if one not in now) or "other things"
        new = ", ".join(one for one in now if one not in before) or "fewer"
        raise SystemExit(f"{output}: was made of {odd}, and is asked for of {new}; remove it, or name another folder")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/made_of.py OUTPUT WORD …")
    made_of(Path(sys.argv[1]), *sys.argv[2:])
