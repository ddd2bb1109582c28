"""A table of n-grams from rows, with an expert into a mixture, an export, a grown mixture, and in every answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finsa_moe import load
from finsa_moe.config import ExpertConfig, MergeConfig
from finsa_moe.data.ngrams import EXPERT_TABLE, NGrams
from finsa_moe.errors import ModelError
from finsa_moe.export.export import export_mixture
from finsa_moe.model.growth import remove
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.folder import CONFIG
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.stages import answer, open_texts
from finsa_moe.training.expert import train_expert
from finsa_moe.training.merge import merge
from finsa_moe.training.ngrams import fit, fit_router, lacking
from tests.conftest import DOMAINS, EXPERT
from tests.families import made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = [row for domain in DOMAINS for row in made_rows(domain, 150, seed=4)]
MOST = 300


def rows(domain: str, seed: int, many: int = 60) -> tuple[list[str], list[int]]:
    texts, labels = zip(*made_rows(domain, many, seed=seed), strict=True)
    return list(texts), list(labels)


def test_it_learns_what_words_say_and_keeps_as_many_as_asked() -> None:
    texts, labels = (list(column) for column in zip(*ROWS, strict=True))
    table = fit(texts, labels, MOST)
    assert table is not None
    assert len(table.keys) == MOST
    unseen, truth = rows("news", seed=9)
    assert (table(unseen).argmax(1) == truth).mean() > 0.8
    smaller = fit(texts, labels, 10)
    assert smaller is not None
    assert set(smaller.keys) < set(table.keys)
    again = fit(texts, labels, MOST)
    assert again is not None
    assert again.content() == table.content()
    heavier = fit(texts, labels, MOST, weight=1.5)
    assert heavier is not None
    assert np.allclose(heavier(unseen), 1.5 * table(unseen), atol=1e-6)


def test_too_few_rows_make_no_table() -> None:
    assert fit(["涨", "跌"], [2, 0], MOST) is None
    assert fit(["甲", "乙", "丙"], [0, 1, 2], MOST) is None
    assert fit([], [], MOST) is None
    assert fit_router(["涨停"] * 5, [0] * 5, MOST, experts=1) is None
    assert fit_router(["涨停"] * 5, [0] * 5, MOST, experts=2) is None


def test_why_there_is_no_table() -> None:
    assert lacking([2, 0], NAMES) == "no table of n-grams: no training row is 中性"
    assert lacking([1], NAMES) == "no table of n-grams: no training row is 利空 or 利好"
    assert lacking([0], ["news"]) == "no table of n-grams: there is nothing but news to tell from"
    assert lacking([0, 1, 2], NAMES) == "no table of n-grams: none stands in 3 training texts or more"


@pytest.fixture(scope="module")
def mixture(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Of two experts; news has a table."""
    folder = tmp_path_factory.mktemp("tables")
    settings = ExpertConfig.load(None, EXPERT)
    for domain, most in (("news", MOST), ("forum", 0)):
        train_expert(
            domain, prepared[domain], folder / domain, backbone=str(backbone_of("modernbert")), device="cpu",
            settings=replace(settings, ngrams=most),
        )  # fmt: skip
    merge({domain: folder / domain for domain in DOMAINS}, folder / "moe", settings=MergeConfig(), device="cpu")
    return folder / "moe"


def without(mixture: Path, folder: Path) -> Path:
    """The mixture with its table taken out."""
    shutil.copytree(mixture, folder)
    expert = folder / "experts" / "news"
    (expert / EXPERT_TABLE).unlink()
    facts = json.loads((expert / "expert.json").read_text(encoding="utf-8"))
    (expert / "expert.json").write_text(json.dumps(facts | {"ngrams": False}), encoding="utf-8")
    return folder


def test_it_travels_with_the_expert_into_the_mixture(mixture: Path) -> None:
    assert (mixture / "experts" / "news" / EXPERT_TABLE).is_file()
    assert not (mixture / "experts" / "forum" / EXPERT_TABLE).exists()
    said = json.loads((mixture.parent / "news" / "metrics.json").read_text(encoding="utf-8"))
    assert 0 < said["ngrams"] <= MOST


def test_an_answer_is_the_network_s_and_the_table_s_together(mixture: Path, tmp_path: Path) -> None:
    texts, _ = rows("news", seed=9)
    table = NGrams.read(mixture / "experts" / "news" / EXPERT_TABLE, 3)
    assert table is not None
    both, network = load(mixture, device="cpu"), load(without(mixture, tmp_path / "bare"), device="cpu")
    logits = np.log(network.predict_proba(texts, domain="news")) + table(texts)
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both.predict_proba(texts, domain="news"), wanted, atol=1e-6)
    assert np.abs(wanted - network.predict_proba(texts, domain="news")).max() > 0.1
    np.testing.assert_array_equal(
        both.predict_proba(texts, domain="forum"), network.predict_proba(texts, domain="forum")
    )
    routed = both.predict(texts)
    own = np.stack([both.predict_proba([text], domain=one.expert)[0] for text, one in zip(texts, routed, strict=True)])
    np.testing.assert_allclose([list(one.scores.values()) for one in routed], own, atol=1e-5)


def test_a_batch_of_the_service_answers_alike(mixture: Path) -> None:
    texts, _ = rows("news", seed=9, many=12)
    predictor = load(mixture, device="cpu").predictor
    opened = open_texts(predictor, texts, None)
    found = answer(predictor, opened)  # type: ignore[arg-type]
    wanted = predictor.predict_proba(texts)
    np.testing.assert_allclose([list(one.scores.values()) for one in found], wanted, atol=1e-5)


@pytest.mark.slow
def test_an_export_holds_it_and_its_temperature_is_of_the_sum(
    mixture: Path, prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    texts, _ = rows("news", seed=9)
    data = {domain: prepared[domain] for domain in DOMAINS}
    made = export_mixture(mixture, tmp_path / "out", precisions=("fp32",), data=data)
    assert all(parity.same == 1 for parity in made.parities.values())
    raw = json.loads((tmp_path / "out" / CONFIG).read_text(encoding="utf-8"))
    assert (raw["format"], raw["ngrams"][1]) == (2, None)
    runtime, torch_form = load(tmp_path / "out", engine="onnxruntime"), load(mixture, device="cpu")
    temperatures = np.array(raw["temperatures"])
    for at, domain in enumerate(DOMAINS):
        logits = np.log(torch_form.predict_proba(texts, domain=domain)) / temperatures[at]
        wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(runtime.predict_proba(texts, domain=domain), wanted, atol=2e-4)
    (tmp_path / "out" / raw["ngrams"][0]["file"]).write_bytes(b"other")
    with pytest.raises(ModelError, match=r"ngrams0\.npz"):
        load(tmp_path / "out")
    with pytest.raises(ModelError, match="leave --single out"):
        export_mixture(mixture, tmp_path / "single", single=True, data=data)


def test_it_stays_when_another_expert_goes(mixture: Path, tmp_path: Path) -> None:
    remove(mixture, tmp_path / "one", "forum", None)
    assert (tmp_path / "one" / "experts" / "news" / EXPERT_TABLE).read_bytes() == (
        mixture / "experts" / "news" / EXPERT_TABLE
    ).read_bytes()


def test_under_soft_weights_each_table_has_its_expert_s_share(mixture: Path, tmp_path: Path) -> None:
    texts, _ = rows("news", seed=9)
    table = NGrams.read(mixture / "experts" / "news" / EXPERT_TABLE, 3)
    assert table is not None
    both, network = (
        Predictor(TorchEngine(folder, device="cpu", gate="soft"))
        for folder in (mixture, without(mixture, tmp_path / "bare"))
    )
    gates = np.random.default_rng(3).dirichlet((1, 1), len(texts)).astype(np.float32)
    logits = np.log(network.predict_held(texts, gates)) + gates[:, :1] * table(texts)
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both.predict_held(texts, gates), wanted, atol=1e-6)
    routed = np.array([list(one.expert_weights.values()) for one in both.predict(texts)], dtype=np.float32)
    np.testing.assert_allclose(both.predict_proba(texts), both.predict_held(texts, routed), atol=1e-5)
    own = [domain for domain, _ in zip(["news", "forum"] * len(texts), texts, strict=False)]
    hard = load(mixture, device="cpu").predict_proba(texts, domain=own)
    np.testing.assert_allclose(both.predict_proba(texts, domain=own), hard, atol=1e-5)


def test_an_expert_that_goes_on_keeps_its_own_domain_s_table_alone(
    mixture: Path, prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    news = mixture.parent / "news"
    for domain, kept in (("news", True), ("forum", False)):
        train_expert(
            domain, prepared[domain], tmp_path / domain, backbone=str(backbone_of("modernbert")), device="cpu",
            settings=ExpertConfig.load(None, EXPERT), start=news,
        )  # fmt: skip
        table = tmp_path / domain / EXPERT_TABLE
        assert table.is_file() == kept
        assert not kept or table.read_bytes() == (news / EXPERT_TABLE).read_bytes()
