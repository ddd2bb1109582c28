"""What an output was made of, kept beside it: a stage that is skipped because its output stands would make the same.

``python runs/made_of.py OUTPUT WORD…`` before a stage makes OUTPUT, a file or a folder, of the WORDs: settings as they
are, files and folders by a hash of what they hold (of a folder its rows, weights and tables), FOLDER:TASK likewise, and
CONFIG:STAGE by what a file of settings says of that stage alone. They are kept in ``OUTPUT.made_of``. Where OUTPUT
stands already and was made of others, one line says so and the status is 1. Of an OUTPUT beside which nothing is kept
nobody can tell, and it passes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from finsa_moe.config import STAGES
from finsa_moe.errors import FinSAError
from finsa_moe.files import write

HELD = (".csv", ".npz", ".safetensors")


def hashed(word: str) -> str:
    """A file or a folder by its last name and a hash; a setting as it is."""
    path = Path(word)
    if path.is_file():
        files = [path]
    elif not word or not (files := [file for file in path.rglob("*") if file.suffix in HELD]):
        return word
    whole = hashlib.blake2b(digest_size=6)
    for file in sorted(files):
        whole.update(file.read_bytes())
    return f"{path.name} {whole.hexdigest()}"


def told(word: str) -> list[str]:
    """What is kept of a word; of CONFIG:STAGE the settings that are not the usual ones, one each.

    Raises:
        ConfigError: If that file says what is no setting.
    """
    place, _, part = word.rpartition(":")
    if part in STAGES and Path(place).is_file():
        now, usual = (config.as_dict() for config in (STAGES[part].load(Path(place)), STAGES[part]()))
        return [f"{part}.{key}={now[key]}" for key in sorted(now) if now[key] != usual[key]]
    if place and Path(place).is_dir():
        return [f"{hashed(place)}:{part}"]
    return [hashed(word)]


def made_of(output: Path, *words: str | Path) -> None:
    """Keep what an output is going to be made of.

    Raises:
        SystemExit: If it stands already and was made of something else.
        ConfigError: As `told`.
    """
    kept, now = output.with_name(f"{output.name}.made_of"), [one for word in words for one in told(str(word))]
    if not output.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write(kept, json.dumps(now, ensure_ascii=False) + "\n")
    elif kept.is_file() and (before := json.loads(kept.read_text(encoding="utf-8"))) != now:
        odd = ", ".join(one for one in before if one not in now) or "other things"
        new = ", ".join(one for one in now if one not in before) or "fewer"
        raise SystemExit(
            f"{output}: was made of {odd}, and is asked for of {new}; remove it, name another folder, or remove "
            f"{kept.name} beside it to take it as it is"
        )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/made_of.py OUTPUT WORD …")
    try:
        made_of(Path(sys.argv[1]), *sys.argv[2:])
    except FinSAError as error:
        raise SystemExit(str(error)) from None
