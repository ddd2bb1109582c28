"""Where a supervised stage trains: the device that its model is loaded on is the one that the Trainer takes.

A device's name goes in, the one to load on comes out. The Trainer knows the CPU and the first GPU that is seen, or of
several processes each one's own.
"""

from __future__ import annotations

from finsa_moe.errors import ConfigError
from finsa_moe.model.backbone import best_device


def training_device(asked: str | None) -> str:
    """The torch device to train on.

    Args:
        asked: Its name; None picks a GPU when there is one.

    Raises:
        ConfigError: If the Trainer would take another.
    """
    best = best_device()
    if asked is None:
        return best
    if asked.partition(":")[0] == "cpu":
        return asked
    own = best if ":" in best else f"{best}:0"
    if best != "cpu" and asked in ("cuda", own):
        return best
    allowed = "cpu" if best == "cpu" else f"cpu or {own}"
    raise ConfigError(
        f"--device {asked}: training runs on {allowed} here; leave --device out, and name GPUs by CUDA_VISIBLE_DEVICES"
    )
