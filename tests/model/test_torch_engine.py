from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.predictor import Predictor
from tests.families import made_rows, save_routing_both_ways

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = [text for text, _ in made_rows("forum", 40, seed=4)]
Backbones = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(backbone_of: Backbones, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "m"
    save_routing_both_ways(path, backbone_of("qwen3"), prompt="neutral")
    return path


def test_what_it_says_of_itself(folder: Path) -> None:
    engine = TorchEngine(folder, device="cpu")
    assert (engine.name, engine.domains, engine.max_length, engine.pad_id) == ("torch", ("news", "forum"), 96, 0)
    assert all(len(e.ids) <= 96 for e in engine.encode(["大跌" * 300, *TEXTS]))
    assert engine.encode(["大跌" * 300])[0].truncated


def test_scores_against_the_model_itself(folder: Path) -> None:
    engine = TorchEngine(folder, device="cpu")
    ids = np.array([engine.encode(["净利翻倍"])[0].ids], dtype=np.int64)
    mask = np.ones_like(ids)
    for expert in (None, 0, 1):
        forced = None if expert is None else np.array([expert], dtype=np.int64)
        probs, gate, _ = engine.run(ids, mask, forced)
        with torch.no_grad():
            out = engine.model(
                torch.from_numpy(ids),
                torch.from_numpy(mask),
                experts=None if forced is None else torch.from_numpy(forced),
            )
        exps = np.exp(out.logits[0].double().numpy())
        np.testing.assert_allclose(probs[0], exps / exps.sum(), rtol=1e-5)
        np.testing.assert_allclose(gate[0], out.soft_gate[0].numpy(), rtol=1e-6)
        assert probs.dtype == gate.dtype == np.float32


def test_an_answer_depends_on_its_text_alone(folder: Path) -> None:
    """Whatever the batch size: each text alone, all together, in another order."""
    engine = TorchEngine(folder, device="cpu")
    whole = Predictor(engine).predict_proba(TEXTS)
    for tokens in (1, 200, 10**6):
        np.testing.assert_allclose(Predictor(engine, batch_tokens=tokens).predict_proba(TEXTS), whole, atol=1e-5)
    back = Predictor(engine, batch_tokens=300).predict_proba(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(back, whole, atol=1e-5)
    assert whole.std(axis=0).min() > 0.01


def test_a_given_domain_is_used_and_the_router_still_reports(folder: Path) -> None:
    predictor = Predictor(TorchEngine(folder, device="cpu"))
    free = predictor.predict(TEXTS)
    assert {p.expert for p in free} == {"news", "forum"}, "both must occur, or the test shows nothing"
    for domain in ("news", "forum"):
        for one, given in zip(free, predictor.predict(TEXTS, domain), strict=True):
            assert given.expert == domain
            assert given.expert_weights == pytest.approx(one.expert_weights, abs=1e-5)
            same = given.scores == pytest.approx(one.scores, abs=1e-5)
            assert same == (one.expert == domain)


def test_soft_and_hard_gates(folder: Path) -> None:
    soft, hard, own = (
        Predictor(TorchEngine(folder, device="cpu", gate=g)).predict_proba(TEXTS) for g in ("soft", "hard", None)
    )
    np.testing.assert_array_equal(hard, own)
    assert np.abs(soft - hard).max() > 1e-3


def test_bf16_is_near(folder: Path) -> None:
    exact = Predictor(TorchEngine(folder, device="cpu")).predict_proba(TEXTS)
    engine = TorchEngine(folder, device="cpu", dtype="bfloat16")
    assert next(engine.model.backbone.parameters()).dtype == torch.bfloat16
    near = Predictor(engine).predict_proba(TEXTS)
    assert np.abs(near - exact).mean() < 0.05


def test_wrong_settings_and_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dtype 'float16': allowed are float32, bfloat16"):
        TorchEngine(folder, dtype="float16")
    with pytest.raises(ConfigError, match="gate 'top': allowed are hard, soft"):
        TorchEngine(folder, gate="top")
    with pytest.raises(ModelError, match="no such folder"):
        TorchEngine(tmp_path / "none")
    shutil.copytree(folder, tmp_path / "m")
    for file in (tmp_path / "m").glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="no readable tokenizer") as caught:
        TorchEngine(tmp_path / "m", device="cpu")
    assert "\n" not in str(caught.value)
