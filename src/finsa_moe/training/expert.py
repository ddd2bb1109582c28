"""Stage 1: one LoRA expert for one domain on the frozen backbone, trained and saved with plain peft.

A prepared data folder and a backbone go in; an adapter folder that peft alone can load comes out, its linear head
beside it. It knows one domain only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from peft import (
    LoraConfig,
    TaskType,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from finsa_moe.config import ExpertConfig
from finsa_moe.data.domains import check_domain
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.ngrams import EXPERT_TABLE, NGrams
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.files import read_json
from finsa_moe.model.adapter import ADAPTER, EXPERT_FACTS, HEAD, Expert, in_order, read_expert, write_head
from finsa_moe.model.backbone import (
    expert_targets,
    fingerprint,
    first_expert_layer,
    is_causal,
    last_hidden,
    load_backbone,
    load_tokenizer,
    position_offset,
    ready_to_train,
    text_encoder,
)
from finsa_moe.model.checkpoint import lasting_name
from finsa_moe.model.history import METRICS, SETTINGS
from finsa_moe.model.reading import USUAL, Reading
from finsa_moe.model.router import masked_mean
from finsa_moe.polarity import NAMES
from finsa_moe.training import loop, ngrams
from finsa_moe.training.batches import EncodedRows, Rows, read_split
from finsa_moe.training.device import training_device
from finsa_moe.training.heads import mean_head
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import check_finished, check_own, files_mark, finish, same_inputs
from finsa_moe.training.trainer import Stage


class ExpertModel(nn.Module):
    """A peft model over the backbone, masked-mean pooling and one linear head.

    Args:
        backbone: A loaded, frozen backbone; peft wraps it in place.
        settings: Rank, alpha, dropout and route of the expert.
        targets: Full names of the linears to adapt; None takes those of the route (`expert_targets`).
    """

    def __init__(self, backbone: PreTrainedModel, settings: ExpertConfig, targets: Sequence[str] | None = None) -> None:
        super().__init__()
        lora = LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, bias="none",
            target_modules=list(targets or expert_targets(backbone, settings.route_at)),
            task_type=TaskType.FEATURE_EXTRACTION,
        )  # fmt: skip
        self.depth = first_expert_layer(backbone, settings.route_at)
        self.peft = get_peft_model(backbone, lora)
        size = backbone.config.get_text_config().hidden_size
        self.dropout = nn.Dropout(settings.head_dropout)
        self.head = nn.Linear(size, len(NAMES), device=backbone.device)

    @property
    def backbone(self) -> PreTrainedModel:
        """The backbone below the adapter."""
        return cast(PreTrainedModel, self.peft.base_model.model)

    def gradient_checkpointing_enable(self, *_: Any) -> None:
        """Recompute layers in the backward pass."""
        self.backbone.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Class logits (batch, 3) of ids and mask (batch, length)."""
        hidden = last_hidden(self.backbone, input_ids, attention_mask)
        pooled = self.dropout(masked_mean(hidden, attention_mask))
        logits: Tensor = self.head(pooled.to(self.head.weight.dtype))
        return logits


def train_expert(
    domain: str, data: Path, out: Path, *, backbone: str, settings: ExpertConfig, resume: bool = False,
    device: str | None = None, reading: Reading = USUAL,
    start: Path | None = None, heads: Sequence[str] = (), tokenizer_from: Path | None = None,
    targets: Sequence[str] | None = None, held_out: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Train one expert and write its folder.

    Args:
        domain: Name of the domain; the mixture will call the expert by it.
        data: Folder with ``train.csv`` and ``valid.csv``.
        out: Folder of the expert; ``run/`` in it keeps statistics and, while training, checkpoints.
        backbone: Folder or hub name.
        settings: The resolved configuration.
        resume: Go on with the run in `out`; of a finished one its statistics are given back.
        device: Torch device name.
        reading: Columns and classes by the user's own names, when the files were not made by ``finsa prepare``.
        start: Folder of an expert on the same backbone to start from; None starts from an update of zero. Its table of
            n-grams stays where it is of the same domain and the settings ask for no new one.
        heads: Tasks of `finsa adapt`, which trained the backbone: the mean of their heads is the head to start from.
        tokenizer_from: Folder of the tokenizer, where the backbone's own has none (as in a mixture).
        targets: Full names of the linears to adapt; None takes those of the route.
        held_out: Texts that the model is going to be judged by; training rows equal or near to one are dropped.

    Returns:
        The statistics written to ``metrics.json``.

    Raises:
        DataError, ModelError, ConfigError: For data, a backbone or settings that cannot be used, or are not those that
            the run in `out` began with; ConfigError if `out` holds a model that no run in it made; ModelError if
            training diverges.
    """
    check_domain(domain)
    finished = (out / EXPERT_FACTS).exists()
    if finished and not resume:
        raise ConfigError(f"{out}: holds a finished expert; name another --out, or remove it first")
    if finished:
        same_inputs(out / EXPERT_FACTS, read_json(out / EXPERT_FACTS), {"domain": domain})
    check_own(out, Path(backbone), begun=finished or (out / "run" / "checkpoints").exists())
    device = training_device(device)
    train, valid = (read_split(data, split, reading) for split in ("train", "valid"))
    train = train.apart(HeldOut(held_out))
    _check_classes(train)
    set_seed(settings.seed)
    network = ready_to_train(
        load_backbone(backbone, quantisation=settings.quantisation, dtype=settings.dtype, device=device)
    )
    tokenizer = load_tokenizer(tokenizer_from or backbone)
    prompt = prompt_for(network, settings.prompt)
    encoder = text_encoder(tokenizer, prompt=prompt, max_length=longest(network, settings.max_length))
    reference = {
        "name": backbone, "fingerprint": fingerprint(network),
        "quantisation": settings.quantisation, "dtype": settings.dtype,
    }  # fmt: skip
    reference["name"] = lasting_name(reference, network)
    set_seed(settings.seed)
    model = ExpertModel(network, settings, targets)
    begun: Expert | None = None
    if heads:
        model.head.load_state_dict(mean_head(Path(backbone), heads))
    if start is not None:
        begun = _start_from(model, start, reference["fingerprint"])
    loss = loop.classification_loss(settings, train.counts())

    def loss_of(module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        logits = module(batch["input_ids"], batch["attention_mask"])
        return loss(logits, batch["labels"]), {"logits": logits}

    stage = Stage(
        name=f"expert:{domain}", model=model, train=EncodedRows([(train, 0)], encoder),
        valid=EncodedRows([(valid, 0)], encoder), loss=loss_of, settings=settings, folder=out / "run",
        metrics=lambda p: loop.polarity_metrics(p.predictions, p.label_ids[0]), pad_id=encoder.pad_id, device=device,
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith("head."))
    files = [start / name for name in (ADAPTER, HEAD, EXPERT_TABLE)] if start else []
    begun_with = [file for file in files if file.is_file()]
    inputs = {
        "domain": domain, "training rows": stage.train.mark(), "validation rows": stage.valid.mark(),
        "backbone": reference["fingerprint"], "heads": ", ".join(heads),
        "start": files_mark(*begun_with) if begun_with else "",
    }  # fmt: skip
    if finished:  # there is nothing left to do, but for what a kill after the last word left
        check_finished(stage.folder, settings, inputs)
        finish(stage.folder)
        return read_json(out / METRICS)
    with loop.entered(stage.folder, settings, inputs, resume=resume):
        facts = loop.run(stage, resume=resume)
        facts |= {"domain": domain, "backbone": reference, "prompt": prompt, "max_tokens": encoder.max_length}
        if heads:
            facts["heads"] = list(heads)
        facts |= {"lowest_layer": model.depth, "classes": dict(zip(NAMES, train.counts(), strict=True))}
        processes = Processes()
        if processes.first:
            most = settings.ngrams
            if most:
                table = ngrams.fit(train.texts, train.labels, most, seed=settings.seed)
            else:  # another domain's n-grams would add to its answers what its rows never taught
                table = begun.ngrams if begun and begun.facts.get("domain") == domain else None
            facts["ngrams"] = 0 if table is None else len(table.keys)
            if most and table is None:
                facts["no_ngrams"] = ngrams.lacking(train.labels, NAMES)
            _write(model, out, facts, settings, tokenizer, table)
            finish(stage.folder)
        processes.wait()
    return facts


def _start_from(model: ExpertModel, folder: Path, fingerprint_: str) -> Expert:
    """Fill adapter and head from another expert's folder, which is given back."""
    expert = read_expert(folder, model.backbone)
    ours = cast(LoraConfig, model.peft.peft_config["default"])
    if (found := expert.facts.get("backbone", {}).get("fingerprint", fingerprint_)) != fingerprint_:
        raise ModelError(f"{folder}: trained over another backbone ({found}, not {fingerprint_}); start from another")
    wanted = {key for key in get_peft_model_state_dict(model.peft) if ".lora_" in key}
    if expert.rank != ours.r or set(expert.state) != wanted:
        raise ModelError(
            f"{folder}: rank {expert.rank} on {len(expert.state) // 2} linears, to train is rank {ours.r} on "
            f"{len(wanted) // 2}; set rank and route_at to the folder's"
        )
    ratio = expert.scaling / (ours.lora_alpha / ours.r)  # another alpha: the update s · B A stays the same
    state = {key: tensor * ratio if ".lora_B." in key else tensor for key, tensor in expert.state.items()}
    set_peft_model_state_dict(model.peft, state)
    if expert.head is not None:
        model.head.load_state_dict(expert.head)
    return expert


def prompt_for(backbone: PreTrainedModel, asked: str = "auto") -> str:
    """The prompt asked for; ``auto`` gives a decoder the neutral one, since its first tokens have seen nothing."""
    return asked if asked != "auto" else ("neutral" if is_causal(backbone) else "none")


def longest(backbone: PreTrainedModel, wanted: int) -> int:
    """The wanted length, or what the backbone's learnt positions allow when that is less."""
    limit: int = getattr(backbone.config.get_text_config(), "max_position_embeddings", wanted)
    return min(wanted, limit - position_offset(backbone))


def _check_classes(rows: Rows) -> None:
    present = [name for name, count in zip(NAMES, rows.counts(), strict=True) if count]
    if len(present) < 2:
        raise DataError(
            f"{rows.file}: all {len(rows.texts)} rows are {present[0]}; an expert needs two classes at least"
        )


def _write(
    model: ExpertModel, out: Path, facts: dict[str, Any], settings: ExpertConfig, tokenizer: Any, table: NGrams | None
) -> None:
    """Write the expert beside and move its files in; ``expert.json`` comes last and marks the folder as whole."""
    for left in out.glob(".tmp*"):  # by a killed process
        shutil.rmtree(left)
    working = out / f".tmp{os.getpid()}"
    in_order(cast(LoraConfig, model.peft.peft_config["default"]))
    model.peft.save_pretrained(str(working))
    (working / "README.md").unlink(missing_ok=True)  # peft's empty card
    write_head(working, {"weight": model.head.weight, "bias": model.head.bias}, facts, table)
    settings.save(working / SETTINGS)
    tokenizer.save_pretrained(working)
    (working / METRICS).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
    for file in sorted(working.iterdir(), key=lambda path: path.name == EXPERT_FACTS):
        os.replace(file, out / file.name)
    working.rmdir()
