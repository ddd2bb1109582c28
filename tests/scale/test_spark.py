"""The UDF in a real Spark on this machine's Java, against the runtime's own answers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
if shutil.which("java") is None:
    pytest.skip("Spark needs a Java, which this machine does not have", allow_module_level=True)

from finsa_moe import load
from finsa_moe.errors import DataError
from finsa_moe.scale.spark import score_udf
from tests.scale.texts import probabilities, texts


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.mark.slow
def test_spark_answers_as_the_runtime(spark: Any) -> None:
    some = texts(120)
    frame = spark.createDataFrame([(at, text) for at, text in enumerate([*some, "", None])], "key int, text string")
    answer = score_udf(engine="onnxruntime")("text").alias("answer")
    rows = sorted(frame.repartition(3).select("key", answer).select("key", "answer.*").collect())
    assert [row["key"] for row in rows] == list(range(122))
    found = np.array([[row[name] for name in ("bearish", "neutral", "bullish")] for row in rows[:120]])
    assert np.allclose(found, probabilities(some), atol=1e-5)  # other batch mates, other rounding
    plain = load(engine="onnxruntime", threads=1).predict(some)
    assert [row["sentiment"] for row in rows[:120]] == [p.sentiment for p in plain]
    assert [row["expert"] for row in rows[:120]] == [p.expert for p in plain]
    assert {type(row["truncated"]) for row in rows[:120]} == {bool}
    for row in rows[120:]:
        assert {name: value for name, value in row.asDict().items() if value is not None} == {"key": row["key"]}
    given = frame.limit(5).select(score_udf(engine="onnxruntime", domain="news")("text").alias("a")).select("a.*")
    assert {row["expert"] for row in given.collect()} == {"news"}


def test_a_wrong_domain_fails_before_spark_is_asked() -> None:
    with pytest.raises(DataError, match="did you mean 'news'"):
        score_udf(domain="newz")
