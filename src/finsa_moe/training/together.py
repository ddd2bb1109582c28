"""Several processes under torchrun or ``accelerate launch`` in the supervised stages: one global batch, one writer.

The Trainer shares the work out; here stand the questions the stages ask beside it, and what a lost process is told as.
Alone, nothing here does anything. It knows tensors and nothing of what is trained.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from torch import Tensor

from finsa_moe.errors import ConfigError, FinSAError
from finsa_moe.training.parallel import Ranks


class RunLost(FinSAError):  # noqa: N818 - a state of the run, told to the user
    """Another process of the run is gone, and the run with it."""


class Team(Ranks):
    """The processes of a supervised stage."""

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


def _of_the_group(error: RuntimeError) -> bool:
    """Whether an error is that of a connection between processes."""
    said = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        word in said for word in ("gloo", "nccl", "connection closed", "connection reset", "connection refused")
    )
