"""The standard streams as they come: closed, full, in an encoding of few characters, or left by their reader.

It knows nothing of what is read and printed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


def open_closed() -> None:
    """Put nothing at all in the place of streams that were closed, as by ``<&-``."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - till the process ends


def say(line: str) -> None:
    """One line to stdout; a character that its encoding does not have is replaced."""
    try:
        sys.stdout.write(line + "\n")
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")


def say_json(entry: dict[str, Any]) -> None:
    """An object as a line of JSON to stdout; escaped where its encoding does not have all characters."""
    try:
        sys.stdout.write(json.dumps(entry, ensure_ascii=False) + "\n")
    except UnicodeEncodeError:
        sys.stdout.write(json.dumps(entry) + "\n")


def ask() -> str:
    """The next line that is typed at a prompt, which is seen even where stdout is a file.

    Raises:
        EOFError: At the end.
        UnicodeDecodeError: If the line is not in the terminal's encoding.
    """
    if sys.stdout.isatty():
        return input("> ")
    print("> ", end="", file=sys.stderr, flush=True)
    return input()


def drop() -> None:
    """Let what is still to be printed go nowhere: the interpreter flushes stdout once more on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """Stop without a word when the reader of our output has gone, as with ``| head``."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop()
        raise typer.Exit(0) from None
