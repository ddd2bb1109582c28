from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForSequenceClassification

from finsa_moe.errors import ModelError
from finsa_moe.model.adapter import read_expert, read_tensors, write_expert
from finsa_moe.model.backbone import load_backbone
from finsa_moe.polarity import NAMES
from tests.families import shake

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]


def foreign(backbone: Path, folder: Path, *, task: str = "FEATURE_EXTRACTION", **options: Any) -> Path:
    """An adapter that peft itself makes and saves, without our help."""
    auto = AutoModel if task == "FEATURE_EXTRACTION" else AutoModelForSequenceClassification
    extra = {} if auto is AutoModel else {"num_labels": 3}
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **options}
    model = get_peft_model(auto.from_pretrained(backbone, **extra), LoraConfig(task_type=TaskType[task], **settings))
    shake(model.base_model, 3)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("task", ["FEATURE_EXTRACTION", "SEQ_CLS"])
def test_what_peft_saved_is_read_whole(task: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a", task=task)
    expert = read_expert(folder, load_backbone(str(backbone_of("llama")), device="cpu"))
    assert expert.targets == {f"layers.{i}.self_attn.{n}_proj" for i in (0, 1) for n in "qv"}
    assert (expert.rank, expert.scaling, expert.base) == (4, 2.0, str(backbone_of("llama")))
    assert (expert.head, expert.facts) == (None, {})
    assert expert.state["base_model.model.layers.1.self_attn.q_proj.lora_A.weight"].shape == (4, 32)
    assert len(expert.state) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"use_dora": True}, "use_dora=True is not supported; train the adapter with use_dora=False"),
        ({"use_rslora": True}, "use_rslora=True is not supported"),
        ({"bias": "lora_only"}, "bias='lora_only' is not supported"),
        ({"lora_bias": True}, "lora_bias=True is not supported"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern/alpha_pattern"),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 2}}, "rank_pattern/alpha_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' changed the backbone's own weights"),
        ({"init_lora_weights": "pissa_niter_2"}, "init_lora_weights='pissa_niter_2' changed the backbone's own"),
        ({"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion, or train it with"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, r"holds base_model.model.embed_tokens.\S+, which changes the"),
        ({"modules_to_save": ["norm"]}, r"\.layers.0.input_layernorm.weight, which changes the backbone beside its"),
        ({"modules_to_save": ["embed_tokens"]}, r"\.embed_tokens.weight, .* linears alone, without modules_to_save"),
        ({"task": "SEQ_CLS", "modules_to_save": ["norm"]}, r"\.input_layernorm.weight, which changes the backbone"),
        ({"trainable_token_indices": {"embed_tokens": [3, 4]}}, r"embed_tokens.token_adapter.\S+, .*trainable_token"),
    ],
)
def test_what_is_no_plain_lora_is_refused(
    options: dict[str, Any], says: str, backbone_of: Backbones, tmp_path: Path
) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a", **options)
    with pytest.raises(ModelError, match=says) as caught:
        read_expert(folder, load_backbone(str(backbone_of("llama")), device="cpu"))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("begun", ["gaussian", "orthogonal"])
def test_a_beginning_that_leaves_the_backbone_alone_is_read(begun: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a", init_lora_weights=begun)
    assert len(read_expert(folder, load_backbone(str(backbone_of("llama")), device="cpu")).state) == 8


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_head_of_a_task_is_left_out(family: str, backbone_of: Backbones, tmp_path: Path) -> None:
    """Also one of two layers, and a pooler, which nothing but a head reads."""
    more = ["pooler"] if family == "bert" else []
    folder = foreign(
        backbone_of(family), tmp_path / "a", task="SEQ_CLS", target_modules=["query"], modules_to_save=more
    )
    heads = [key for key in read_tensors(folder / "adapter_model.safetensors") if ".lora_" not in key]
    assert len(heads) == 4
    assert len(read_expert(folder, load_backbone(str(backbone_of(family)), device="cpu")).state) == 4


def test_another_kind_of_adapter_is_refused(backbone_of: Backbones, tmp_path: Path) -> None:
    from peft import IA3Config

    model = get_peft_model(
        AutoModel.from_pretrained(backbone_of("llama")),
        IA3Config(target_modules=["k_proj"], feedforward_modules=[], task_type=TaskType.FEATURE_EXTRACTION),
    )
    model.save_pretrained(str(tmp_path / "a"))
    with pytest.raises(ModelError, match="peft type 'IA3'; only LORA adapters can be merged"):
        read_expert(tmp_path / "a", load_backbone(str(backbone_of("llama")), device="cpu"))


def test_an_adapter_over_another_architecture_is_refused(backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a")
    with pytest.raises(
        ModelError, match=r"layers.*which the backbone does not have: it was trained on another backbone"
    ) as caught:
        read_expert(folder, load_backbone(str(backbone_of("bert")), device="cpu"))
    assert str(folder) in str(caught.value)


def test_written_and_read_back(backbone_of: Backbones, tmp_path: Path) -> None:
    backbone = load_backbone(str(backbone_of("bert")), device="cpu")
    target = "encoder.layer.1.output.dense"
    state = {
        f"base_model.model.{target}.lora_A.weight": torch.randn(2, 64),
        f"base_model.model.{target}.lora_B.weight": torch.randn(32, 2),
    }
    head = {"weight": torch.randn(3, 32), "bias": torch.randn(3)}
    write_expert(
        tmp_path / "e",
        state,
        targets=[target],
        rank=2,
        scaling=1.5,
        base="somewhere",
        head=head,
        facts={"domain": "news"},
        dropout=0.1,
    )
    expert = read_expert(tmp_path / "e", backbone)
    assert (expert.rank, expert.scaling, expert.base, expert.targets) == (2, 1.5, "somewhere", {target})
    assert expert.facts == {"domain": "news", "labels": list(NAMES), "ngrams": False}
    assert expert.head is not None
    targets = [f"layers.{layer}.up_proj" for layer in range(10)]
    write_expert(tmp_path / "m", {}, targets=targets[::-1], rank=2, scaling=1.0, base="b", head=None, facts={})
    written = json.loads((tmp_path / "m" / "adapter_config.json").read_text())["target_modules"]
    assert written == targets, "a set's own order is another in every process"
    for ours, theirs in ((state, expert.state), (head, expert.head)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    facts = json.loads((tmp_path / "e" / "expert.json").read_text())
    (tmp_path / "e" / "expert.json").write_text(json.dumps(facts | {"labels": ["利好", "中性", "利空"]}))
    with pytest.raises(
        ModelError, match=r"labels stand in the order \['利好', '中性', '利空'\], expected .*retrain its head"
    ):
        read_expert(tmp_path / "e", backbone)


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(gone: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a")
    (folder / gone).unlink()
    with pytest.raises(ModelError, match=f"{gone}: missing"):
        read_expert(folder, load_backbone(str(backbone_of("llama")), device="cpu"))


@pytest.mark.parametrize("key", ["r", "lora_alpha"])
def test_an_adapter_config_that_lacks_a_key_is_one_line(key: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = foreign(backbone_of("llama"), tmp_path / "a")
    config = json.loads((folder / "adapter_config.json").read_text())
    del config[key]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"adapter_config.json.*{key}"):
        read_expert(folder, load_backbone(str(backbone_of("llama")), device="cpu"))


def test_tensors_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ModelError, match=r"x\.safetensors: missing"):
        read_tensors(path)
    save_file({"a": torch.randn(50, 50)}, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"x\.safetensors: truncated or damaged"):
        read_tensors(path)
    save_file({"a": torch.tensor([1.0, float("inf")])}, path)
    with pytest.raises(ModelError, match="a holds values that are not finite"):
        read_tensors(path)
