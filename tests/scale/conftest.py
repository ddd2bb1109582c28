"""A way to score within this process, since starting others takes seconds; `test_pool` and `test_kill` start them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyarrow", reason="the extra scale is not installed")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's work done by one worker in this process."""
    from finsa_moe.scale import pool
    from finsa_moe.scale.job import Job
    from finsa_moe.scale.pieces import Piece
    from finsa_moe.scale.worker import Outcome, Worker, attempt

    def run(job: Job, pieces: Iterator[Piece], workers: int) -> Iterator[Outcome]:
        worker: Worker | None = None
        for piece in pieces:
            worker, outcome = attempt(worker, job, piece)
            yield outcome

    monkeypatch.setattr(pool, "run", run)
