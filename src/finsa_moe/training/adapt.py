"""A backbone trained whole on several tasks at once: auxiliary sets before the experts, a teacher's answers, or both.

Tasks and a backbone folder go in, a backbone folder of the same shape comes out, to train experts on. The tasks' heads
lie beside it, for `finsa_moe.training.answers`. It knows neither experts nor routing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from finsa_moe.config import AdaptConfig
from finsa_moe.data.encode import TextEncoder
from finsa_moe.errors import ConfigError
from finsa_moe.files import read_json, write
from finsa_moe.model.backbone import (
    fingerprint,
    last_hidden,
    load_backbone,
    load_tokenizer,
    ready_to_train,
    save_weights,
    set_dropout,
    text_encoder,
)
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.model.router import masked_mean
from finsa_moe.training import loop
from finsa_moe.training.batches import EncodedRows
from finsa_moe.training.device import training_device
from finsa_moe.training.expert import longest, prompt_for
from finsa_moe.training.heads import HEAD_FACTS, HEADS, start_heads
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import check_finished, check_own, finish
from finsa_moe.training.tasks import Split, Task, read_tasks
from finsa_moe.training.trainer import Stage


class TaskModel(nn.Module):
    """A backbone, masked-mean pooling, and one linear head a task, side by side in one matrix.

    Args:
        backbone: Trained whole, but for a pooler, which nothing reads: processes that average gradients wait for each.
        sizes: Classes of each task.
        dropout: On the pooled state.
    """

    def __init__(self, backbone: PreTrainedModel, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        if isinstance(pooler := getattr(backbone, "pooler", None), nn.Module):
            pooler.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        size = backbone.config.get_text_config().hidden_size
        self.head = nn.Linear(size, sum(sizes), device=backbone.device)
        self.widest = max(sizes)
        starts = np.cumsum([0, *sizes[:-1]])
        columns = [
            [start + min(at, count - 1) for at in range(self.widest)]
            for start, count in zip(starts, sizes, strict=True)
        ]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        real = torch.arange(self.widest)[None] < torch.tensor(list(sizes))[:, None]
        self.register_buffer("real", real, persistent=False)

    def gradient_checkpointing_enable(self, *_: Any) -> None:
        """Recompute layers in the backward pass."""
        self.backbone.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, input_ids: Tensor, attention_mask: Tensor, tasks: Tensor) -> Tensor:
        """Logits float32 (b, widest) of each text under its own task; those past a task's classes are -inf.

        Args:
            input_ids: int64 (b, t).
            attention_mask: int64 (b, t).
            tasks: int64 (b,).
        """
        pooled = self.dropout(masked_mean(last_hidden(self.backbone, input_ids, attention_mask), attention_mask))
        logits = self.head(pooled.to(self.head.weight.dtype)).float()
        columns, real = self.columns.to(tasks.device)[tasks], self.real.to(tasks.device)[tasks]  # type: ignore[index]
        own: Tensor = logits.gather(1, columns).masked_fill(~real, float("-inf"))
        return own


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of shares (b, c) under logits (b, c), of which -inf ones have no share."""
    logs = logits.log_softmax(dim=1)
    return -(targets * logs.masked_fill(targets == 0, 0.0)).sum(dim=1).mean()


def hide_tokens(input_ids: Tensor, rate: float, mask_id: int, special_ids: Sequence[int]) -> Tensor:
    """A copy of ids (b, t) in which each token but special ones is the mask token with probability `rate`."""
    drawn = torch.rand(input_ids.shape, device=input_ids.device) < rate
    special = torch.isin(input_ids, torch.tensor(list(special_ids), device=input_ids.device))
    return torch.where(drawn & ~special, mask_id, input_ids)


class TaskRows(EncodedRows):
    """Rows of several tasks; ``domains`` says which task, ``targets`` the share of each class, padded with zeros."""

    def __init__(self, parts: Sequence[Split], encoder: TextEncoder, widest: int) -> None:
        shares = [np.pad(part.targets, ((0, 0), (0, widest - part.targets.shape[1]))) for part in parts]
        targets, tasks = np.concatenate(shares), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        texts = chain.from_iterable(part.texts for part in parts)
        self._hold(encoder, texts, targets.argmax(axis=1), tasks, targets)


def adapt(
    backbone: str, out: Path, *, tasks: Mapping[str, Path], soft: Mapping[str, Path], settings: AdaptConfig,
    held_out: Sequence[str] = (), resume: bool = False, device: str | None = None, reading: Reading = USUAL,
) -> dict[str, Any]:  # fmt: skip
    """Train a backbone on tasks and write it.

    Args:
        backbone: Folder or hub name. Heads of an earlier `adapt` in it are where tasks of the same names begin.
        out: Folder of the trained backbone; ``run/`` in it keeps statistics and, while training, checkpoints.
        tasks: Labelled files or folders by name (`finsa_moe.training.tasks.read_tasks`).
        soft: Files of predictions by name.
        settings: The resolved configuration.
        held_out: Texts to be judged by later; rows equal or near to one are dropped.
        resume: Go on with the run in `out`; of a finished one its facts are given back.
        device: Torch device name.
        reading: Columns and classes by the user's own names (`finsa_moe.training.tasks.read_tasks`).

    Returns:
        The facts written to ``adapt.json``.

    Raises:
        DataError, ModelError, ConfigError: For files, a backbone or settings that cannot be used, or are not those that
            the run in `out` began with; ConfigError if `out` is the backbone, or holds a model that no run in it made;
            ModelError if training diverges.
    """
    finished = (out / HEAD_FACTS).exists()
    if finished and not resume:
        raise ConfigError(f"{out}: holds a finished backbone; name another --out, or remove it first")
    check_own(out, Path(backbone), begun=finished or (out / "run" / "checkpoints").exists())
    if not tasks and not soft:
        raise ConfigError("no task; give --task NAME=FILE or --soft NAME=FILE at least once")
    device = training_device(device)
    tokenizer = load_tokenizer(backbone)
    if settings.token_dropout and tokenizer.mask_token_id is None:
        raise ConfigError(f"{backbone}: its tokenizer has no mask token to hide tokens behind; set token_dropout=0")
    found = read_tasks(tasks, soft, held_out=held_out, seed=settings.seed, reading=reading)
    set_seed(settings.seed)
    network = ready_to_train(load_backbone(backbone, device=device, frozen=False))
    reference = fingerprint(network)
    if settings.dropout:
        set_dropout(network, settings.dropout)
    prompt = prompt_for(network)
    encoder = text_encoder(tokenizer, prompt=prompt, max_length=longest(network, settings.max_length))
    model = TaskModel(network, [len(task.classes) for task in found], settings.head_dropout)
    started = start_heads(model.head, {task.name: task.classes for task in found}, Path(backbone))

    def loss_of(module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        ids = batch["input_ids"]
        if settings.token_dropout and module.training:
            ids = hide_tokens(ids, settings.token_dropout, tokenizer.mask_token_id, tokenizer.all_special_ids)
        logits = module(ids, batch["attention_mask"], batch["domains"])
        return soft_cross_entropy(logits, batch["targets"]), {"logits": logits}

    stage = Stage(
        name="adapt", model=model, train=TaskRows([task.train for task in found], encoder, model.widest),
        valid=TaskRows([task.valid for task in found], encoder, model.widest), loss=loss_of, settings=settings,
        folder=out / "run", metrics=lambda p: _metrics(p.predictions, p.label_ids[0], p.label_ids[1], found),
        pad_id=encoder.pad_id, device=device, best="macro_f1",
    )  # fmt: skip
    inputs = {
        "tasks": ", ".join(task.name for task in found), "training rows": stage.train.mark(),
        "validation rows": stage.valid.mark(), "backbone": reference,
    }  # fmt: skip
    if finished:  # there is nothing left to do, but for what a kill after the last word left
        check_finished(stage.folder, settings, inputs)
        finish(stage.folder)
        return read_json(out / HEAD_FACTS)
    with loop.entered(stage.folder, settings, inputs, resume=resume):
        facts = loop.run(stage, resume=resume)
        facts |= {"heads": started, "prompt": prompt}
        facts["tasks"] = {
            task.name: {"rows": len(task.train), "names": list(task.classes), "dropped": task.dropped} for task in found
        }
        if settings.stored == "bfloat16":
            for weight in network.parameters():
                weight.data.copy_(weight.data.to(torch.bfloat16))
        processes = Processes()
        if processes.first:
            save_weights(network, out)
            tokenizer.save_pretrained(out)
            head = {name: value.detach().cpu().contiguous() for name, value in model.head.state_dict().items()}
            save_file(head, out / HEADS)
            settings.save(out / "adapt.yaml")
            write(out / HEAD_FACTS, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
            finish(stage.folder)
        processes.wait()
    return facts


def _metrics(logits: Any, labels: Any, tasks: Any, found: Sequence[Task]) -> dict[str, float]:
    """Accuracy and macro-F1 of each task, and the tasks' mean macro-F1, by which a checkpoint is chosen."""
    each: dict[str, float] = {}
    scores = []
    for at, task in enumerate(found):
        rows = np.asarray(tasks) == at
        polarity = loop.polarity_metrics(np.asarray(logits)[rows], np.asarray(labels)[rows])
        each |= {f"{task.name}_{name}": polarity[name] for name in ("accuracy", "macro_f1")}
        scores.append(polarity["macro_f1"])
    return {"macro_f1": float(np.mean(scores)), **each}
