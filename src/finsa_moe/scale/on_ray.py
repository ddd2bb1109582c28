"""Workers as actors of Ray Data, on this machine or a cluster: each piece is a row of a data set, each actor one core.

Ray schedules, holds back, and starts lost actors anew; pieces and outcomes are the pool's. On a cluster every machine
must see the sources, the model's folder and the output folder under the same names.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finsa_moe.errors import DataError, require
from finsa_moe.scale.job import Job
from finsa_moe.scale.pieces import Piece
from finsa_moe.scale.worker import Outcome, Worker, attempt


class Actor:
    """What Ray holds: one worker, made when the first piece comes, so that an error of the model comes back as one."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Answer the pieces of a batch, pickled as they were sent."""
        outcomes = []
        for content in batch["piece"]:
            self.worker, outcome = attempt(self.worker, self.job, pickle.loads(content))
            outcomes.append(pickle.dumps(outcome))
        return {"outcome": outcomes}


def run(job: Job, pieces: Iterator[Piece], workers: int, address: str | None = None) -> Iterator[Outcome]:
    """Yield the outcome of every piece, in the order they are done.

    Pieces of text files are all staged before the first is answered: a data set of Ray is known whole.

    Raises:
        DataError: If the cluster cannot be reached or gives up.
        MissingExtra: If Ray is not installed.
    """
    items = [{"piece": pickle.dumps(piece)} for piece in pieces]
    if not items:
        return
    with _connected(workers, address):
        data = require("ray.data", "ray", "scoring on Ray")
        context = data.DataContext.get_current()
        context.enable_progress_bars = False  # ours counts rows
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.execution_options.preserve_order = False
        found = data.from_items(items, override_num_blocks=len(items)).map_batches(
            Actor, fn_constructor_args=(job,), batch_size=1, num_cpus=1, zero_copy_batch=True,
            compute=data.ActorPoolStrategy(size=min(workers, len(items))),
        )  # fmt: skip
        for row in found.iter_rows():
            yield pickle.loads(row["outcome"])


def cores_of(address: str) -> int:
    """Cores of a cluster that actors may take: all but one, which Ray's own tasks would else wait for.

    Raises:
        DataError: If the cluster cannot be reached.
        MissingExtra: If Ray is not installed.
    """
    with _connected(1, address) as ray:
        return max(1, int(ray.cluster_resources().get("CPU", 0)) - 1)


@contextmanager
def _connected(workers: int, address: str | None) -> Iterator[Any]:
    """Ray, connected here unless it was; what it raises comes out as one line."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing reaches the network that the user did not name
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = require("ray", "ray", "scoring on Ray")
    began = not ray.is_initialized()
    try:
        if began:
            with _silent():
                _connect(ray, workers, address)
        yield ray
    except (ray.exceptions.RayError, ConnectionError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"Ray stopped ({said}); run the same command again: finished shards are kept") from error
    finally:
        if began and ray.is_initialized():
            ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing on stderr: Ray's core, told to keep its remarks to itself, remarks on that."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _connect(ray: Any, workers: int, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is not None:
        ray.init(address=address, **quiet)
        return
    # one core more than the actors: Ray's own tasks (there are none that take long) would wait for an actor's else
    ray.init(address="local", num_cpus=workers + 1, include_dashboard=False, **quiet)
