"""A worker and the process that started it: which that is, whether it lives, and how it is asked to have all reload.

The supervisor's id is told in the environment. A worker whose parent is another by now is an orphan, and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

log = logging.getLogger("finsa.serve")
SUPERVISED = "FINSA_SUPERVISED"
"""The id of the process that looks after the workers."""
TICK = 1.0
"""Seconds between two looks for it."""
ECHO = 60.0
"""Seconds within which the signal that a worker has asked for comes back to it."""


class Supervised:
    """What one worker knows of its supervisor; without one, nothing."""

    def __init__(self) -> None:
        self.pid = int(os.environ.get(SUPERVISED, 0))
        self._asked = float("-inf")

    @property
    def orphan(self) -> bool:
        """Whether the supervisor has gone."""
        return self.pid != 0 and os.getppid() != self.pid

    def pass_on(self) -> None:
        """Have all other workers reload, as this one has done."""
        if self.pid and not self.orphan:
            self._asked = time.monotonic()
            os.kill(self.pid, signal.SIGHUP)

    def echoed(self) -> bool:
        """Whether a signal to reload is the one that this worker asked for; each is one only once."""
        echo = time.monotonic() - self._asked < ECHO
        self._asked = float("-inf")
        return echo

    async def watch(self) -> None:
        """End this worker, as if told to, once its supervisor has gone: nobody else would."""
        while not self.orphan:
            await asyncio.sleep(TICK)
        log.error("the supervisor has gone; this worker ends")
        os.kill(os.getpid(), signal.SIGTERM)
