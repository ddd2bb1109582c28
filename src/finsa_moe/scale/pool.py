"""Workers as processes of this machine: what scores where there is no Ray.

Pieces are drawn from an iterator as workers come free, so that it may make them on the way; outcomes come in whatever
order they are done. A worker that is killed is replaced and its piece done again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection

from finsa_moe.errors import DataError
from finsa_moe.scale.job import Job
from finsa_moe.scale.pieces import Piece
from finsa_moe.scale.worker import Outcome, Worker, attempt

LOSSES = 3
"""So often in a row may workers be lost without a piece done in between."""
_worker: Worker | None = None


def run(job: Job, pieces: Iterator[Piece], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of every piece, in the order they are done.

    Raises:
        DataError: If workers die again and again.
    """
    waiting: list[Piece] = []
    lost = 0
    while True:
        try:
            for outcome in _shift(job, pieces, waiting, workers):
                lost = 0
                yield outcome
            return
        except BrokenProcessPool:
            lost += 1
            if lost >= LOSSES:
                raise DataError(
                    f"{waiting[0].place}: its worker was killed {LOSSES} times, perhaps for want of memory; take fewer "
                    "--workers and run the same command again: finished shards are kept"
                ) from None


def _submit(executor: ProcessPoolExecutor, job: Job, piece: Piece) -> Future[Outcome]:
    """Hand a piece to the workers; one that is started for it gives numpy's products no threads of their own.

    A core a worker is the whole plan. The variable is read when numpy is loaded, before an initializer could set it.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return executor.submit(_score, job, piece)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        return executor.submit(_score, job, piece)
    finally:
        del os.environ["OMP_NUM_THREADS"]


def _shift(job: Job, pieces: Iterator[Piece], waiting: list[Piece], workers: int) -> Iterator[Outcome]:
    """Work until the pieces end or a worker is lost; `waiting` then holds what was under way."""
    context = multiprocessing.get_context("spawn")  # engines have threads, which a fork would leave behind
    listening, alive = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(listening,))
    try:
        under_way: dict[Future[Outcome], Piece] = {_submit(executor, job, piece): piece for piece in waiting}
        while True:
            # one more than there are workers: none waits for its next piece
            while len(under_way) <= workers and (piece := next(pieces, None)) is not None:
                waiting.append(piece)
                under_way[_submit(executor, job, piece)] = piece
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                waiting.remove(under_way.pop(future))
                yield outcome
    finally:
        _end(executor)
        alive.close()


def _end(executor: ProcessPoolExecutor) -> None:
    """End the workers now: what they are at is not needed, or will be done again."""
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _begin(listening: Connection) -> None:
    """What a worker does first: leave interrupts to the driver, and go when the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(listening,), daemon=True).start()


def _watch(listening: Connection) -> None:
    try:
        listening.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)  # a killed driver's lock is free: the next run must not meet this worker's files


def _score(job: Job, piece: Piece) -> Outcome:
    global _worker
    _worker, outcome = attempt(_worker, job, piece)
    return outcome
