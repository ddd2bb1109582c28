from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data.ngrams import EXPERT_TABLE, NGrams
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.evaluation.baselines import make, names
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.training import contestants as room
from finsa_moe.training.contestants import FinetuneContestant, LoraContestant, contestants
from finsa_moe.training.expert import train_expert
from finsa_moe.training.merge import merge
from tests.families import made_rows

ROWS = made_rows("news", 48, 1) + made_rows("forum", 48, 2)
DEV = made_rows("news", 12, 3) + made_rows("forum", 12, 4)
TEST = [text for text, _ in made_rows("news", 15, 5) + made_rows("forum", 15, 6)]
STEPS = ["max_steps=80", "warmup_steps=2", "eval_steps=10", "learning_rate=5e-3", "batch_size=16"]


def columns(rows: list[tuple[str, int]]) -> tuple[list[str], np.ndarray]:
    return [text for text, _ in rows], np.array([label for _, label in rows])


def test_one_lora_answers_as_the_expert_that_was_trained(
    tmp_path: Path, backbone_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are those of the same adapter in a mixture of one, made by merge and asked through the runtime."""
    backbone = str(backbone_of("modernbert"))
    model = LoraContestant(backbone, [*STEPS, "rank=4", "max_length=96"], device="cpu")

    def into_our_folder(domain: str, data: Path, out: Path, **options: object) -> dict[str, object]:
        facts = train_expert(domain, data, out, **options)  # type: ignore[arg-type]
        merge({"mixed": out}, tmp_path / "mixture", settings=room_merge(), device="cpu")
        return facts

    monkeypatch.setattr(room, "train_expert", into_our_folder)
    probs = model.fit(*columns(ROWS), seed=21, dev=columns(DEV)).predict_proba(TEST)
    assert isinstance(TorchEngine(tmp_path / "mixture", device="cpu").model, FinSAMoE)
    mixture = Predictor(TorchEngine(tmp_path / "mixture", device="cpu"))
    expected = [list(answer.scores.values()) for answer in mixture.predict(TEST)]
    np.testing.assert_allclose(probs, expected, atol=1e-4)
    assert model.facts["rows"] == 96
    assert probs.dtype == np.float32
    assert model.predict_proba([]).shape == (0, 3)


def test_one_lora_answers_with_its_table_of_n_grams(
    tmp_path: Path, backbone_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of nought the network says the same to every text, more or less; the table alone tells them apart."""
    still = ["max_steps=1", "eval_steps=1", "learning_rate=0", "batch_size=16", "max_length=96"]
    tables = []

    def kept(domain: str, data: Path, out: Path, **options: object) -> dict[str, object]:
        facts = train_expert(domain, data, out, **options)  # type: ignore[arg-type]
        tables.append(NGrams.read(out / EXPERT_TABLE, 3))
        return facts

    monkeypatch.setattr(room, "train_expert", kept)
    backbone = str(backbone_of("modernbert"))
    network, both = (
        LoraContestant(backbone, [*still, *more], device="cpu")
        .fit(*columns(ROWS), dev=columns(DEV))
        .predict_proba(TEST)
        for more in ([], ["ngrams=200"])
    )
    assert tables[0] is None
    logits = np.log(network) + tables[1](TEST)
    np.testing.assert_allclose(both, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-5)
    truth = columns(made_rows("news", 15, 5) + made_rows("forum", 15, 6))[1]
    assert (network.argmax(axis=1) == truth).mean() < 0.5
    assert (both.argmax(axis=1) == truth).mean() > 0.7


def room_merge():  # type: ignore[no-untyped-def]
    from finsa_moe.config import MergeConfig

    return MergeConfig.load(None, [])


@pytest.mark.parametrize("name", ["lora", "finetune"])
def test_learns_by_its_spec_and_repeats_itself(name: str, backbone_of: Callable[[str], Path]) -> None:
    also = contestants(lambda: backbone_of("modernbert"))
    assert names(also)[-2:] == ("lora", "finetune")
    options = "&".join([*STEPS, "epochs=5", "device=cpu"])
    texts, truth = columns(ROWS)
    first = make(f"{name}?{options}", also).fit(texts, truth, seed=21, dev=columns(DEV))
    probs = first.predict_proba(TEST)
    wanted = columns(made_rows("news", 15, 5) + made_rows("forum", 15, 6))[1]
    assert (probs.argmax(axis=1) == wanted).mean() > 0.7
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    again = make(f"{name}:{backbone_of('modernbert')}?{options}", also).fit(texts, truth, seed=21, dev=columns(DEV))
    np.testing.assert_allclose(again.predict_proba(TEST), probs, atol=1e-6)


def test_a_class_not_trained_on(backbone_of: Callable[[str], Path]) -> None:
    rows = [row for row in ROWS if row[1] != 1]
    model = FinetuneContestant(str(backbone_of("modernbert")), [*STEPS, "trackers=none"], device="cpu")
    probs = model.fit(*columns(rows), seed=1).predict_proba(TEST)  # without rows to choose by, some are set aside
    assert (probs[:, 1] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)


def test_no_folder_is_left_behind(
    tmp_path: Path, backbone_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = FinetuneContestant(str(backbone_of("modernbert")), ["max_steps=2", "eval_steps=1"], device="cpu")
    model.fit(*columns(ROWS), dev=columns(DEV)).predict_proba(TEST)
    assert not list(tmp_path.glob("finsa-*"))


def test_what_cannot_be_trained(backbone_of: Callable[[str], Path]) -> None:
    also = contestants(lambda: backbone_of("modernbert"))
    with pytest.raises(ConfigError, match="unknown key 'rnak'; did you mean 'rank'"):
        make("lora?rnak=3", also)
    with pytest.raises(ConfigError, match="seed is the comparison's"):
        make("finetune?seed=3", also)
    for name in ("lora", "finetune"):
        with pytest.raises(DataError, match="call fit"):
            make(name, also).predict_proba(["涨"])


@pytest.mark.parametrize("name", ["lora", "finetune"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("no folder", "no such folder"), ("no weights", "no weights in it"), ("cut short", "cannot be loaded"),
        ("no configuration", "cannot be loaded"),
    ],
)  # fmt: skip
def test_a_backbone_that_is_not_whole_is_told_when_named(
    name: str, kind: str, expected: str, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """When the model is made, since rows come hours later where other models are trained first."""
    folder = tmp_path / "backbone"
    if kind != "no folder":
        shutil.copytree(backbone_of("modernbert"), folder)
        make(f"{name}:{folder}", contestants(lambda: folder))
    weights = folder / "model.safetensors"
    if kind == "no weights":
        weights.unlink()
    elif kind == "cut short":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif kind == "no configuration":
        (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=expected) as told:
        make(f"{name}:{folder}", contestants(lambda: folder))
    assert str(folder) in str(told.value)
    assert "\n" not in str(told.value)
