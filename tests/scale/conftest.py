"""A way to score within this process, since starting others takes seconds (`test_pool` starts them); what was scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pieces that were answered."""
    from finsa_moe.scale.worker import Worker

    names: list[str] = []
    plain = Worker.score

    def counting(self: Worker, piece: Any) -> Any:
        names.append(piece.name)
        return plain(self, piece)

    monkeypatch.setattr(Worker, "score", counting)
    return names
