"""How many files and connections a process may hold open: the system's usual 1,024 are fewer than a worker keeps."""

from __future__ import annotations

from contextlib import suppress

try:
    import resource
except ImportError:  # on Windows, which has no such limit
    resource = None  # type: ignore[assignment]

ENOUGH = 8192


def raise_limit() -> None:
    """Allow this process, and those it starts, `ENOUGH` open descriptors, or as many as the system lets it."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    if soft != infinite and soft < ENOUGH:
        with suppress(OSError, ValueError):  # some systems allow fewer than they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (ENOUGH if hard == infinite else min(hard, ENOUGH), hard))
