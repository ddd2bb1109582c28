"""How much memory this process has taken at most, by what the system tells of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


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
