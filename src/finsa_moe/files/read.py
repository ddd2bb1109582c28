"""Files read: what says of a folder what it is, a JSON object; the SHA-256 of any file; whether a text names one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from finsa_moe.errors import FinSAError, ModelError


def read_json(
    path: Path,
    remedy: str = "restore it from where the folder was made",
    *,
    absent: dict[str, Any] | None = None,
    error: type[FinSAError] = ModelError,
) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: The file.
        remedy: What to do where it cannot be read, told in the error.
        absent: What it is where there is no such file; None: an error.
        error: Of which kind the error is.

    Raises:
        FinSAError: As `error` says, if it is missing or no JSON object.
    """
    return _read_json(path, remedy, absent, error)[0]


def read_json_and_sha256(path: Path, remedy: str) -> tuple[dict[str, Any], str]:
    """As `read_json`, with the SHA-256 of the same bytes, in hexadecimal, whoever replaces the file meanwhile.

    Raises:
        ModelError: If it is missing or no JSON object.
    """
    value, content = _read_json(path, remedy, None, ModelError)
    return value, hashlib.sha256(content).hexdigest()


def _read_json(
    path: Path, remedy: str, absent: dict[str, Any] | None, error: type[FinSAError]
) -> tuple[dict[str, Any], bytes]:
    """What `read_json` gives, and the bytes that it was read from."""
    try:
        content = path.read_bytes()
        value = json.loads(content.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if absent is not None:
            return absent, b""
        raise error(f"{path}: missing; {remedy}") from None
    except OSError as refused:
        raise error(f"{path}: cannot be read ({refused.strerror}); {remedy}") from None
    except ValueError as damage:  # no JSON, or no UTF-8
        raise error(f"{path}: damaged, no JSON object ({damage}); {remedy}") from None
    if not isinstance(value, dict):
        raise error(f"{path}: damaged, no JSON object but a {type(value).__name__}; {remedy}")
    return value, content


def sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal, read piece by piece.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(text: str) -> bool:
    """Whether what was given as a text is the name of a file."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a null
        return False
