from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModel

from finsa_moe.config import ExpertConfig, MergeConfig
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.model import checkpoint
from finsa_moe.model.backbone import fingerprint, load_backbone
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.training import expert as stage_one
from finsa_moe.training import loop
from finsa_moe.training.expert import ExpertModel, longest, prompt_for, train_expert
from finsa_moe.training.merge import merge
from finsa_moe.training.trainer import Stage
from tests.conftest import EXPERT
from tests.families import FAMILIES, batch_of, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]


def trained_once(data: Path, out: Path, backbone: Path, *overrides: str, resume: bool = False) -> dict[str, Any]:
    settings = ExpertConfig.load(None, [*EXPERT, *overrides])
    return train_expert("news", data, out, backbone=str(backbone), settings=settings, resume=resume, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_backbone_is_frozen_to_the_bit_and_the_rest_has_moved(
    family: str, prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sixth promise, for stage 1."""
    seen: dict[str, Any] = {}
    run = loop.run

    def watched(stage: Stage, **options: Any) -> dict[str, Any]:
        seen["model"] = stage.model
        seen["before"] = {n: t.detach().clone() for n, t in stage.model.state_dict().items()}
        return run(stage, **options)

    monkeypatch.setattr(stage_one.loop, "run", watched)
    trained_once(prepared["news"], tmp_path / "e", backbone_of(family), "eval_steps=4")
    before: dict[str, Tensor] = seen["before"]
    moved = {name for name, tensor in seen["model"].state_dict().items() if not torch.equal(tensor, before[name])}
    named = dict(seen["model"].named_parameters())
    assert moved == {n for n in named if "lora_" in n or n.startswith("head.")}, "and nothing else"
    assert len(moved) > 10
    saved = load_file(tmp_path / "e" / "adapter_model.safetensors")
    assert all(tensor.abs().max() > 0 for tensor in saved.values())
    assert load_file(tmp_path / "e" / "head.safetensors")["weight"].shape == (3, 32)


def test_a_later_route_adapts_the_layers_above_it(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    facts = trained_once(prepared["news"], tmp_path / "e", backbone_of("llama"), "route_at=0.5")
    assert facts["lowest_layer"] == 1
    assert {k.split(".")[3] for k in load_file(tmp_path / "e" / "adapter_model.safetensors")} == {"1"}


def test_what_is_written_down(prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path) -> None:
    facts = trained_once(prepared["news"], tmp_path / "e", backbone_of("roberta"), "max_length=512", "beta=0.9")
    written = json.loads((tmp_path / "e" / "expert.json").read_text())
    assert written["labels"] == ["利空", "中性", "利好"]
    assert written["domain"] == "news"
    assert written["prompt"] == "none"
    assert written["max_tokens"] == 128, "RoBERTa has 130 positions here and leaves the first two"
    assert written["backbone"]["fingerprint"] == fingerprint(load_backbone(str(backbone_of("roberta")), device="cpu"))
    assert facts["rows"] == 24
    assert facts["classes"] == {"利空": 8, "中性": 8, "利好": 8}
    kept = ExpertConfig.load(tmp_path / "e" / "config.yaml")
    assert (kept.beta, kept.max_length, kept.rank) == (0.9, 512, 4)
    peft = json.loads((tmp_path / "e" / "adapter_config.json").read_text())
    assert (peft["r"], peft["lora_alpha"], peft["task_type"], peft["bias"]) == (4, 16, "FEATURE_EXTRACTION", "none")
    assert peft["base_model_name_or_path"] == str(backbone_of("roberta"))
    assert len(peft["target_modules"]) == 10
    assert peft["target_modules"] == sorted(peft["target_modules"]), "a set's own order is another in every process"


def test_the_same_seed_gives_the_same_expert(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    for name, seed in (("a", 13), ("b", 13), ("c", 21)):
        torch.randn(5)
        trained_once(prepared["news"], tmp_path / name, backbone_of("bert"), f"seed={seed}")
    a, b, c = (load_file(tmp_path / n / "adapter_model.safetensors") for n in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_a_frozen_backbone_drops_nothing_out(backbone_of: Backbones) -> None:
    """Its dropout is off in training, as in the joint stage: a text's hidden state is the one that inference sees."""
    settings = ExpertConfig(rank=2, dropout=0.0, head_dropout=0.0)
    model = ExpertModel(load_backbone(str(backbone_of("bert")), device="cpu"), settings).train()
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask), model.eval()(ids, mask))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_changes_no_gradient(family: str, backbone_of: Backbones) -> None:
    settings, grads = ExpertConfig(rank=2, dropout=0.0, head_dropout=0.0), []
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    place = str(backbone_of(family))  # made once for all tests, from random numbers: before the seed
    for recompute in (False, True):
        torch.manual_seed(0)
        model = ExpertModel(load_backbone(place, device="cpu"), settings).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if recompute:
            model.gradient_checkpointing_enable()
        model(ids, mask).square().sum().backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    assert any("lora_" in name for name in grads[0])
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, msg=name)


@pytest.mark.parametrize(
    "overrides",
    [("epochs=0", "max_steps=-1"), ("epochs=0.1", "max_steps=-1"), ("epochs=1", "max_steps=-1", "patience=0")],
)
def test_runs_of_any_length(
    overrides: tuple[str, ...], prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    facts = trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"), *overrides)
    assert facts["steps"] == {"epochs=0": 0, "epochs=0.1": 1, "epochs=1": 6}[overrides[0]]
    assert (tmp_path / "e" / "adapter_model.safetensors").is_file()


def test_early_stopping_ends_a_run_that_gets_no_better(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    facts = trained_once(
        prepared["news"],
        tmp_path / "e",
        backbone_of("bert"),
        "max_steps=60",
        "eval_steps=1",
        "patience=2",
        "learning_rate=0",
    )
    assert facts["steps"] == 3
    assert facts["best_step"] == 1


def test_the_best_weights_are_the_ones_kept(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    facts = trained_once(
        prepared["news"], tmp_path / "long", backbone_of("bert"), "max_steps=12", "eval_steps=1", "warmup_steps=0"
    )
    best = facts["best_step"]
    rows = [json.loads(line) for line in (tmp_path / "long" / "run" / "statistics.jsonl").read_text().splitlines()]
    scores = {row["step"]: row["eval_weighted_f1"] for row in rows if "eval_weighted_f1" in row}
    assert scores[best] == max(scores.values()) == facts["validation"]["weighted_f1"]
    assert best == min(step for step, score in scores.items() if score == max(scores.values()))


def test_the_last_step_is_evaluated_too(prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path) -> None:
    """Else what was learnt after the last whole interval could never be the best and would be thrown away."""
    trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"), "max_steps=5", "eval_steps=3")
    rows = [json.loads(line) for line in (tmp_path / "e" / "run" / "statistics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "eval_weighted_f1" in row] == [3, 5]


def test_longest_by_family(backbone_of: Backbones) -> None:
    for family, expected in (("bert", 128), ("roberta", 128), ("llama", 128)):
        backbone = load_backbone(str(backbone_of(family)), device="cpu")
        assert longest(backbone, 512) == expected
        assert longest(backbone, 64) == 64


@pytest.mark.parametrize(
    ("family", "options", "prompt"),
    [
        ("qwen3_5_text", {}, "neutral"), ("qwen3_next", {"num_experts": 2}, "neutral"),
        ("granitemoehybrid", {"layer_types": ["mamba", "mamba", "mamba", "attention"]}, "neutral"),
        ("bloom", {}, "neutral"), ("mpt", {}, "neutral"), ("opt", {}, "neutral"), ("bert", {}, "none"),
        ("mpnet", {}, "none"), ("ernie", {}, "none"), ("xlnet", {}, "none"),
    ],
)  # fmt: skip
def test_a_decoder_is_known_by_any_of_its_layers(family: str, options: dict[str, object], prompt: str) -> None:
    """Linear attention comes first in hybrids and says nothing of what a token sees, as BLOOM's does nowhere."""
    config = AutoConfig.for_model(family, num_hidden_layers=4, vocab_size=64, **options)
    with torch.device("meta"):
        assert prompt_for(AutoModel.from_config(config)) == prompt


def test_a_finished_or_unfinished_folder_is_not_overwritten(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path
) -> None:
    facts = trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"))
    before = (tmp_path / "e" / "adapter_model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="holds a finished expert; name another --out"):
        trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"))
    again = trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"), resume=True)
    assert again == facts, "resuming what is finished is no error: a kill may come after the last word"
    assert (tmp_path / "e" / "adapter_model.safetensors").read_bytes() == before
    (tmp_path / "half" / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds an unfinished run; add --resume"):
        trained_once(prepared["news"], tmp_path / "half", backbone_of("bert"))


def test_rows_that_cannot_be_learnt_from(prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.csv", [("大涨", 2), ("又涨", 2)], "news")
    write_rows(data / "valid.csv", [("大涨", 2)], "news")
    with pytest.raises(DataError, match=r"train\.csv: all 2 rows are 利好; an expert needs two classes"):
        trained_once(data, tmp_path / "e", backbone_of("bert"))
    (data / "valid.csv").unlink()
    with pytest.raises(DataError, match=r"valid\.csv: missing"):
        trained_once(data, tmp_path / "e", backbone_of("bert"))
    assert not (tmp_path / "e").exists()


def test_two_classes_are_enough(backbone_of: Backbones, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "valid"):
        write_rows(data / f"{name}.csv", [("净利翻倍", 2), ("业绩大跌", 0)] * 4, "news")
    facts = trained_once(data, tmp_path / "e", backbone_of("bert"))
    assert facts["classes"]["中性"] == 0


def test_a_wrong_name_prompt_or_backbone(prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path) -> None:
    settings = ExpertConfig.load(None, EXPERT)
    with pytest.raises(ConfigError, match=r"domain '\.\./up'"):
        train_expert("../up", prepared["news"], tmp_path / "e", backbone=str(backbone_of("bert")), settings=settings)
    with pytest.raises(ConfigError, match="prompt 'loud' is neither one of none, neutral, news, forum"):
        trained_once(prepared["news"], tmp_path / "e", backbone_of("bert"), "prompt=loud")
    with pytest.raises(ConfigError, match="raise max_length"):
        trained_once(prepared["news"], tmp_path / "e", backbone_of("llama"), "max_length=16")
    with pytest.raises(ModelError, match="cannot be loaded"):
        trained_once(prepared["news"], tmp_path / "e", tmp_path / "none")
    assert not (tmp_path / "e").exists()


def test_hard_texts_in_the_rows(backbone_of: Backbones, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    texts = [
        "涨跌" * 50_000,
        "😀🚀大涨\u200d",
        "跌\x00了",
        "又跌" * 500,
        "平",
        "$甲(SH600000)$ 涨",
        "http://t.cn/x 跌",
        "a" * 3000,
    ]
    for name in ("train", "valid"):
        with (data / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = [[i, t, ("利空", "中性", "利好")[i % 3]] for i, t in enumerate(texts)]
            csv.writer(file).writerows([["id", "text", "label"], *rows])
    facts = trained_once(data, tmp_path / "e", backbone_of("modernbert"))
    assert facts["rows"] == 8


def test_an_expert_over_a_large_backbone_is_merged_from_anywhere(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(backbone_of("bert").parent)
    trained_once(prepared["news"], tmp_path / "small", Path("bert"))
    monkeypatch.setattr(checkpoint, "BUNDLE_LIMIT", 1000)
    trained_once(prepared["news"], tmp_path / "large", Path("bert"))
    names = [json.loads((tmp_path / e / "expert.json").read_text())["backbone"]["name"] for e in ("small", "large")]
    assert names == ["bert", str(backbone_of("bert"))]
    monkeypatch.chdir(tmp_path)
    merge({"news": Path("large")}, Path("m"), settings=MergeConfig(), device="cpu")
    assert load_mixture(Path("m"), device="cpu").config.domains == ["news"]
