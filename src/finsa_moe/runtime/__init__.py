"""A trained mixture answering fast: engines, batching, routing, files. Nothing in this room imports torch."""

import os

BATCH_TOKENS = 1536
"""Most tokens of a batch, padding counted, unless told: up to here more is faster, beyond it the caches are full."""


def cores() -> int:
    """Cores this process may use, where the system tells; else those of the machine."""
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(affinity(0)) if affinity else os.cpu_count() or 1
