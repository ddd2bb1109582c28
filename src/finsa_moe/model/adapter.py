"""An expert as a folder: a plain peft LoRA adapter with its head and its facts beside it.

``adapter_config.json`` and ``adapter_model.safetensors`` are peft's own; ``head.safetensors`` holds the linear head and
``expert.json`` domain, prompt, labels and the backbone's fingerprint; an expert may have a table of n-grams too
(`data.ngrams`). Folders that peft wrote elsewhere lack the last
two and are read all the same. Nothing here knows the mixture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finsa_moe.data.ngrams import EXPERT_TABLE, NGrams
from finsa_moe.errors import ModelError
from finsa_moe.files import read_json
from finsa_moe.polarity import NAMES

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER, ADAPTER_CONFIG, HEAD, EXPERT_FACTS = (
    "adapter_model.safetensors", "adapter_config.json", "head.safetensors", "expert.json",
)  # fmt: skip
PREFIX = "base_model.model."
"""What peft puts before the backbone's own name of a module."""
_PLAIN = {
    "use_dora": False, "use_rslora": False, "fan_in_fan_out": False, "bias": "none", "lora_bias": False,
    "alora_invocation_tokens": None, "kasa_config": None, "monteclora_config": None, "use_bdlora": None,
    "arrow_config": None,
}  # fmt: skip
_OUT_OF_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of an adapter that peft takes out of the backbone's weights, which are others from then on."""


@dataclass(frozen=True)
class Expert:
    """One expert as read from its folder.

    Attributes:
        folder: Where it stands; named in errors.
        state: Tensors in peft's layout over an `AutoModel`, keys ``base_model.model.<linear>.lora_{A,B}.weight``.
        targets: Full names of the linears adapted, in no order.
        rank: LoRA rank.
        scaling: alpha / rank.
        base: ``base_model_name_or_path`` of the adapter.
        head: ``weight`` (3, d) and ``bias`` (3,), or None when the folder has none that we can use.
        facts: What ``expert.json`` says; empty for an adapter trained elsewhere.
        ngrams: Its table of n-grams, if it has one.
    """

    folder: Path
    state: dict[str, Tensor]
    targets: frozenset[str]
    rank: int
    scaling: float
    base: str
    head: dict[str, Tensor] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    ngrams: NGrams | None = None


def write_expert(
    folder: Path, state: Mapping[str, Tensor], *, targets: list[str], rank: int, scaling: float, base: str,
    head: Mapping[str, Tensor] | None, facts: Mapping[str, Any], dropout: float = 0.0, ngrams: NGrams | None = None,
) -> None:  # fmt: skip
    """Write an expert's folder so that plain peft loads it."""
    from peft import LoraConfig, TaskType  # takes seconds to load, and those who read do without it

    folder.mkdir(parents=True, exist_ok=True)
    config = LoraConfig(
        r=rank, lora_alpha=scaling * rank, lora_dropout=dropout, target_modules=list(targets), bias="none",  # type: ignore[arg-type]
        task_type=TaskType.FEATURE_EXTRACTION, base_model_name_or_path=base, inference_mode=True,
    )  # fmt: skip
    in_order(config).save_pretrained(str(folder))
    save_file(dict(state), folder / ADAPTER, metadata={"format": "pt"})
    write_head(folder, head, facts, ngrams)


def in_order(config: LoraConfig) -> LoraConfig:
    """The config, its target modules sorted: as the set that peft makes of them each run would write another order."""
    config.target_modules = sorted(config.target_modules or ())
    return config


def write_head(
    folder: Path, head: Mapping[str, Tensor] | None, facts: Mapping[str, Any], ngrams: NGrams | None = None
) -> None:
    """Write what stands beside a peft adapter: head, table of n-grams, facts, which note whether there is a table."""
    if ngrams is not None:
        ngrams.write(folder / EXPERT_TABLE)
    if head is not None:
        save_file({k: v.detach().cpu().contiguous() for k, v in head.items()}, folder / HEAD, metadata={"format": "pt"})
    noted = {**facts, "labels": list(NAMES), "ngrams": ngrams is not None}
    text = json.dumps(noted, ensure_ascii=False, indent=2)
    (folder / EXPERT_FACTS).write_text(text, encoding="utf-8")


def read_expert(folder: Path, backbone: nn.Module) -> Expert:
    """Read an adapter that we or peft wrote, and bring its names to those of `backbone` (an `AutoModel`).

    Raises:
        ModelError: If a file is missing or damaged, the adapter is no plain LoRA on linears, or it adapts what the
            backbone does not have.
    """
    config = read_json(folder / ADAPTER_CONFIG, "give the folder that peft's save_pretrained wrote")
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{folder}: peft type {config.get('peft_type')!r}; only LORA adapters can be merged")
    for key, plain in _PLAIN.items():
        if config.get(key, plain) not in (plain, None):
            raise ModelError(
                f"{folder}: {key}={config[key]!r} is not supported; train the adapter with {key}={plain!r}"
            )
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        raise ModelError(f"{folder}: rank_pattern/alpha_pattern give its layers different ranks; use one rank for all")
    if missing := [key for key in ("r", "lora_alpha") if not isinstance(config.get(key), (int, float))]:
        raise ModelError(f"{folder / ADAPTER_CONFIG}: {missing[0]} is no number; restore the file that peft wrote")
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_OUT_OF_THE_BASE):
        raise ModelError(
            f"{folder}: init_lora_weights={begun!r} changed the backbone's own weights, which are not in the folder; "
            "save it anew by peft's save_pretrained with path_initial_model_for_weight_conversion, or train it with "
            "init_lora_weights=True"
        )
    tensors = read_tensors(folder / ADAPTER)
    names = dict(backbone.named_modules())
    state: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if ".lora_A." not in key and ".lora_B." not in key:
            if _of_backbone(key.removeprefix(PREFIX), names):
                raise ModelError(f"{folder}: holds {key}, which changes the backbone beside its linears; train the "
                                 "adapter on linears alone, without modules_to_save (but for a task's head), "
                                 "trainable_token_indices, or embeddings among its target_modules")  # fmt: skip
            continue  # a task head that peft kept among modules_to_save: it pools otherwise than we do
        name = _resolve(key.removeprefix(PREFIX).rsplit(".lora_", 1)[0], names)
        if name is None:
            raise ModelError(f"{folder}: adapts {key.removeprefix(PREFIX)}, which the backbone does not have: "
                             "it was trained on another backbone")  # fmt: skip
        state[f"{PREFIX}{name}.lora_{'A' if '.lora_A.' in key else 'B'}.weight"] = tensor
    facts = read_json(folder / EXPERT_FACTS, absent={})
    if facts and facts.get("labels") != list(NAMES):
        raise ModelError(
            f"{folder}: its labels stand in the order {facts.get('labels')}, expected {list(NAMES)}; retrain its head"
        )
    head = read_tensors(folder / HEAD) if (folder / HEAD).exists() else None
    table = NGrams.read(folder / EXPERT_TABLE, len(NAMES), noted=facts.get("ngrams"))
    return Expert(
        folder, state, frozenset(k.removeprefix(PREFIX).rsplit(".lora_", 1)[0] for k in state),
        int(config["r"]), float(config["lora_alpha"]) / int(config["r"]),
        str(config.get("base_model_name_or_path") or ""), head, facts, table,
    )  # fmt: skip


def _resolve(name: str, modules: Mapping[str, nn.Module]) -> str | None:
    """The backbone's name of a module, when the adapter was trained under a task model that wraps it (``model.…``)."""
    while name not in modules:
        _, dot, name = name.partition(".")
        if not dot:
            return None
    return name


def _of_backbone(key: str, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a tensor without a low-rank pair's name has a part in the backbone's last hidden state; no head has."""
    parts = key.split(".")
    own = [name for end in range(1, len(parts)) if (name := _resolve(".".join(parts[:end]), modules))]
    return ".lora_" in key or any(name.partition(".")[0] != "pooler" for name in own)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, on the CPU.

    Raises:
        ModelError: If it is missing, truncated or holds anything that is not finite.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; restore it from where the folder was made")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: truncated or damaged ({error}); copy the file again or retrain") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: {name} holds values that are not finite; the training that made it failed")
    return tensors
