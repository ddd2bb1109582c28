"""What training an expert will take, before it is begun: parameters, bytes, tokens a second on this device, hours.

A backbone's ``config.json`` and the rows to train on suffice; its weights are never loaded. Parameters are counted on a
model without storage; time and activations are measured on two of its layers with random weights, run here: what a
layer with an expert takes, and what a frozen one below the route.
"""

from __future__ import annotations

import dataclasses
import gc
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from finsa_moe import hub
from finsa_moe.config import ExpertConfig
from finsa_moe.model.backbone import (
    DTYPES,
    expert_targets,
    first_expert_layer,
    layer_stack,
    load_backbone,
    load_tokenizer,
    ready_to_train,
    text_encoder,
)
from finsa_moe.model.device import usable_device
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.polarity import NAMES
from finsa_moe.training.batches import Rows, read_split, steps_of
from finsa_moe.training.expert import ExpertModel, longest, prompt_for

NF4_BYTES = 0.5 + (1 + 4 / 256) / 64
"""Bytes of a weight in NF4: four bits, for 64 weights a byte of scale, for 256 scales four bytes more (Dettmers et al.
2023, section 3: double quantisation)."""
WORDS = 512
"""Rows of the probe's embedding; a look-up costs the same in one of 150,000."""
_TURNS = 3
_Cost = tuple[float, float, float]


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        parameters: Of the backbone.
        trained: Of these and the expert's, those that are trained.
        weight_bytes: The backbone and the expert as they lie in memory.
        optimizer_bytes: Gradients and both moments of what is trained, in float32.
        activation_bytes: What a micro-batch of the widest rows keeps for the backward pass.
        tokens: Of an epoch, padding counted.
        tokens_per_second: Of training steps on this device.
        steps: Optimiser steps of the whole run.
        hours: Of the whole run, evaluations left out.
        device: Where it was measured.
    """

    parameters: int
    trained: int
    weight_bytes: float
    optimizer_bytes: float
    activation_bytes: float
    tokens: int
    tokens_per_second: float
    steps: int
    hours: float
    device: str

    @property
    def memory_bytes(self) -> float:
        """All three together; the libraries themselves take 0.6 GiB beside."""
        return self.weight_bytes + self.optimizer_bytes + self.activation_bytes

    def lines(self) -> list[str]:
        """What to print."""
        share = 100 * self.trained / (self.parameters + self.trained)
        parts = (self.weight_bytes, self.optimizer_bytes, self.activation_bytes)
        weights, optimizer, activations = (f"{part / 2**30:.2f}" for part in parts)
        return [
            f"parameters   {self.parameters:,}, trained {self.trained:,} ({share:.2f} %)",
            f"memory       {self.memory_bytes / 2**30:.2f} GiB: weights {weights}, gradients, optimiser {optimizer}, "
            f"activations of the widest batch {activations}; the libraries beside take 0.6 GiB, and a CPU's allocator "
            "holds about as much again in gaps between batches of many lengths",
            f"speed        {self.tokens_per_second:,.0f} tokens a second on {self.device}, from steps of two layers",
            f"time         {self.steps:,} steps, {self.tokens:,} tokens an epoch: {self.hours:.2f} hours, "
            "evaluations left out",
        ]


def estimate_expert(
    data: Path, *, backbone: str, settings: ExpertConfig, device: str | None = None, reading: Reading = USUAL,
) -> Estimate:  # fmt: skip
    """Estimate stage 1.

    Args:
        data: Folder with ``train.csv``.
        backbone: A folder or hub name; only its ``config.json`` and its tokenizer are read.
        settings: The resolved configuration.
        device: Torch device; None picks a GPU when there is one.
        reading: Columns and classes by the user's own names, when the files were not made by ``finsa prepare``.

    Raises:
        DataError, ModelError: For rows or a backbone that cannot be read.
        ConfigError: If there is no such device.
    """
    where = usable_device(device)
    rows_read = read_split(data, "train", reading)
    with hub.found(backbone, f"backbone {backbone}: no readable config.json", "name a folder or a hub name") as here:
        config = AutoConfig.from_pretrained(backbone, local_files_only=here)
    config = config.get_text_config()
    with torch.device("meta"):
        empty = AutoModel.from_config(config)
    parameters, trained, weights = _counted(empty, settings)
    widths = _widths(rows_read, backbone, empty, settings)
    depth: int = config.num_hidden_layers
    rows = settings.batch_size
    typical = int(widths[len(widths) // 2])
    frozen = first_expert_layer(empty, settings.route_at)
    tokens = rows * typical

    def probe(layers: int, route_at: float) -> _Cost:
        there = dataclasses.replace(settings, route_at=route_at)
        with tempfile.TemporaryDirectory() as folder:
            return _probe(config, layers, Path(folder), there, where, rows, typical)

    one, two = probe(1, 0.0), probe(2, 0.0)
    below = probe(2, 0.5) if frozen else one  # its first layer frozen

    def summed(at: int) -> float:  # what is no layer, and all layers
        return one[at] + (depth - 1 - frozen) * max(0.0, two[at] - one[at]) + frozen * max(0.0, below[at] - one[at])

    step, per_token = summed(0), summed(1) / tokens
    if settings.gradient_checkpointing:  # while a layer is computed anew, its own are there as well
        per_token += two[2] / tokens
    total = int(widths.sum())
    steps = steps_of(settings, len(widths))
    share = steps * rows * settings.gradient_accumulation / len(widths)
    return Estimate(
        parameters, trained, weights, 12.0 * trained, per_token * rows * int(widths[-1]), total, tokens / step, steps,
        share * total * step / tokens / 3600, where,
    )  # fmt: skip


def _widths(rows: Rows, backbone: str, empty: PreTrainedModel, settings: ExpertConfig) -> np.ndarray[Any, Any]:
    """Tokens of the rows as they will be padded among rows of like length, ascending."""
    prompt = prompt_for(empty, settings.prompt)
    encoder = text_encoder(load_tokenizer(backbone), prompt=prompt, max_length=longest(empty, settings.max_length))
    lengths = np.sort(np.diff(encoder.packed(rows.texts)[1]))
    return -(-lengths // 8) * 8


def _counted(empty: PreTrainedModel, settings: ExpertConfig) -> tuple[int, int, float]:
    """Parameters of the backbone, those trained, and bytes of all weights."""
    nf4 = settings.quantisation == "nf4"
    size = DTYPES[settings.dtype].itemsize
    stack, _ = layer_stack(empty)
    trained, weights, parameters = 0, 0.0, 0
    targets = set(expert_targets(empty, settings.route_at))
    for name, module in empty.named_modules():
        own = sum(p.numel() for p in module.parameters(recurse=False))
        parameters += own
        four = nf4 and isinstance(module, nn.Linear) and name.startswith(stack)
        weights += own * (NF4_BYTES if four else size)
        if name in targets:
            assert isinstance(module, nn.Linear)
            trained += settings.rank * (module.in_features + module.out_features)
    trained += len(NAMES) * (empty.config.get_text_config().hidden_size + 1)
    return parameters, trained, weights + 4.0 * trained


def _probe(config: Any, layers: int, folder: Path, settings: ExpertConfig, device: str, rows: int, width: int) -> _Cost:
    """Seconds of a training step of so many layers, bytes it keeps, and bytes of one layer computed anew."""
    small = type(config).from_dict({**config.to_dict(), **_shallow(config, layers)})
    torch.manual_seed(0)
    AutoModel.from_config(small, dtype=DTYPES[settings.dtype]).save_pretrained(folder)
    network = load_backbone(str(folder), quantisation=settings.quantisation, dtype=settings.dtype, device=device)
    model = ExpertModel(ready_to_train(network), settings).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith("head."))
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    ids = torch.randint(4, WORDS, (rows, width), device=device)
    mask, whole = torch.ones_like(ids), [0.0]
    classes = torch.zeros(rows, dtype=torch.int64, device=device)

    def step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=settings.bf16):
            logits = model(ids, mask)
        torch.autograd.backward(nn.functional.cross_entropy(logits.float(), classes))
        optimizer.step()
        optimizer.zero_grad()

    kept = _kept(step, model)
    if settings.gradient_checkpointing:
        model.backbone.gradient_checkpointing_disable()
        whole = [_kept(step, model) / layers]
        model.gradient_checkpointing_enable()
    seconds = []
    for _ in range(_TURNS):
        _wait(device)
        began = time.perf_counter()
        step()
        _wait(device)
        seconds.append(time.perf_counter() - began)
    gc.collect()
    return min(seconds), kept, whole[0]


def _shallow(config: Any, layers: int) -> dict[str, Any]:
    """What a config of fewer layers has to say anew."""
    said: dict[str, Any] = {"num_hidden_layers": layers, "vocab_size": WORDS, "pad_token_id": 0}
    kinds = getattr(config, "layer_types", None)
    if kinds:
        said["layer_types"] = list(kinds[:layers])
    return said


def _kept(step: Any, model: nn.Module) -> float:
    """Bytes that a step's forward pass keeps for the way back, each storage once, weights left out."""
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    known |= {b.untyped_storage().data_ptr() for b in model.buffers()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return float(sum(seen.values()))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
