"""What every worker of a run has to agree on: which model answers, how, which columns are read, where the answers go.

Made once by who starts the run, sent to every worker. It opens no graph and reads no row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finsa_moe import shipped
from finsa_moe.errors import DataError, ModelError, closest
from finsa_moe.files import read_json_and_sha256
from finsa_moe.runtime import BATCH_TOKENS
from finsa_moe.runtime.folder import CONFIG, MODEL_TYPE, Manifest, precision_of
from finsa_moe.runtime.sessions import check_engine, has_openvino


@dataclass(frozen=True)
class Job:
    """The settings of a run.

    Attributes:
        out: The folder of the answers, absolute.
        model: The exported model's folder, absolute.
        model_id: SHA-256 of its manifest, which names the SHA-256 of every other file: equal ids answer alike.
        engine: What runs it.
        precision: Which of its graphs.
        text: The user's name of the text column; None finds it by its usual names.
        id: The same of the id column.
        domain: Expert for all rows; None leaves it to the router.
        batch_tokens: Most tokens of a batch.
        abstain_below: Answers with a confidence under this are marked uncertain.
        trained_until: Last day of the texts that the model has learnt from, in ISO 8601; None where nobody knows.
    """

    out: Path
    model: Path
    model_id: str
    engine: str
    precision: str
    text: str | None = None
    id: str | None = None
    domain: str | None = None
    batch_tokens: int = BATCH_TOKENS
    abstain_below: float = 0.0
    trained_until: str | None = None

    def settings(self) -> dict[str, Any]:
        """What must be the same for two runs to make one set of answers."""
        return {
            "model": self.model_id, "engine": self.engine, "precision": self.precision, "text": self.text,
            "id": self.id, "domain": self.domain, "abstain_below": self.abstain_below,
        }  # fmt: skip

    @property
    def scores(self) -> Path:
        """The folder of the shards."""
        return self.out / "scores"

    @property
    def rejects(self) -> Path:
        """The folder of the rows that could not be answered."""
        return self.out / "rejects"

    def rejects_of(self, shard: str) -> Path:
        """Where those of a shard stand, if it has any."""
        return self.rejects / f"{shard.removesuffix('.parquet')}.csv"

    @property
    def temporary(self) -> Path:
        """Where files grow until they are whole."""
        return self.out / ".partial"


def make_job(
    out: Path, model: Path | None = None, *, engine: str | None = None, dtype: str | None = None, **settings: Any
) -> Job:
    """Settle what is left open: the default model, the engine installed, the precision it runs best.

    Raises:
        ModelError: If the folder holds no exported model.
        ConfigError: For an engine, a precision or a number outside what is allowed.
        DataError: For a domain that the model does not know.
    """
    folder = (shipped.model() if model is None else model).resolve()
    raw, model_id = read_config(folder)
    if raw.get("model_type") != MODEL_TYPE:
        raise ModelError(f"{folder} is no exported model; run `finsa export {folder} --out DIR` and name that folder")
    manifest = Manifest.parse(raw, folder)
    engine = check_engine(engine or ("openvino" if has_openvino() else "onnxruntime"))
    precision = manifest.precision_for(engine, precision_of(dtype))
    domain = settings.get("domain")
    if domain is not None and domain not in manifest.domains:
        known = list(manifest.domains)
        raise DataError(
            f"domain {domain!r} is not in this mixture; it knows {', '.join(known)}{closest(domain, known)}"
        )
    until = shipped.TRAINED_UNTIL if folder == shipped.MODEL.resolve() else None
    return Job(out.resolve(), folder, model_id, engine, precision, trained_until=until, **settings)


def read_config(folder: Path) -> tuple[dict[str, Any], str]:
    """A model folder's ``config.json`` and its SHA-256.

    Raises:
        ModelError: If it is not there or damaged.
    """
    return read_json_and_sha256(folder / CONFIG, "name an exported model's folder, or copy it again")
