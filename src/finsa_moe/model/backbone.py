"""A Hugging Face encoder or decoder as a frozen backbone: loading, and where its layers and projections are.

A folder or hub name goes in, a frozen `AutoModel` comes out, with what the rest needs to know of it found by looking,
not by a table of families. It knows nothing of experts or routing.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from finsa_moe import hub
from finsa_moe.data.encode import TextEncoder
from finsa_moe.errors import ModelError, require
from finsa_moe.model.device import usable_device

if not sys.stderr.isatty():
    disable_progress_bar()

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# docs/method.md, stage 1: q, v, o and the feed-forward projections, so every linear but a key projection of its own.
_KEY_PROJECTIONS = {"k_proj", "key", "k_lin", "k"}
_NEEDS = "the folder needs config.json, model.safetensors and tokenizer.json; restore what is missing or damaged"


def load_backbone(
    name: str, *, quantisation: str = "none", dtype: str = "float32", device: str | None = None, frozen: bool = True
) -> PreTrainedModel:
    """Load a backbone, in evaluation mode.

    Args:
        name: A local folder, or a hub name (the only case in which the network is used).
        quantisation: ``"nf4"`` loads the linears in 4 bits with double quantisation and bf16 compute
            (Dettmers et al. 2023), else ``"none"``.
        dtype: ``"float32"`` or ``"bfloat16"``.
        device: Torch device; None picks a GPU when there is one.
        frozen: Whether to freeze it (`freeze`); else it keeps its gradients and the dropout of its configuration.

    Raises:
        ModelError: If it cannot be found or read.
        ConfigError: If there is no such device.
        MissingExtra: If 4 bits are asked for without bitsandbytes.
    """
    options: dict[str, Any] = {"dtype": DTYPES[dtype]}
    target = usable_device(device)
    if quantisation == "nf4":
        require("bitsandbytes", "qlora", "a 4-bit backbone")
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )  # fmt: skip
        options["device_map"] = {"": target}
    with hub.found(name, f"backbone {name}: cannot be loaded", _NEEDS) as here:
        options |= {"local_files_only": here, "adapter_kwargs": {"local_files_only": here}}
        model: PreTrainedModel = AutoModel.from_pretrained(name, **options)
    if quantisation == "none":
        model.to(target)  # type: ignore[arg-type]
    for module in model.modules():
        # bitsandbytes 0.50 repacks 4-bit weights in an evaluation on CPUs with AVX512-BF16, for good, and the kernel
        # for them lets no gradient through: the experts below would learn from next to nothing, without a word.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    if frozen:
        freeze(model)
    return model


def check_backbone(name: str) -> None:
    """See, without loading its weights, that a backbone is there: what is missing is told before hours of other work.

    Of a folder the configuration and the head of every safetensors file are read, of a hub name the configuration.

    Args:
        name: As `load_backbone` takes it.

    Raises:
        ModelError: If there is no such folder, or it holds no backbone.
    """
    folder = Path(name)
    with hub.found(name, f"backbone {name}: cannot be loaded", _NEEDS) as here:
        AutoConfig.from_pretrained(name, local_files_only=here)
        if folder.is_dir():
            files = [file for kind in ("*.safetensors", "pytorch_model*.bin") for file in sorted(folder.glob(kind))]
            if not files:
                raise ModelError("no weights in it")
            for file in files:
                if file.suffix == ".safetensors":
                    with safe_open(file, "pt"):  # the head names the file's size, so a file cut short is found too
                        pass


def save_weights(backbone: PreTrainedModel, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write a backbone's folder, in half the size where every weight is a bfloat16 number and loses nothing.

    Args:
        backbone: The network.
        folder: Where it goes.
        state: Its tensors by name, where those in the network are not whole.
    """
    state = dict(state or backbone.state_dict())
    short = {name: value.to(torch.bfloat16) if value.is_floating_point() else value for name, value in state.items()}
    exact = all(torch.equal(short[name].to(value.dtype), value) for name, value in state.items())
    backbone.save_pretrained(folder, state_dict=short if exact else state)


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Load the fast tokenizer that belongs to a backbone or a mixture.

    Raises:
        ModelError: If there is none, or it has no fast (`tokenizers`) form.
    """
    with hub.found(str(name), f"{name}: no readable tokenizer", _NEEDS) as here:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, local_files_only=here)
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # transformers makes up an empty one
            raise ModelError("it has no words")
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(f"{name}: its tokenizer has no fast form (tokenizer.json); convert it with transformers first")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def text_encoder(tokenizer: PreTrainedTokenizerBase, *, prompt: str = "none", max_length: int = 512) -> TextEncoder:
    """What encodes texts as a backbone's own tokenizer does, with its id for padding.

    Raises:
        ConfigError: If the prompt alone does not fit into `max_length`.
    """
    return TextEncoder(
        tokenizer.backend_tokenizer, prompt=prompt, max_length=max_length, pad_id=int(tokenizer.pad_token_id)
    )


def freeze(module: nn.Module) -> None:
    """Switch gradients and dropout off, the latter in training mode too: recomputing layers needs that mode."""
    module.requires_grad_(False)
    module.eval()
    set_dropout(module, 0.0)


def set_dropout(module: nn.Module, rate: float) -> None:
    """One rate for every dropout in a network, as layers or as numbers."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = rate
        for name, value in vars(part).items():  # Llama and its kin keep attention's dropout as a number
            if "dropout" in name and isinstance(value, float):
                setattr(part, name, rate)


def ready_to_train(backbone: PreTrainedModel) -> PreTrainedModel:
    """The backbone with the attention that trains fastest where it stands.

    On a CPU an encoder's is the plain one: the fused kernel's backward pass is slow on texts this short, 1.25 times the
    step of an expert and 1.4 times that of pre-training (EXPERIMENTS.md).
    """
    if backbone.device.type == "cpu" and not is_causal(backbone):
        backbone.set_attn_implementation("eager")
    return backbone


def layer_stack(backbone: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Path and module list of the transformer layers.

    Raises:
        ModelError: If it is an encoder with a decoder, or no module list has as many entries as the config has layers.
    """
    if backbone.config.is_encoder_decoder:
        raise ModelError(f"{backbone.config.model_type}: an encoder with a decoder; take one of either kind")
    depth = backbone.config.get_text_config().num_hidden_layers
    for path, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return path, module
    raise ModelError(f"{backbone.config.model_type}: no stack of {depth} layers found; this family is not supported")


def route_layer(backbone: PreTrainedModel, route_at: float) -> int:
    """Index of the layer at whose entry the router reads, for a fraction of the depth below 1."""
    depth = len(layer_stack(backbone)[1])
    return min(round(route_at * depth), depth - 1)


def first_expert_layer(backbone: PreTrainedModel, route_at: float) -> int:
    """Lowest layer that may hold experts; with ``route_at`` 1.0, the paper's form, all layers do."""
    return 0 if route_at >= 1.0 else route_layer(backbone, route_at)


def expert_targets(backbone: PreTrainedModel, route_at: float = 0.0) -> list[str]:
    """Full names of the linears that get an expert: q, v, o and feed-forward, fused or not, from the route up.

    Raises:
        ModelError: If there is none.
    """
    path, layers = layer_stack(backbone)
    names = []
    for index in range(first_expert_layer(backbone, route_at), len(layers)):
        for name, module in layers[index].named_modules():
            if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] not in _KEY_PROJECTIONS:
                names.append(f"{path}.{index}.{name}")
    if not names:
        raise ModelError(f"{backbone.config.model_type}: its layers have no torch.nn.Linear; take another")
    return names


def is_causal(backbone: PreTrainedModel) -> bool:
    """Whether it is a decoder, whose first tokens have seen nothing; such a backbone gets a prompt by default.

    Attention says so itself, in a hybrid that of some layers only. Where no layer says anything (BLOOM, MPT), it is one
    if transformers has it write texts but not fill gaps.
    """
    _, layers = layer_stack(backbone)
    said = [module.is_causal for module in layers.modules() if hasattr(module, "is_causal")]
    if said:
        return any(said)
    config = backbone.config.get_text_config()
    writes, fills = (
        config.model_type in names for names in (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    )
    return writes and not fills and getattr(config, "attn_type", None) != "bi"  # XLNet's word for its own attention


def last_hidden(backbone: nn.Module, ids: Tensor, mask: Tensor | None) -> Tensor:
    """Last hidden states (batch, length, d) of one pass over ids and mask, int64 (batch, length).

    The padding side never matters to it, and a decoder keeps no cache.

    Args:
        backbone: An `AutoModel`, as loaded or with peft's layers in it.
        ids: Token ids, padded on either side.
        mask: 1 for real tokens; None when nothing is padded.
    """
    assert isinstance(backbone, PreTrainedModel)
    extra: dict[str, Any] = position_ids(backbone, torch.ones_like(ids) if mask is None else mask)
    if hasattr(backbone.config.get_text_config(), "use_cache"):
        extra["use_cache"] = False
    hidden: Tensor = backbone(input_ids=ids, attention_mask=mask, **extra).last_hidden_state
    return hidden


def position_ids(backbone: PreTrainedModel, mask: Tensor) -> dict[str, Tensor]:
    """Positions that count real tokens only, int64 (batch, length); empty for a backbone that takes none."""
    if "position_ids" not in inspect.signature(backbone.forward).parameters:
        return {}
    count, offset = mask.long().cumsum(1), position_offset(backbone)
    # RoBERTa leaves its padding index to padding
    return {"position_ids": count * mask + offset - 1 if offset else (count - 1).clamp(min=0)}


def position_offset(backbone: PreTrainedModel) -> int:
    """Position of the first real token: 0, but for RoBERTa and its kin, which count from their padding index."""
    embeddings = getattr(backbone, "embeddings", None)
    if embeddings is not None and hasattr(embeddings, "create_position_ids_from_input_ids"):
        return int(embeddings.padding_idx) + 1
    return 0


def fingerprint(backbone: PreTrainedModel) -> str:
    """A short hash by which a backbone is known again, the same for any dtype or quantisation of it.

    Taken over the shape of the config and 256 samples of each weight that quantisation leaves alone (embeddings, norms,
    biases), rounded to bf16. The linears' matrices have no part in it: two backbones that differ in those alone, as
    where only linears without biases were trained on, have the same hash.
    """
    config = backbone.config.get_text_config()
    facts = [config.model_type, config.hidden_size, config.num_hidden_layers, config.vocab_size]
    digest = hashlib.sha256(repr(facts).encode())
    linears = {id(m.weight) for m in backbone.modules() if isinstance(m, nn.Linear)}
    for name, parameter in sorted(backbone.named_parameters(), key=lambda item: item[0]):
        if id(parameter) in linears:
            continue
        flat = parameter.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 256)][:256].to("cpu", torch.bfloat16)
        digest.update(name.encode() + sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]
