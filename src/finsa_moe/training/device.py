"""Where a supervised stage trains, and how much memory that has taken.

A device's name goes in; the one to load on, which is the one that the Trainer takes, comes out. The Trainer knows the
CPU and the first GPU that is seen, or of several processes each one's own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from finsa_moe.errors import ConfigError
from finsa_moe.model.device import best_device

STATUS = Path("/proc/self/status")


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


def peak_memory() -> int:
    """Highest memory of this process so far in MiB: of the GPU when one is used, else resident; 0 if none is told."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    with suppress(OSError, StopIteration):  # ru_maxrss would count the parent's memory before exec as ours
        lines = STATUS.read_text().splitlines()
        return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10)
    try:
        import resource
    except ImportError:  # on Windows
        return 0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)  # bytes on macOS
