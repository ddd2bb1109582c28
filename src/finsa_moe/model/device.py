"""Which torch device is meant: what a user names, or the best there is.

A name goes in, a usable one comes out, or the reason why there is none. It loads nothing onto it.
"""

from __future__ import annotations

import os

import torch

from finsa_moe.errors import ConfigError


def best_device() -> str:
    """``"cuda"`` when a GPU is there, of several processes each one's own (``"cuda:1"``), else ``"cpu"``."""
    if not torch.cuda.is_available():
        return "cpu"
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if together else "cuda"


def usable_device(asked: str | None) -> str:
    """The torch device that was asked for; None picks a GPU when there is one.

    Raises:
        ConfigError: If it is not there, before any work.
    """
    if asked is None:
        return best_device()
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
        said = " ".join(str(error).split())[:120]
        raise ConfigError(f"--device {asked}: cannot be used ({said}); name one that is there, such as cpu") from None
    return asked
