"""One process that answers pieces: it loads the model once, sees that it is the right one, and no file ends it.

A `Job` and pieces go in, outcomes come out; the process pool and Ray both hold workers of this kind. It does not know
how many others there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finsa_moe.errors import FinSAError, ModelError
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.scale.job import Job, read_config
from finsa_moe.scale.pieces import Piece
from finsa_moe.scale.shard import BadPieceError, Entry, score_piece

WARM = ("公司公告:净利润同比增长三成", "又跌了,主力跑了")


@dataclass(frozen=True)
class Outcome:
    """What became of a piece: an entry for the manifest and the shard under its temporary name, or the error."""

    piece: Piece
    entry: Entry | None = None
    temporary: Path | None = None
    error: FinSAError | None = None

    @property
    def fatal(self) -> bool:
        """Whether the run has to stop, since the other pieces would meet the error too."""
        return self.error is not None and not isinstance(self.error, BadPieceError)


class Worker:
    """Answers pieces on one core.

    Args:
        job: What all workers agree on.

    Raises:
        ModelError: If the model cannot be loaded, or is not the one the run began with.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        raw = self._same_model()
        self.predictor = Predictor(
            GraphEngine(job.model, raw, job.engine, job.precision, 1), job.batch_tokens, job.abstain_below
        )
        for domain in self.predictor.engine.domains:  # all graphs now: a folder replaced later cannot mix two models
            self.predictor.predict(WARM, domain)

    def score(self, piece: Piece) -> Outcome:
        """Answer a piece; its shard waits under a temporary name for the driver, who names and records it at once."""
        try:
            temporary, entry = score_piece(self.predictor, piece, self.job)
            try:
                self._same_model()
            except FinSAError:
                temporary.unlink(missing_ok=True)
                raise
            return Outcome(piece, entry, temporary)
        except FinSAError as error:
            return Outcome(piece, error=error)

    def _same_model(self) -> dict[str, object]:
        raw, found = read_config(self.job.model)
        if found != self.job.model_id:
            raise ModelError(
                f"{self.job.model}: the model was replaced while the run was under way; the finished shards are the "
                "old one's: put it back and run the same command again, or score into another --out"
            )
        return raw


def attempt(worker: Worker | None, job: Job, piece: Piece) -> tuple[Worker | None, Outcome]:
    """Answer a piece with a worker that is made when there is none yet; errors come back as outcomes."""
    try:
        worker = worker or Worker(job)
    except FinSAError as error:
        return None, Outcome(piece, error=error)
    return worker, worker.score(piece)
