from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification

from finsa_moe.config import ExpertConfig, MergeConfig
from finsa_moe.errors import ConfigError, FinSAError, ModelError
from finsa_moe.model.backbone import expert_targets, load_backbone, load_tokenizer
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.training.expert import ExpertModel, train_expert
from finsa_moe.training.merge import merge
from tests.conftest import EXPERT, Trained
from tests.families import FAMILIES, batch_of, make_backbone, shake

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]
IDS, MASK = batch_of([[2, 30, 41, 52, 3], [2, 99, 3], [2, 7, 8, 9, 100, 101, 3]], 0)


def merged(experts: Mapping[str, Path], out: Path, *, backbone: str | None = None, **settings: Any) -> dict[str, Any]:
    return merge(experts, out, settings=MergeConfig(**settings), backbone=backbone, device="cpu")


def foreign(
    backbone: Path, folder: Path, *, sequence: bool = False, seed: int = 3, route_at: float = 0.0, **options: Any
) -> Path:
    """An adapter that peft itself trained elsewhere; with `sequence` over AutoModelForSequenceClassification."""
    targets = expert_targets(load_backbone(str(backbone), device="cpu"), route_at)
    if sequence:
        base = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=3)
        targets = [next(n for n, _ in base.named_modules() if n.endswith(target)) for target in targets]
    else:
        base = AutoModel.from_pretrained(backbone)
    task = TaskType.SEQ_CLS if sequence else TaskType.FEATURE_EXTRACTION
    settings = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "target_modules": targets, **options}
    model = get_peft_model(base, LoraConfig(task_type=task, **settings))
    shake(model.base_model.model, seed, 0.0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_that_peft_trained_elsewhere(
    family: str, sequence: bool, backbone_of: Backbones, tmp_path: Path
) -> None:
    experts = {
        d: foreign(backbone_of(family), tmp_path / d, sequence=sequence, seed=s)
        for s, d in enumerate(("news", "forum"))
    }
    facts = merged(experts, tmp_path / "m")
    assert facts["fresh_heads"] == ["news", "forum"]
    assert facts["domains"] == ["news", "forum"]
    mixture = load_mixture(tmp_path / "m", device="cpu")
    assert mixture.config.scaling == [2.0, 2.0]
    assert mixture.config.max_tokens == 128, "what the backbone's positions allow, not 512"
    ids, mask = IDS[:1, :5], MASK[:1, :5]
    for index, folder in enumerate(experts.values()):
        auto = AutoModelForSequenceClassification if sequence else AutoModel
        base = auto.from_pretrained(backbone_of(family), **({"num_labels": 3} if sequence else {}))
        model = PeftModel.from_pretrained(base, str(folder)).eval()
        with torch.no_grad():
            if sequence:
                hidden = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
            else:
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            out = mixture(ids, mask, experts=torch.tensor([index]))
            bare = model.get_base_model().base_model if sequence else model.get_base_model()
            with model.disable_adapter():
                plain = bare(input_ids=ids, attention_mask=mask).last_hidden_state
        assert (plain - hidden).abs().max() > 1e-2, "the adapter must do something"
        torch.testing.assert_close(out.pooled, hidden.mean(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_one_hot_gate_is_the_stage_one_model(family: str, trained: Callable[[str], Trained]) -> None:
    run = trained(family)
    settings = ExpertConfig.load(None, EXPERT)
    mixture = load_mixture(run.start, device="cpu")
    for index, folder in enumerate(run.experts.values()):
        expert = ExpertModel(load_backbone(str(run.backbone), device="cpu"), settings)
        named = dict(expert.named_parameters())
        state = load_file(folder / "adapter_model.safetensors")
        state = {f"peft.{k.replace('.weight', '.default.weight')}": v for k, v in state.items()}
        state |= {f"head.{k}": v for k, v in load_file(folder / "head.safetensors").items()}
        assert {n for n in named if "lora_" in n or n.startswith("head.")} == set(state)
        with torch.no_grad():
            for name, tensor in state.items():
                named[name].copy_(tensor)
            expected = expert.eval()(IDS, MASK)
            logits = mixture(IDS, MASK, experts=torch.full((3,), index)).logits
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("domains", [("news",), ("news", "forum", "notices")])
def test_any_number_of_domains(domains: tuple[str, ...], train: Callable[..., Trained]) -> None:
    run = train("modernbert", domains)
    assert load_mixture(run.joint, device="cpu").config.domains == list(domains)
    assert sorted(p.name for p in (run.joint / "experts").iterdir()) == sorted(domains)


def test_the_same_seed_gives_the_same_mixture(trained: Callable[[str], Trained], tmp_path: Path) -> None:
    run = trained("bert")
    for name, seed in (("a", 13), ("b", 13), ("c", 21)):
        torch.randn(7)  # whatever was drawn before must not matter
        merged(run.experts, tmp_path / name, seed=seed)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["router.layers.0.weight"], c["router.layers.0.weight"])
    assert torch.equal(a["heads.weight"], c["heads.weight"])


def test_a_shared_head_starts_fresh(trained: Callable[[str], Trained], tmp_path: Path) -> None:
    facts = merged(trained("bert").experts, tmp_path / "m", shared_head=True)
    assert facts["fresh_heads"] == ["news", "forum"]
    assert load_mixture(tmp_path / "m", device="cpu").heads.weight.shape == (1, 3, 32)
    assert not list((tmp_path / "m").rglob("head.safetensors"))


def test_a_backbone_that_moved_is_named_anew(trained: Callable[[str], Trained], tmp_path: Path) -> None:
    run = trained("bert")
    experts = {}
    for domain, folder in run.experts.items():
        experts[domain] = shutil.copytree(folder, tmp_path / domain)
        for file in ("expert.json", "adapter_config.json"):
            path = experts[domain] / file
            path.write_text(path.read_text().replace(str(run.backbone), "/gone/away"))
    with pytest.raises(ModelError, match="/gone/away"):
        merged(experts, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    merged(experts, tmp_path / "m", backbone=str(run.backbone))
    assert load_mixture(tmp_path / "m", device="cpu").config.backbone["name"] == str(run.backbone)


def test_a_backbone_without_tokenizer_takes_that_of_an_expert(
    trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    """As the one that stands in a mixture's folder."""
    run = trained("bert")
    bare = shutil.copytree(run.backbone, tmp_path / "bare", ignore=shutil.ignore_patterns("*token*", "vocab*"))
    merged(run.experts, tmp_path / "m", backbone=str(bare))
    text = "放量突破前高,拿稳了"
    assert load_tokenizer(tmp_path / "m")(text)["input_ids"] == load_tokenizer(run.backbone)(text)["input_ids"]
    bald = {name: shutil.copytree(folder, tmp_path / name) for name, folder in run.experts.items()}
    for folder in bald.values():
        (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="bare: no readable tokenizer"):
        merged(bald, tmp_path / "n", backbone=str(bare))


def refused(experts: Mapping[str, Path], tmp_path: Path, says: str, names: Path, **settings: Any) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        merged(experts, tmp_path / "m", **settings)
    assert str(names) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists(), "nothing half-written"


@pytest.fixture
def pair(trained: Callable[[str], Trained], tmp_path: Path) -> dict[str, Path]:
    """Copies of two trained experts, to spoil."""
    return {d: shutil.copytree(f, tmp_path / "experts" / d) for d, f in trained("bert").experts.items()}


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_refuses_an_expert_of_another_backbone(
    prepared: Mapping[str, Path], pair: dict[str, Path], tmp_path: Path
) -> None:
    other = make_backbone("bert", tmp_path / "other", seed=8)
    train_expert(
        "forum",
        prepared["forum"],
        tmp_path / "e",
        backbone=str(other),
        settings=ExpertConfig.load(None, EXPERT),
        device="cpu",
    )
    experts = {"news": pair["news"], "forum": tmp_path / "e"}
    refused(experts, tmp_path, r"trained over another backbone .* retrain it on that one", tmp_path / "e")


def test_refuses_layers_below_the_route(pair: dict[str, Path], tmp_path: Path) -> None:
    says = r"adapts layer 0, below layer 1 where route_at=0\.5 reads; merge with a smaller --set route_at=…, or retrain"
    refused(pair, tmp_path, says, pair["news"], route_at=0.5)


def test_an_early_route_takes_experts_of_upper_layers(backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {"a": foreign(backbone_of("llama"), tmp_path / "a", route_at=0.5)}
    for route_at, layer in ((0.0, 0), (0.5, 1), (1.0, None)):
        facts = merged(experts, out := tmp_path / f"m{route_at}", route_at=route_at)
        assert (facts["linears"], facts["lowest_layer"], facts["route_layer"]) == (6, 1, layer)
        assert load_mixture(out, device="cpu").config.route_at == route_at


def test_refuses_another_rank(backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {d: foreign(backbone_of("llama"), tmp_path / d, r=r) for d, r in (("news", 4), ("forum", 2))}
    refused(
        experts, tmp_path, f"rank 2, {tmp_path}/news has rank 4; retrain one with the other's rank", tmp_path / "forum"
    )


def test_refuses_other_targets(backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {
        "news": foreign(backbone_of("llama"), tmp_path / "news"),
        "forum": foreign(backbone_of("llama"), tmp_path / "forum", target_modules=["q_proj", "k_proj"]),
    }
    refused(
        experts, tmp_path, "another rank layout than .*retrain one with the other's target modules", tmp_path / "forum"
    )


def test_refuses_targets_outside_the_layers(backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {"news": foreign(backbone_of("bert"), tmp_path / "news", target_modules=["query", "pooler.dense"])}
    refused(
        experts, tmp_path, r"adapts pooler\.dense, which is outside the layers; retrain it without", tmp_path / "news"
    )


@pytest.mark.parametrize("option", ["use_dora", "use_rslora"])
def test_refuses_what_is_no_plain_lora(option: str, backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {"news": foreign(backbone_of("llama"), tmp_path / "news", **{option: True})}
    refused(
        experts, tmp_path, f"{option}=True is not supported; train the adapter with {option}=False", tmp_path / "news"
    )


def test_refuses_another_label_order(pair: dict[str, Path], tmp_path: Path) -> None:
    edit(pair["forum"] / "expert.json", labels=["利好", "中性", "利空"])
    refused(pair, tmp_path, "labels stand in the order .*利好.*; retrain its head", pair["forum"])


def test_refuses_different_prompts(pair: dict[str, Path], tmp_path: Path) -> None:
    edit(pair["forum"] / "expert.json", prompt="forum")
    refused(pair, tmp_path, "different prompts .*'none'.*'forum'.*train them with one", pair["forum"])


def test_refuses_a_missing_or_damaged_part(pair: dict[str, Path], tmp_path: Path) -> None:
    weights = pair["forum"] / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:200])
    refused(pair, tmp_path, "truncated or damaged", weights)
    weights.unlink()
    refused(pair, tmp_path, "missing", weights)
    refused({"news": tmp_path / "none"}, tmp_path, r"no adapter_config\.json there; give the folder", tmp_path / "none")


@pytest.mark.parametrize("key", ["backbone", "prompt", "max_tokens"])
def test_an_expert_json_that_lacks_a_key_is_one_line(key: str, pair: dict[str, Path], tmp_path: Path) -> None:
    for folder in pair.values():
        facts = json.loads((folder / "expert.json").read_text())
        del facts[key]
        (folder / "expert.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=f"expert.json.*{key}") as caught:
        merged(pair, tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["no bias", "two classes"])
def test_a_head_that_does_not_fit_is_one_line(change: str, pair: dict[str, Path], tmp_path: Path) -> None:
    path = pair["forum"] / "head.safetensors"
    head = load_file(path)
    save_file(
        {"weight": head["weight"]} if change == "no bias" else {k: v[:2].contiguous() for k, v in head.items()}, path
    )
    with pytest.raises(ModelError, match="head") as caught:
        merged(pair, tmp_path / "m")
    assert str(pair["forum"]) in str(caught.value)


def test_refuses_names_and_numbers_that_cannot_be(pair: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="merge needs at least one --expert NAME=DIR"):
        merged({}, tmp_path / "m")
    with pytest.raises(FinSAError, match="domain 'a/b'"):
        merged({"a/b": pair["news"]}, tmp_path / "m")


def test_a_folder_that_is_there_is_refused_and_stays(trained: Callable[[str], Trained], tmp_path: Path) -> None:
    run = trained("bert")
    model = shutil.copytree(run.joint, tmp_path / "m")
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"m: exists already; name another --out, or remove it first"):
        merged(run.experts, model)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("at", ["save_pretrained", "save"])
def test_killed_it_leaves_no_folder_that_the_next_run_would_refuse(
    at: str, trained: Callable[[str], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experts = trained("bert").experts

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FinSAMoEConfig if at == "save_pretrained" else MergeConfig, at, killed)
        with pytest.raises(KeyboardInterrupt):
            merged(experts, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    merged(experts, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "config.yaml").is_file()


def test_an_adapter_that_names_no_backbone(backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a")
    edit(folder / "adapter_config.json", base_model_name_or_path=None)
    refused({"news": folder}, tmp_path, r"adapter_config\.json names no backbone; add --backbone DIR", folder)
    merged({"news": folder}, tmp_path / "m", backbone=str(backbone_of("llama")))
    assert load_tokenizer(tmp_path / "m").pad_token_id == 0


def test_ours_and_peft_adapters_side_by_side(pair: dict[str, Path], backbone_of: Backbones, tmp_path: Path) -> None:
    experts = {"news": pair["news"], "elsewhere": foreign(backbone_of("bert"), tmp_path / "f")}
    assert merged(experts, tmp_path / "m")["fresh_heads"] == ["elsewhere"]
    mixture = load_mixture(tmp_path / "m", device="cpu")
    assert torch.equal(mixture.heads.weight[0], load_file(pair["news"] / "head.safetensors")["weight"])
    assert mixture.config.scaling == [4.0, 2.0]
