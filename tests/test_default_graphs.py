"""The graphs that ship: they answer as the weights beside them, alone as among others, and know texts of other kinds.

On our sample texts, and over the dev files where these are.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import finsa_moe
from finsa_moe import shipped
from finsa_moe.data import samples
from finsa_moe.data.ngrams import READ
from finsa_moe.files import read_json
from finsa_moe.runtime.graph_engine import GraphEngine
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import Predictor
from tests.test_real_texts import DATA, FILES

ENGINES = ("onnxruntime", "openvino")
FOREIGN = Path(__file__).parent / "runtime" / "foreign.csv"
NAMED = ("weather", "code", "english", "poem")

on_dev_files = pytest.mark.skipif(not (DATA / FILES[0]).is_file(), reason="../shared/data is not there")


def column(*files: Path) -> list[str]:
    found = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["text"] for row in csv.DictReader(file)]
    return found


def graphs(engine: str) -> Predictor:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="the extra fast is not installed")
    folder = shipped.model()
    return Predictor(GraphEngine(folder, read_json(folder / "config.json"), engine))


def weights() -> Predictor:
    pytest.importorskip("torch", reason="the extra train is not installed")
    return finsa_moe.load(shipped.weights("backbone").parent, device="cpu").predictor


def agreement(one: Sequence[Prediction], two: Sequence[Prediction]) -> tuple[float, float]:
    """Of how many texts polarity and expert are the same."""
    pairs = list(zip(one, two, strict=True))
    return (
        float(np.mean([a.sentiment == b.sentiment for a, b in pairs])),
        float(np.mean([a.expert == b.expert for a, b in pairs])),
    )


def auroc(far: NDArray[np.float64], near: NDArray[np.float64]) -> float:
    """How often a foreign text's novelty is above a known one's; a tie counts half."""
    return float((far[:, None] > near).mean() + (far[:, None] == near).mean() / 2)


def novelty(answers: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.array([answer.novelty for answer in answers], dtype=np.float64)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Every fifth sample text."""
    return column(*(samples.path(name) for name in ("news", "forum")))[::5]


@pytest.fixture(scope="module")
def said(texts: list[str]) -> list[Prediction]:
    """What the weights answer to them."""
    return weights().predict(texts)


@pytest.fixture(scope="module")
def dev() -> tuple[list[str], list[Prediction]]:
    """All dev texts, and what the weights answer."""
    found = column(*(DATA / name for name in FILES))
    return found, weights().predict(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_sample_texts_are_answered_as_by_the_weights(engine: str, texts: list[str], said: list[Prediction]) -> None:
    assert min(agreement(graphs(engine).predict(texts), said)) >= 0.995


@pytest.mark.slow
@on_dev_files
@pytest.mark.parametrize("engine", ENGINES)
def test_dev_texts_are_answered_as_by_the_weights(engine: str, dev: tuple[list[str], list[Prediction]]) -> None:
    """The first promise, held by what ships."""
    found, wanted = dev
    assert len(found) > 3000
    assert min(agreement(graphs(engine).predict(found), wanted)) >= 0.995


def test_batch_mates_order_and_chunks_change_nothing(texts: list[str]) -> None:
    """The second promise, held by the graphs in 8 bits: no scale of theirs hangs on the batch."""
    predictor, texts = graphs("onnxruntime"), texts[::2]
    alone = np.concatenate([predictor.predict_proba([text]) for text in texts])
    order = np.random.default_rng(5).permutation(len(texts))
    for tokens in (300, 100_000):
        chunked = Predictor(predictor.engine, batch_tokens=tokens)
        shuffled = np.empty_like(alone)
        shuffled[order] = chunked.predict_proba([texts[at] for at in order])
        for found in (chunked.predict_proba(texts), shuffled):
            np.testing.assert_allclose(found, alone, atol=1e-5)


def test_of_a_long_text_the_network_reads_head_and_tail_and_the_tables_its_beginning(texts: list[str]) -> None:
    """What the guide says; the same ids, and others of the first 512 characters, are another answer."""
    predictor = graphs("onnxruntime")
    filler = "".join(texts[:60])
    head, tail = filler[:300], filler[300:600]
    middles = ("平安" * 106 + "涨停" * 100, "平安" * 106 + "跌停" * 100, "跌停" * 106 + "涨停" * 100)
    plain, later, sooner, other_tail = [*(head + middle + tail for middle in middles), head + middles[0] + tail[::-1]]
    assert len(head + middles[0][:212]) == READ
    ids = [encoded.ids for encoded in predictor.engine.encode([plain, later, sooner, other_tail])]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    found = predictor.predict_proba([plain, later, sooner, other_tail])
    assert np.array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1e-3
    assert np.abs(found[0] - found[3]).max() > 1e-3
    assert all(answer.truncated for answer in predictor.predict([plain, later]))


def test_texts_of_other_kinds_are_told_from_known_ones(texts: list[str]) -> None:
    """Our samples are a little stranger to the model than dev texts are, on which the guide's figures stand."""
    predictor = graphs("onnxruntime")
    with FOREIGN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = np.array([row["kind"] for row in rows])
    near, far = (novelty(predictor.predict(some)) for some in (texts, [row["text"] for row in rows]))
    assert auroc(far[np.isin(kinds, NAMED)], near) >= 0.94
    for kind in ("english", "code"):
        assert auroc(far[kinds == kind], near) >= 0.95, kind


@pytest.mark.slow
@on_dev_files
def test_texts_of_other_kinds_are_told_from_dev_texts() -> None:
    predictor = graphs("onnxruntime")
    with FOREIGN.open(encoding="utf-8", newline="") as file:
        foreign = [row["text"] for row in csv.DictReader(file) if row["kind"] in NAMED]
    near = novelty(predictor.predict(column(*(DATA / name for name in FILES))))
    assert auroc(novelty(predictor.predict(foreign)), near) >= 0.95
