"""Several processes training one model: each takes a share of a batch's rows, all learn from the whole, one writes.

Started by torchrun or ``accelerate launch``, which say by environment variables who is who; without them there is one
process and nothing here does anything. It knows tensors and nothing of what is trained.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from finsa_moe.errors import ConfigError, FinSAError

PATIENCE = timedelta(hours=2)
"""How long the others wait for the first: it may have a corpus to tokenise."""


class RunLost(FinSAError):  # noqa: N818 - a state of the run, told to the user
    """Another process of a run is gone, and the run with it."""


class Processes:
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
            gpus = torch.cuda.is_available() and dist.is_nccl_available()
            # what lies on GPUs goes from one to the next; sums of our own and barriers stay on the CPU's side
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
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
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

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

    def rows_each(self, batch: int) -> int:
        """This process's rows of a batch.

        Raises:
            ConfigError: If they cannot have the same number: the mean of unequal means would be another loss.
        """
        if batch % self.size:
            raise ConfigError(
                f"batch_size is {batch} and there are {self.size} processes; the batch is that of all together, so it "
                "must be a multiple of them"
            )
        return batch // self.size

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()

    def gathered(self, rows: Tensor) -> Tensor:
        """The mean over a batch's rows (b, E) on all processes, (1, E): what a loss of the whole batch is taken of.

        Gradients flow to every process. With its gradients averaged over the processes, as the Trainer's are, that is
        the gradient of the whole batch's loss.
        """
        if self.size == 1 or not rows.requires_grad:
            return rows
        from torch.distributed.nn.functional import all_reduce

        mean: Tensor = all_reduce(rows.float().mean(0, keepdim=True)) / self.size  # type: ignore[no-untyped-call]
        return mean

    @contextmanager
    def together(self, name: str) -> Iterator[None]:
        """Train; when another process is lost, end with one line instead of that library's pages.

        Raises:
            RunLost: If another process is gone.
        """
        if self.size == 1:
            yield
            return
        lost = RunLost(
            f"{name}: another process of the run was lost, so all of them end; start it again with "
            "--resume, with as many processes as you like"
        )

        def told(*_: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise lost

        before = signal.signal(signal.SIGTERM, told)  # what torchrun sends to those that are left
        try:
            yield
        except RuntimeError as error:
            if not _of_the_group(error):
                raise
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's may come before the line is told
            raise lost from None
        finally:
            if signal.getsignal(signal.SIGTERM) is told:
                signal.signal(signal.SIGTERM, before)


def _leave() -> None:
    """End the group's threads."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _of_the_group(error: RuntimeError) -> bool:
    """Whether an error is that of a connection between processes."""
    said = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        word in said for word in ("gloo", "nccl", "connection closed", "connection reset", "connection refused")
    )
