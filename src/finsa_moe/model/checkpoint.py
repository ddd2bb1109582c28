"""A mixture as a folder, written whole or not at all, and read back with every part checked.

``config.json``; ``model.safetensors`` (router and heads); ``experts/<domain>/`` as plain peft adapters; the tokenizer;
``backbone/`` when the frozen network is small enough to travel along. Nothing here trains or predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from finsa_moe import hub
from finsa_moe.data.ngrams import ROUTER_TABLE, NGrams
from finsa_moe.errors import FinSAError, ModelError
from finsa_moe.files import read_json, whole_folder
from finsa_moe.model.adapter import read_expert, read_tensors, write_expert
from finsa_moe.model.backbone import DTYPES, fingerprint, load_backbone, load_tokenizer, save_weights
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.history import HISTORY, METRICS, SETTINGS
from finsa_moe.model.moe import FinSAMoE

WEIGHTS, BACKBONE, EXPERTS = "model.safetensors", "backbone", "experts"
OF_ONE_MODEL = {
    BACKBONE, EXPERTS, WEIGHTS, "config.json", SETTINGS, METRICS, "replay.safetensors",
    "novelty.safetensors", HISTORY, ROUTER_TABLE,
}  # fmt: skip
"""Entries of a mixture's folder that would be wrong of another mixture."""
BUNDLE_LIMIT = 256 * 2**20
"""Bytes of backbone weights up to which a mixture carries its own copy and so is one folder to take away."""
_WRITTEN_BY = "give the folder that train-joint, merge or add-domain wrote"


def save_mixture(
    model: FinSAMoE, folder: Path, *, tokenizer: Any = None, backbone: Mapping[str, Tensor] | None = None,
    more: Callable[[Path], None] = lambda _: None,
) -> None:  # fmt: skip
    """Write a mixture beside `folder`, then rename; of an older `folder` stays what others put there.

    Killed at any moment it leaves the old mixture or the new one whole, as `files.whole_folder` does.

    Args:
        model: The mixture.
        folder: Where it goes.
        tokenizer: Is saved beside it.
        backbone: The backbone's tensors by name, where the model's own are spread over processes.
        more: Given the working folder before it gets its name, for what else belongs there.

    Raises:
        ModelError: If `folder` is no mixture's and holds what a mixture's would take the place of.
    """
    folder = folder.resolve()  # of `.`, too, an error tells the name
    _check_place(folder)
    with whole_folder(folder, OF_ONE_MODEL.__contains__) as working:
        _write(model, working, backbone)
        if tokenizer is not None:
            tokenizer.save_pretrained(working)
        more(working)


def _write(model: FinSAMoE, working: Path, backbone: Mapping[str, Tensor] | None) -> None:
    """Write what a mixture is made of into a new folder."""
    config = model.config
    config.architectures = [type(model).__name__]
    config.backbone = {**config.backbone, "name": lasting_name(config.backbone, model.backbone)}
    for index, domain in enumerate(config.domains):
        heads = model.heads
        own = None if config.shared_head else {"weight": heads.weight[index], "bias": heads.bias[index]}
        facts = {
            "domain": domain,
            "backbone": config.backbone,
            "prompt": config.prompt,
            "max_tokens": config.max_tokens,
        }
        write_expert(
            working / EXPERTS / domain, model.bank.adapter(index), targets=config.targets, rank=config.rank,
            scaling=config.scaling[index], base=config.backbone["name"], head=own, facts=facts,
            dropout=config.expert_dropout, ngrams=model.ngrams[index],
        )  # fmt: skip
    save_file(small_parts(model), working / WEIGHTS, metadata={"format": "pt"})
    config.router_ngrams = model.router_ngrams is not None
    if model.router_ngrams is not None:
        model.router_ngrams.write(working / ROUTER_TABLE)
    _bundle(model.backbone, config, working / BACKBONE, backbone)
    config.save_pretrained(working)


def read_config(folder: Path) -> FinSAMoEConfig:
    """The configuration of a mixture's folder.

    Raises:
        ModelError: If it holds no mixture.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; {_WRITTEN_BY}")
    raw = read_json(folder / "config.json", _WRITTEN_BY)
    if raw.get("model_type") != FinSAMoEConfig.model_type:
        raise ModelError(
            f"{folder}: config.json says model_type {raw.get('model_type')!r}, expected {FinSAMoEConfig.model_type!r}; "
            f"{_WRITTEN_BY}"
        )
    return FinSAMoEConfig.from_dict(raw)


def small_parts(model: FinSAMoE) -> dict[str, Tensor]:
    """Router and head tensors by name, on the CPU."""
    parts = (("router", model.router), ("heads", model.heads))
    return {f"{n}.{k}": v.detach().cpu().contiguous() for n, m in parts for k, v in m.state_dict().items()}


def load_mixture(
    folder: Path, *, device: str | None = None, dtype: str | None = None, config: FinSAMoEConfig | None = None
) -> FinSAMoE:
    """Read a mixture written by `save_mixture`, in evaluation mode.

    Raises:
        ModelError: If a part is missing, damaged or does not fit the backbone, naming the file and what to do.
    """
    config = config or read_config(folder)
    name, reference = _backbone_of(folder, config), config.backbone
    backbone = load_backbone(
        name, quantisation=reference["quantisation"], dtype=dtype or reference["dtype"], device=device
    )
    if fingerprint(backbone) != reference["fingerprint"]:
        raise ModelError(
            f"{folder}: the backbone {reference['name']} is not the one this mixture was trained on; restore it"
        )
    try:
        model = FinSAMoE(config, backbone)
    except ModelError as error:
        raise ModelError(f"{folder / 'config.json'}: {error}") from None
    for index, domain in enumerate(config.domains):
        expert = read_expert(folder / EXPERTS / domain, backbone)
        try:
            model.bank.load_adapter(index, expert.state)
        except ModelError as error:
            raise ModelError(f"{expert.folder}: {error}") from None
        model.ngrams[index] = expert.ngrams
    load_small_parts(model, read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    model.router_ngrams = NGrams.read(folder / ROUTER_TABLE, len(config.domains), noted=config.router_ngrams)
    model.train(False)
    return model


def empty_backbone(folder: Path, config: FinSAMoEConfig) -> PreTrainedModel:
    """A mixture's backbone without its weights, on the meta device: what its configuration says of its shape.

    Raises:
        ModelError: If there is no such configuration.
    """
    name = _backbone_of(folder, config)
    with hub.found(name, f"backbone {name}: cannot be loaded", "restore its config.json") as here:
        shape = AutoConfig.from_pretrained(name, local_files_only=here)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModel.from_config(shape)
    return model


def _backbone_of(folder: Path, config: FinSAMoEConfig) -> str:
    """Where a mixture's backbone is: its own copy of it, else the name it was trained with.

    Raises:
        ModelError: If the configuration lacks a part.
    """
    if missing := [key for key in ("name", "fingerprint", "quantisation", "dtype") if key not in config.backbone]:
        raise ModelError(
            f"{folder / 'config.json'}: backbone lacks {missing[0]}; restore it from where the folder was made"
        )
    bundled = folder / BACKBONE
    return str(bundled) if bundled.is_dir() else str(config.backbone["name"])


def load_small_parts(model: FinSAMoE, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill router and heads from the tensors of a file.

    Raises:
        ModelError: If names or shapes are not those of the model.
    """
    ours = {k: tuple(v.shape) for k, v in small_parts(model).items()}
    theirs = {k: tuple(v.shape) for k, v in tensors.items()}
    if ours != theirs:
        odd = sorted(set(ours.items()) ^ set(theirs.items()))[0][0]
        raise ModelError(f"{path}: {odd} is {theirs.get(odd, 'missing')}, the config says {ours.get(odd, 'unknown')}")
    with torch.no_grad():
        for name, part in (("router", model.router), ("heads", model.heads)):
            part.load_state_dict(
                {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            )


def travels(reference: Mapping[str, Any], backbone: nn.Module) -> bool:
    """Whether a mixture keeps a copy of its backbone: of a small one that is not quantised, a folder's or the hub's.

    Its size is that in the number format that `reference` names, whatever it is held in here.
    """
    size = sum(p.numel() for p in backbone.parameters()) * DTYPES[reference["dtype"]].itemsize
    return reference["quantisation"] == "none" and size <= BUNDLE_LIMIT


def lasting_name(reference: Mapping[str, Any], backbone: nn.Module) -> str:
    """The name by which a backbone is found again from any working folder.

    That of a folder which does not travel along is its whole path; any other stays as it was typed.

    Args:
        reference: What a mixture or an expert says of its backbone: ``name``, ``quantisation``, ``dtype``.
        backbone: It, loaded by that name from here.
    """
    name = str(reference["name"])
    if travels(reference, backbone) or not Path(name).is_dir():
        return name
    return str(Path(name).absolute())


def _bundle(
    backbone: PreTrainedModel, config: FinSAMoEConfig, folder: Path, state: Mapping[str, Tensor] | None
) -> None:
    """Keep a copy of the backbone in the mixture, or leave it at its name."""
    if not travels(config.backbone, backbone):
        return
    if backbone.dtype != DTYPES[config.backbone["dtype"]]:
        backbone, state = _as_kept(backbone, config), None
    # The hooks stay on the live modules: saving reads the state dict alone.
    save_weights(backbone, folder, state)


def _as_kept(backbone: PreTrainedModel, config: FinSAMoEConfig) -> PreTrainedModel:
    """The backbone in the mixture's own number format, read anew from where this one was.

    Raises:
        ModelError: If it is no longer there.
    """
    reference, place = config.backbone, str(backbone.name_or_path)
    try:
        found = load_backbone(place, dtype=reference["dtype"], device="cpu")
        same = fingerprint(found) == reference["fingerprint"]
    except ModelError:
        same = False
    if not same:
        held = str(backbone.dtype).removeprefix("torch.")
        raise ModelError(
            f"the backbone is held in {held}, kept in {reference['dtype']}, and cannot be read again from {place}; "
            "open the mixture with dtype='auto' to save it"
        )
    return found


def _check_place(folder: Path) -> None:
    """Refuse a folder in which a mixture's files would take the place of somebody's own."""
    theirs = sorted(OF_ONE_MODEL & {path.name for path in folder.iterdir()}) if folder.is_dir() else []
    if not theirs:
        return
    try:
        read_config(folder)
    except FinSAError:
        raise ModelError(
            f"{folder}: holds {theirs[0]}, which a mixture would take the place of, and is no mixture's folder itself; "
            "name another folder"
        ) from None


__all__ = ["load_mixture", "load_small_parts", "load_tokenizer", "read_config", "save_mixture", "small_parts"]
