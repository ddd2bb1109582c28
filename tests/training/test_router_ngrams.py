"""A router's table of n-grams: fitted in stage 3, counted in wherever a text is routed, kept when domains come and go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe import load
from finsa_moe.config import ExpertConfig, JointConfig, MergeConfig
from finsa_moe.data.ngrams import ROUTER_TABLE, NGrams
from finsa_moe.errors import ModelError
from finsa_moe.export.export import export_mixture
from finsa_moe.face import FinSA
from finsa_moe.model.growth import add, remove
from finsa_moe.model.replay import read_replay
from finsa_moe.model.router import with_prior as with_prior_torch
from finsa_moe.runtime.engine import softmax, with_prior
from finsa_moe.runtime.folder import CONFIG
from finsa_moe.runtime.predictor import BULK
from finsa_moe.runtime.stages import answer, open_texts
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import train_joint
from finsa_moe.training.merge import merge
from finsa_moe.training.ngrams import ROUTER_WEIGHT, fit, fit_router
from tests.conftest import DOMAINS, EXPERT, JOINT
from tests.families import made_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")
MOST = 300
TEXTS = [text for domain in DOMAINS for text, _ in made_rows(domain, 40, seed=9)]
PLACES = np.repeat([0, 1], 40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Prepared rows, enough to tell domains by."""
    root = tmp_path_factory.mktemp("rows")
    for domain in DOMAINS:
        (root / domain).mkdir()
        for seed, (split, count) in enumerate({"train": 150, "valid": 12}.items()):
            write_rows(root / domain / f"{split}.csv", made_rows(domain, count, seed), domain)
    return {domain: root / domain for domain in DOMAINS}


@pytest.fixture(scope="module")
def mixture(
    data: dict[str, Path], backbone_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Trained jointly for a step, its router with a table."""
    folder = tmp_path_factory.mktemp("router")
    for domain in DOMAINS:
        train_expert(
            domain, data[domain], folder / domain, backbone=str(backbone_of("modernbert")), device="cpu",
            settings=replace(ExpertConfig.load(None, EXPERT), max_steps=2),
        )  # fmt: skip
    merge({domain: folder / domain for domain in DOMAINS}, folder / "moe", settings=MergeConfig(), device="cpu")
    settings = replace(JointConfig.load(None, JOINT), max_steps=1, router_steps=1, router_ngrams=MOST)
    train_joint(folder / "moe", data, folder / "joint", settings=settings, device="cpu")
    return folder / "joint" / "moe_joint"


@pytest.fixture(scope="module")
def table(mixture: Path) -> NGrams:
    found = NGrams.read(mixture / ROUTER_TABLE, len(DOMAINS))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def bare(mixture: Path) -> FinSA:
    """The mixture without its table."""
    model = load(mixture, device="cpu")
    model.predictor.engine.router_ngrams = None
    return model


def gates(model: FinSA, texts: list[str] = TEXTS) -> np.ndarray:
    return np.array([list(one.expert_weights.values()) for one in model.predict(texts)])


def test_two_domains_are_told_apart_by_one_weight_each(table: NGrams, mixture: Path) -> None:
    assert len(table.keys) <= MOST
    assert np.array_equal(table.weights[:, 0], -table.weights[:, 1])
    assert (table(TEXTS).argmax(1) == PLACES).mean() > 0.95
    told = json.loads((mixture / "metrics.json").read_text(encoding="utf-8"))
    assert told["router_ngrams"] == len(table.keys)


def test_of_three_domains_each_has_its_column_and_counts_so_much() -> None:
    texts, places = [*TEXTS, *(f"{at}号债券付息公告" for at in range(30))], [*PLACES.tolist(), *[2] * 30]
    found, alone = fit_router(texts, places, MOST, experts=3), fit(texts, places, MOST, classes=3)
    assert found is not None
    assert alone is not None
    np.testing.assert_allclose(found(texts), ROUTER_WEIGHT * alone(texts), rtol=2e-3, atol=2e-3)
    assert (found(texts).argmax(1) == places).mean() > 0.95


def test_a_gate_is_the_router_s_and_the_table_s_together(mixture: Path, bare: FinSA, table: NGrams) -> None:
    both = load(mixture, device="cpu")
    wanted = softmax(np.log(gates(bare)) + table(TEXTS))
    np.testing.assert_allclose(gates(both), wanted, atol=1e-5)
    answers = both.predict(TEXTS)
    assert [DOMAINS.index(one.expert) for one in answers] == wanted.argmax(1).tolist()
    assert (wanted.argmax(1) == PLACES).mean() > 0.95
    assert (gates(bare).argmax(1) == PLACES).mean() < 0.95  # after one step
    own = np.stack([both.predict_proba([text], domain=one.expert)[0] for text, one in zip(TEXTS, answers, strict=True)])
    np.testing.assert_allclose([list(one.scores.values()) for one in answers], own, atol=1e-5)


def test_a_text_of_a_given_domain_says_still_where_it_would_have_gone(mixture: Path) -> None:
    both = load(mixture, device="cpu")
    given = both.predict(TEXTS, domain="news")
    assert {one.expert for one in given} == {"news"}
    np.testing.assert_allclose([list(one.expert_weights.values()) for one in given], gates(both), atol=1e-6)


@pytest.mark.slow
def test_an_export_routes_alike_by_batches_in_bulk_and_in_the_service(
    mixture: Path, data: dict[str, Path], tmp_path: Path
) -> None:
    export_mixture(mixture, tmp_path / "out", precisions=("fp32",), data=data)
    raw = json.loads((tmp_path / "out" / CONFIG).read_text(encoding="utf-8"))
    assert (raw["format"], raw["router_ngrams"]["file"]) == (2, ROUTER_TABLE)
    wanted, runtime = gates(load(mixture, device="cpu")), load(tmp_path / "out", engine="onnxruntime")
    np.testing.assert_allclose(gates(runtime), wanted, atol=1e-4)
    many = TEXTS * (BULK // len(TEXTS) + 1)
    assert getattr(runtime.predictor.engine, "routes_early", False)
    np.testing.assert_allclose(gates(runtime, many)[: len(TEXTS)], wanted, atol=1e-4)
    for bulk in (False, True):
        opened = open_texts(runtime.predictor, TEXTS, None, bulk=bulk)
        found = answer(runtime.predictor, opened, bulk=bulk)  # type: ignore[arg-type]
        np.testing.assert_allclose([list(one.expert_weights.values()) for one in found], wanted, atol=1e-4)
        assert [one.expert for one in found] == [DOMAINS[at] for at in wanted.argmax(1)]
    (tmp_path / "out" / ROUTER_TABLE).write_bytes(b"other")
    with pytest.raises(ModelError, match=ROUTER_TABLE):
        load(tmp_path / "out")
    with pytest.raises(ModelError, match="leave --single out"):
        export_mixture(mixture, tmp_path / "single", single=True, data=data)


def test_a_domain_that_came_later_keeps_the_share_its_router_gives_it(mixture: Path, tmp_path: Path) -> None:
    engine = load(mixture, device="cpu").predictor.engine.model  # type: ignore[attr-defined]
    small = {f"heads.{k}": v for k, v in engine.heads.state_dict().items()}
    small |= {f"router.{k}": v for k, v in engine.router.state_dict().items()}
    small |= {name: torch.cat([small[name], small[name][:1]]) for name in ("heads.weight", "heads.bias")}
    layers = engine.router._layers(engine.backbone.config.hidden_size, engine.config.router_hidden, 0.0, 1)
    small |= {f"router.grown.0.{k}": v for k, v in layers.state_dict().items()}
    add(
        mixture, tmp_path / "three", "bonds", mixture / "experts" / "news", small, scaling=engine.config.scaling[0],
        replay={},
    )  # fmt: skip
    three = load(tmp_path / "three", device="cpu")
    with_table = gates(three)
    assert np.isnan(three.predictor.engine.router_ngrams.bias).tolist() == [False, False, True]
    three.predictor.engine.router_ngrams = None
    without = gates(three)
    np.testing.assert_allclose(with_table[:, 2], without[:, 2], atol=1e-6)
    assert np.abs(with_table - without).max() > 0.05
    np.testing.assert_allclose(
        with_table[:, :2].argmax(1), gates(load(mixture, device="cpu")).argmax(1)
    )  # of the old ones as before
    remove(tmp_path / "three", tmp_path / "two", "bonds", None)
    assert (tmp_path / "two" / ROUTER_TABLE).read_bytes() == (mixture / ROUTER_TABLE).read_bytes()
    remove(tmp_path / "three", tmp_path / "other", "forum", None)
    assert not (tmp_path / "other" / ROUTER_TABLE).exists()  # one known domain has nothing to be told from


def test_a_new_joint_training_fits_it_anew(mixture: Path, data: dict[str, Path], tmp_path: Path) -> None:
    settings = replace(JointConfig.load(None, JOINT), max_steps=1, router_steps=0)
    train_joint(mixture, data, tmp_path / "again", settings=settings, device="cpu")
    assert not (tmp_path / "again" / "moe_joint" / ROUTER_TABLE).exists()
    assert set(read_replay(mixture, DOMAINS)) == set(DOMAINS)


def test_a_prior_shares_anew_what_the_known_had_in_torch_as_in_numpy() -> None:
    generator = np.random.default_rng(5)
    logits, prior = generator.normal(size=(2, 6, 4)).astype(np.float32) * 3
    prior[:, 2] = np.nan
    both = with_prior(logits, prior)
    np.testing.assert_allclose(with_prior_torch(torch.tensor(logits), torch.tensor(prior)), both, atol=1e-5)
    np.testing.assert_allclose(softmax(both)[:, 2], softmax(logits)[:, 2], atol=1e-6)
    known = [0, 1, 3]
    np.testing.assert_allclose(softmax(both[:, known]), softmax((logits + prior)[:, known]), atol=1e-6)
    assert with_prior(logits, None) is logits
