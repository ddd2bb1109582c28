"""Answers kept in a file of JSON lines as they come, so that what was paid for once is not asked again.

The name of a request goes in, its answer comes out when there is one. A line is on disk, whole, once it is kept; one
that was cut off by a kill is taken away, or passed over where another run has gone on behind it. Several runs may keep
theirs in one file. It knows nothing of endpoints, and of a request nothing but its name.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError
from finsa_moe.files import append, hold
from finsa_moe.llm.endpoint import Answer

_BEGINNING = b'{"request": "'


class AnswerFile:
    """The answers in a file, or in memory alone.

    Args:
        path: The file, made with the first answer when it is not there; None keeps none.

    Raises:
        ConfigError: If it is no file of answers, or cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._found: dict[str, Answer] = {}
        try:
            if path is not None and path.exists():
                self._read(path)
            elif path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be a file of answers: {error.strerror or error}") from None

    def __len__(self) -> int:
        return len(self._found)

    def get(self, request: str) -> Answer | None:
        """The answer to a request; None when there is none."""
        return self._found.get(request)

    def keep(self, request: str, answer: Answer) -> None:
        """Keep an answer.

        Raises:
            ConfigError: If the file cannot be written.
        """
        self._found[request] = answer
        if self._path is None:
            return
        try:
            line = json.dumps({"request": request, **asdict(answer)}, ensure_ascii=False) + "\n"
            with self._path.open("a+b") as file:
                hold(file, wait=True)
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                torn = end > 0 and file.read(1) != b"\n"  # another run was killed over its line
                append(file, (f"\n{line}" if torn else line).encode())
        except OSError as error:
            raise ConfigError(f"{self._path}: an answer cannot be written: {error.strerror or error}") from None

    def _read(self, path: Path) -> None:
        whole = 0
        with path.open("rb+") as file:
            hold(file, wait=True)  # no line of another run is half there
            for line in file:
                if not self._take(line):
                    # Only a line of ours is cut off: the file may be one that was named by mistake.
                    begun = line.removesuffix(b"\n")
                    if not begun or begun[: len(_BEGINNING)] != _BEGINNING[: len(begun)]:
                        raise ConfigError(f"{path}: not a file of answers; name another")
                    if begun == line:
                        break
                whole += len(line)
            file.truncate(whole)
            file.seek(max(0, whole - 1))
            if whole and file.read(1) != b"\n":
                file.write(b"\n")

    def _take(self, line: bytes) -> bool:
        """Read a line's answer; False if it is not whole."""
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            return False
        try:
            self._found[str(entry["request"])] = Answer(
                str(entry["text"]), int(entry["prompt_tokens"]), int(entry["answer_tokens"]), bool(entry.get("cut"))
            )
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{self._path}: not a file of answers; name another") from None
        return True
