"""A trained mixture answering fast: engines, batching, routing, files. Nothing in this room imports torch."""

import math
import os
from contextlib import suppress
from pathlib import Path

BATCH_TOKENS = 1536
"""Most tokens of a batch, padding counted, unless told: up to here more is faster, beyond it the caches are full."""


CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container of its limits: ``cpu.max`` of version 2, two files of version 1."""


def cores() -> int:
    """Cores this process may use, where the system tells; else those of the machine.

    A container's share of processor time counts, rounded up: more threads than that would wait for each other.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    found = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(found, _quota() or found)


def _quota() -> int | None:
    """Cores' worth of time that the container may use; None where there is none, or no limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # not there, or no number: no limit
            quota, period = " ".join((CGROUP / name).read_text(encoding="ascii") for name in names).split()
            if int(quota) > 0:
                return math.ceil(int(quota) / int(period))
    return None
