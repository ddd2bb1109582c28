"""The runtime for users of Spark: a pandas UDF that answers a column of texts, one model a Python worker.

A column of strings goes in, a column of structs comes out, with the fields of a predictions file. Spark reads, cuts,
schedules and writes; nothing of this room's own shards or manifest takes part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finsa_moe.errors import require
from finsa_moe.runtime import BATCH_TOKENS
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.prediction import Prediction, answer_columns
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.scale.job import Job, make_job, read_config

if TYPE_CHECKING:
    import pandas

_TYPES = {str: "string", float: "float", bool: "boolean"}
_loaded: dict[Job, Predictor] = {}


def score_udf(
    model: str | Path | None = None, *, domain: str | None = None, engine: str | None = None, dtype: str | None = None,
    batch_tokens: int = BATCH_TOKENS, abstain_below: float = 0.0,
) -> Any:  # fmt: skip
    """A pandas UDF of one column of texts; what it gives is a struct of the fields of an answer.

    Use it as in ``frame.select("text", score_udf()("text").alias("answer")).select("text", "answer.*")``. An empty
    text, or null, gets null. Texts of a batch are answered together, in batches of like length, so more rows
    a batch (``spark.sql.execution.arrow.maxRecordsPerBatch``, 10,000 in Spark) pad less. Give a Python worker one core
    (``spark.task.cpus``), which is Spark's default.

    Args:
        model: An exported model's folder that every executor sees under this name; None is the default model, which
            travels with the package.
        domain: Expert for all texts; None leaves it to the router.
        engine: ``"onnxruntime"`` or ``"openvino"``; None takes OpenVINO where it is installed.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"int8"``; None takes the engine's best.
        batch_tokens: Most tokens of a batch.
        abstain_below: Answers with a confidence under this are marked uncertain.

    Raises:
        MissingExtra: If pyspark is not installed.
        ModelError: If the folder holds no exported model.
        ConfigError: For an engine, a precision or a number outside what is allowed.
    """
    functions = require("pyspark.sql.functions", "spark", "score_udf")
    require("pandas", "spark", "score_udf")
    folder = None if model is None else Path(model)
    job = make_job(
        Path(), folder, engine=engine, dtype=dtype, domain=domain, batch_tokens=batch_tokens,
        abstain_below=abstain_below,
    )  # fmt: skip
    columns = answer_columns(read_config(job.model)[0]["domains"])
    schema = ", ".join(f"`{name}` {_TYPES[kind]}" for name, kind in columns.items())

    def answered(batches: Iterator[pandas.Series]) -> Iterator[pandas.DataFrame]:
        predictor = _predictor(job)
        for batch in batches:
            yield _frame(predictor, batch, list(columns), domain)

    # Spark reads the kind of UDF off the annotations, which are text in this file
    pd = require("pandas", "spark", "score_udf")
    answered.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.DataFrame]}  # type: ignore[name-defined]
    return functions.pandas_udf(answered, schema)


def _predictor(job: Job) -> Predictor:
    """The model, loaded once by each Python worker."""
    if job not in _loaded:
        raw, _ = read_config(job.model)
        engine = GraphEngine(job.model, raw, job.engine, job.precision, 1)
        _loaded[job] = Predictor(engine, job.batch_tokens, job.abstain_below)
    return _loaded[job]


def _frame(predictor: Predictor, texts: pandas.Series, names: list[str], domain: str | None) -> pandas.DataFrame:
    import pandas as pd

    found = predictor.attempt([text if isinstance(text, str) else "" for text in texts], domain, bulk=True)
    rows = [answer.answers() if isinstance(answer, Prediction) else dict.fromkeys(names) for answer in found]
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in names})
