"""What a model thought before it answered, in a block such as ``<think>…</think>``, and the answer without it.

It knows nothing of what was asked.
"""

from __future__ import annotations

import re

_NAME = "think|thinking|thought|reasoning"
_CLOSED = re.compile(rf"<({_NAME})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(rf"^.*</(?:{_NAME})>", re.DOTALL | re.IGNORECASE)
_UNCLOSED = re.compile(rf"<(?:{_NAME})>.*$", re.DOTALL | re.IGNORECASE)


def without_thoughts(answer: str, *, broken: bool = False) -> str:
    """An answer without its closed blocks of thought; `broken`: nor those that lack their beginning or their end."""
    rest = _CLOSED.sub("", answer)
    return _UNCLOSED.sub("", _UNOPENED.sub("", rest)) if broken else rest
