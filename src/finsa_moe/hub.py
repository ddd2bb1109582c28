"""Where a model's name leads: to a folder here or to a repository on the hub, and whether that hub answers.

A name goes in; whether to look on this machine alone comes out, and one line when nothing is found. A folder is never
asked for on the network, and a hub out of reach costs seconds, not a minute of retries. It loads nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from finsa_moe.errors import ModelError

PATIENCE = 5.0
"""Seconds that the hub has for its first answer."""
_MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""What a mistake in a program raises. Libraries raise it of a damaged file as well: of a list for config.json, say."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def is_folder(name: str) -> bool:
    """Whether a name can only mean a folder: it is there, it is no ``owner/name``, or ``owner`` is a folder here."""
    owner, slash, _ = name.partition("/")
    return Path(name).exists() or not _REPOSITORY.fullmatch(name) or (slash != "" and Path(owner).is_dir())


def out_of_reach() -> str | None:
    """Why the hub cannot be asked; None when it answers, whatever it says."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of the HTTP library that this release of huggingface_hub stands on
        return f"{constants.ENDPOINT} cannot be reached"
    return None


@contextmanager
def found(name: str, complaint: str, needs: str) -> Iterator[bool]:
    """Load a model by its name in the block, which is given whether to look on this machine alone.

    Args:
        name: A folder, or a hub name. What the hub gave before is found without it.
        complaint: How the error begins, as in ``"backbone x: cannot be loaded"``.
        needs: What to do about a folder that cannot be loaded.

    Raises:
        ModelError: For whatever a library raises in the block, in one line: transformers alone has a dozen kinds. A
            mistake in a line of this package is raised as it is.
    """
    folder = is_folder(name)
    away = None if folder else out_of_reach()
    try:
        if folder and not Path(name).is_dir():
            raise FileNotFoundError("no such folder")
        yield folder or away is not None
    except Exception as error:
        if isinstance(error, _MISTAKES) and _raised_here(error):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = f"no such folder here, and {away}" if away else lines[0][:200]
        remedy = needs if folder else "give a local folder, or a hub name while the hub can be reached"
        raise ModelError(f"{complaint} ({why}); {remedy}") from error


def _raised_here(error: Exception) -> bool:
    """Whether a line of this package raised an error, and none of a library's."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("finsa_moe.")
