"""Several processes training one model: each takes a share of a batch's rows, and gradients are summed.

Started by torchrun, which says by environment variables who is who; without it there is one process and nothing here
does anything. It knows tensors and nothing of what is trained.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

PATIENCE = timedelta(hours=2)
"""How long the others wait for the first: it may have a corpus to tokenise."""


class Ranks:
    """This process among those of the run.

    Attributes:
        rank: Its number, from 0; the first alone writes files and logs.
        size: How many there are.
        local: Its number on this machine, which is the number of its GPU.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.local = int(os.environ.get("LOCAL_RANK", "0"))
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("gloo", timeout=PATIENCE)
            atexit.register(_leave)  # gloo's threads, alive when Python is gone, abort a process that has finished

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """A device of its own where the name leaves that open."""
        return f"cuda:{self.local}" if name == "cuda" and self.size > 1 else name

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first goes through the block alone, then all the others at once: what it made, they find."""
        if self.size > 1 and not self.first:
            dist.barrier()
        yield
        if self.size > 1 and self.first:
            dist.barrier()

    def share(self, rows: int) -> slice:
        """The rows of a batch that are this process's."""
        return slice(self.rank * rows // self.size, (self.rank + 1) * rows // self.size)

    def sum(self, parameters: Iterable[nn.Parameter], number: float) -> float:
        """Sum every gradient over the processes, in place, and beside them a number, which comes back.

        A parameter without a gradient counts as zero: a process may have had nothing to do.
        """
        if self.size == 1:
            return number
        owned = list(parameters)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in owned]
        flat = torch.cat([g.reshape(-1).cpu() for g in grads] + [torch.tensor([number])])
        dist.all_reduce(flat)
        at = 0
        for parameter, grad in zip(owned, grads, strict=True):
            parameter.grad = flat[at : at + grad.numel()].view_as(grad).to(grad.device)
            at += grad.numel()
        return float(flat[-1])

    def total(self, number: float) -> float:
        """The sum of a number over the processes."""
        return self.sum([], number)


def _leave() -> None:
    """End the group's threads."""
    if dist.is_initialized():
        dist.destroy_process_group()
