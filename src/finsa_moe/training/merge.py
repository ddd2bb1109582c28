"""Stage 2: experts of one backbone become one mixture, `moe_init`, with a fresh router.

Adapter folders that we or plain peft wrote go in. Each expert's own head is kept, so that a one-hot gate is that
expert; nothing is trained here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, set_seed

from finsa_moe.config import MergeConfig
from finsa_moe.data.domains import check_domain
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.files import read_json
from finsa_moe.model.adapter import ADAPTER_CONFIG, EXPERT_FACTS, HEAD, Expert, read_expert
from finsa_moe.model.backbone import (
    fingerprint,
    first_expert_layer,
    layer_stack,
    load_backbone,
    load_tokenizer,
)
from finsa_moe.model.checkpoint import save_mixture
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.history import SETTINGS
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.training.expert import longest, prompt_for


def merge(
    experts: Mapping[str, Path], out: Path, *, settings: MergeConfig, backbone: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Merge experts into a mixture and write its folder.

    Args:
        experts: Folder of each domain's expert, in the order of the expert ids.
        out: Folder of the mixture; it must not exist.
        settings: Route, router and heads.
        backbone: Where the backbone stands now; needed only when it moved since the experts were trained.
        device: Torch device name.

    Returns:
        ``domains``; ``route_layer``, at whose entry the router reads, None where it reads the plain backbone's last
        state; ``lowest_layer`` that has experts; ``linears`` with experts; ``fresh_heads``, the domains whose head
        learnt nothing yet.

    Raises:
        ModelError: If an adapter is over another backbone or one held in another precision, reaches below the route, or
            has another rank layout or label order than the others; the message says which and what to do.
        ConfigError: If no expert is given, or `out` exists.
    """
    if not experts:
        raise ConfigError("merge needs at least one --expert NAME=DIR")
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another --out, or remove it first")
    for name, folder in experts.items():
        check_domain(name)
        if not (folder / ADAPTER_CONFIG).is_file():
            raise ModelError(f"{folder}: no {ADAPTER_CONFIG} there; give the folder that train-expert or peft wrote")
    reference = _reference(experts, backbone)
    network = load_backbone(
        reference["name"], quantisation=reference["quantisation"], dtype=reference["dtype"], device=device
    )
    reference["fingerprint"] = fingerprint(network)
    read = {name: read_expert(folder, network) for name, folder in experts.items()}
    _check_alike(read, reference)
    lowest = first_expert_layer(network, settings.route_at)
    path, _ = layer_stack(network)
    adapted = [_check_route(expert, path, lowest, settings.route_at) for expert in read.values()]
    first = next(iter(read.values()))
    facts = [expert.facts for expert in read.values() if expert.facts]
    prompts = {e.facts["prompt"]: e.folder for e in read.values() if e.facts}
    if len(prompts) > 1:
        found = ", ".join(f"{folder} with {prompt!r}" for prompt, folder in prompts.items())
        raise ModelError(f"the experts were trained with different prompts ({found}); "
                         "the router would learn the prompt, not the text: train them with one")  # fmt: skip
    order = [name for name, _ in network.named_modules() if name in first.targets]
    config = FinSAMoEConfig(
        domains=list(read), backbone=reference, targets=order, rank=first.rank,
        scaling=[expert.scaling for expert in read.values()], route_at=settings.route_at,
        shared_head=settings.shared_head, router_hidden=settings.router_hidden, router_dropout=settings.router_dropout,
        head_dropout=settings.head_dropout, expert_dropout=settings.expert_dropout,
        prompt=next(iter(prompts), prompt_for(network)),
        max_tokens=longest(network, min([fact["max_tokens"] for fact in facts], default=512)),
        hidden_size=network.config.get_text_config().hidden_size,
    )  # fmt: skip
    set_seed(settings.seed)
    model = FinSAMoE(config, network)
    fresh = _fill(model, read)
    save_mixture(
        model, out, tokenizer=_tokenizer(reference["name"], experts),
        more=lambda working: settings.save(working / SETTINGS),
    )  # fmt: skip
    return {
        "domains": list(read), "route_layer": None if settings.route_at >= 1.0 else lowest,
        "lowest_layer": min(adapted), "linears": len(order), "fresh_heads": fresh,
    }  # fmt: skip


def _tokenizer(backbone: str, experts: Mapping[str, Path]) -> PreTrainedTokenizerBase:
    """The backbone's; where its folder has none, as within a mixture, the one that an expert was trained with."""
    try:
        return load_tokenizer(backbone)
    except ModelError:
        if own := [folder for folder in experts.values() if (folder / "tokenizer.json").is_file()]:
            return load_tokenizer(own[0])
        raise


def _reference(experts: Mapping[str, Path], backbone: str | None) -> dict[str, Any]:
    """What the mixture will say of its backbone: from the first of our own experts, or from peft's config."""
    ours = [folder for folder in experts.values() if (folder / EXPERT_FACTS).is_file()]
    for folder in ours:
        _check_facts(folder / EXPERT_FACTS)
    if ours:
        reference = dict(read_json(ours[0] / EXPERT_FACTS)["backbone"])
        return {**reference, "name": backbone or reference["name"]}
    folder = next(iter(experts.values()))
    name = backbone or read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not name:
        raise ModelError(f"{folder}: its adapter_config.json names no backbone; add --backbone DIR")
    return {"name": name, "quantisation": "none", "dtype": "float32"}


def _check_facts(path: Path) -> None:
    facts = read_json(path)
    known: dict[str, Any] = {"prompt": str, "max_tokens": int, "backbone": dict}
    odd = [key for key, kind in known.items() if not isinstance(facts.get(key), kind)]
    odd += [key for key in ("name", "quantisation", "dtype") if not odd and key not in facts["backbone"]]
    if odd:
        raise ModelError(f"{path}: {odd[0]} is missing or damaged; restore the file, or remove it to merge the adapter "
                         "as one that peft trained elsewhere")  # fmt: skip


def _check_alike(experts: Mapping[str, Expert], reference: Mapping[str, Any]) -> None:
    first = next(iter(experts.values()))
    held = next((expert for expert in experts.values() if expert.facts), first)  # which `_reference` is of
    for expert in experts.values():
        trained_on = expert.facts.get("backbone", {}).get("fingerprint", reference["fingerprint"])
        if trained_on != reference["fingerprint"]:
            raise ModelError(
                f"{expert.folder}: trained over another backbone ({expert.base}, {trained_on}) than "
                f"{reference['name']} ({reference['fingerprint']}); retrain it on that one"
            )
        if (found := _precision(expert)) != _precision(held) and expert.facts:
            raise ModelError(
                f"{expert.folder}: trained over the backbone in {found}, {held.folder} over it in {_precision(held)}; "
                "retrain one with the other's dtype and quantisation"
            )
        if expert.rank != first.rank:
            raise ModelError(
                f"{expert.folder}: rank {expert.rank}, {first.folder} has rank {first.rank}; "
                "retrain one with the other's rank"
            )
        if expert.targets != first.targets:
            odd = sorted(expert.targets ^ first.targets)[0]
            holder = expert if odd in expert.targets else first
            raise ModelError(
                f"{expert.folder}: another rank layout than {first.folder} (only {holder.folder.name} adapts {odd}); "
                "retrain one with the other's target modules"
            )


def _precision(expert: Expert) -> str:
    """How the backbone was held when one of our own experts was trained."""
    told = expert.facts.get("backbone", {})
    return f"dtype {told.get('dtype')} and quantisation {told.get('quantisation')}"


def _check_route(expert: Expert, path: str, lowest: int, route_at: float) -> int:
    """See that an expert adapts layers from the route up alone; the lowest of them is given back."""
    layers = []
    for target in sorted(expert.targets):
        match = re.match(rf"{re.escape(path)}\.(\d+)\.", target)
        if match is None:
            raise ModelError(f"{expert.folder}: adapts {target}, which is outside the layers; retrain it without")
        if int(match[1]) < lowest:
            raise ModelError(
                f"{expert.folder}: adapts layer {match[1]}, below layer {lowest} where route_at={route_at} reads; "
                "merge with a smaller --set route_at=…, or retrain the expert with that route_at"
            )
        layers.append(int(match[1]))
    return min(layers, default=lowest)


def _fill(model: FinSAMoE, experts: Mapping[str, Expert]) -> list[str]:
    """Copy adapters and heads in; the domains whose head stays fresh are given back."""
    fresh = []
    heads = model.heads
    for index, (domain, expert) in enumerate(experts.items()):
        try:
            model.bank.load_adapter(index, expert.state)
        except ModelError as error:
            raise ModelError(f"{expert.folder}: {error}") from None
        model.ngrams[index] = expert.ngrams
        if heads.shared or expert.head is None:
            fresh.append(domain)
            continue
        found = {name: tuple(tensor.shape) for name, tensor in expert.head.items()}
        expected = {"weight": tuple(heads.weight[index].shape), "bias": tuple(heads.bias[index].shape)}
        if found != expected:
            raise ModelError(f"{expert.folder}: {HEAD} holds {found}, expected {expected}; was it trained here?")
        with torch.no_grad():
            heads.weight[index].copy_(expert.head["weight"])
            heads.bias[index].copy_(expert.head["bias"])
    return fresh
