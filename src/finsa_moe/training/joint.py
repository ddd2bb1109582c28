"""Stage 3: the router is warmed up on frozen experts, then router, heads and all experts are trained together.

`moe_init` and one prepared folder a domain go in; `router_warmup` and `moe_joint` come out. Domains are mixed split by
split, and the texts bear the same prompt, if any, that they will bear at inference.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import set_seed

from finsa_moe.config import JointConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.encode import TextEncoder
from finsa_moe.data.marks import Noted
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import read_json
from finsa_moe.model.backbone import load_tokenizer, ready_to_train, text_encoder
from finsa_moe.model.checkpoint import BUNDLE_LIMIT, EXPERTS, WEIGHTS, load_mixture, read_config, save_mixture
from finsa_moe.model.history import METRICS, SETTINGS
from finsa_moe.model.losses import balance_loss, routing_loss
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.reading import READING, USUAL, Reading
from finsa_moe.model.replay import write_replay
from finsa_moe.model.sketch import Sketch
from finsa_moe.training import loop, ngrams
from finsa_moe.training.batches import EncodedRows, Rows, read_split
from finsa_moe.training.device import training_device
from finsa_moe.training.probe import SEEN, drawn, states_of
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import check_finished, files_mark, finish
from finsa_moe.training.sharding import whole_state
from finsa_moe.training.trainer import LossOf, Stage
from finsa_moe.training.unlabelled import NO_CLASS, routing_rows

_UNSEEN = ("route_at", "scaling", "router_dropout", "head_dropout", "expert_dropout")
"""What a mixture's configuration says that its tensors do not show, and its training depends on."""
WARMUP, JOINT = "router_warmup", "moe_joint"


def train_joint(
    start: Path, data: Mapping[str, Path], out: Path, *, settings: JointConfig, resume: bool = False,
    device: str | None = None, reading: Reading = USUAL,
    unlabelled: Mapping[str, Path] | None = None, held_out: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Run both phases and write both mixtures.

    Args:
        start: The mixture that `merge` wrote.
        data: Prepared folder of each domain of the mixture.
        out: ``out/router_warmup`` and ``out/moe_joint`` are written; ``out/run`` keeps statistics.
        settings: The resolved configuration.
        resume: Go on with the run in `out`; of a finished one its statistics are given back.
        device: Torch device name.
        reading: Columns and classes by the user's own names, when the files were not made by ``finsa prepare``.
        unlabelled: A file of texts of each domain, to teach the router alone (`training.unlabelled`).
        held_out: Texts that the model is going to be judged by; training rows and unlabelled texts equal or near to one
            are dropped.

    Returns:
        The statistics of both phases.

    Raises:
        DataError: If a domain of the mixture has no data, or a data folder no domain.
        ConfigError: If `out` holds a run and `resume` is off, or one of other settings or inputs, or the device is none
            to train on.
        ModelError: If training diverges.
    """
    finished = (out / JOINT / METRICS).is_file()
    if finished and not resume:
        raise ConfigError(f"{out}: holds a finished run; name another --out, or remove it first")
    if not resume and any((out / name).exists() for name in ("run", WARMUP)):
        raise ConfigError(f"{out}: holds an unfinished run; add --resume to go on, or name another --out")
    device = training_device(device)
    warmed = (out / WARMUP / METRICS).is_file()
    if warmed:
        finish(out / "run" / WARMUP)
    config = read_config(start)
    domains = config.domains
    for option, given in (("--data NAME=DIR", data), ("--unlabelled NAME=FILE", unlabelled or data)):
        if odd := sorted(set(given) ^ set(domains)):
            word = "nothing given for" if odd[0] in domains else "no expert for"
            raise DataError(f"{start}: {word} domain {odd[0]}; give {option} once for each of {', '.join(domains)}")
    parts: dict[str, list[tuple[Rows, int]]] = {
        split: [(read_split(data[name], split, reading), index) for index, name in enumerate(domains)]
        for split in ("train", "valid")
    }
    whole = [len(rows.texts) for rows, _ in parts["train"]]
    held = HeldOut(held_out)
    parts["train"] = [(rows.apart(held), index) for rows, index in parts["train"]]
    dropped = {name: whole[at] - len(parts["train"][at][0].texts) for at, name in enumerate(domains)}
    tokenizer = load_tokenizer(start)
    encoder = text_encoder(tokenizer, prompt=config.prompt, max_length=config.max_tokens)
    noted = {name: Noted.of(place).as_dict() for name, place in data.items()}
    more = routing_rows(
        unlabelled or {}, most=settings.unlabelled_rows, held_out=held_out, seed=settings.seed,
        text=reading.columns.text,
    )  # fmt: skip
    teaching = [*parts["train"], *((rows, domains.index(name)) for name, rows in more.items())]
    train, valid = EncodedRows(teaching, encoder), EncodedRows(parts["valid"], encoder)
    counts = np.sum([rows.counts() for rows, _ in parts["train"]], axis=0).tolist()

    inputs = {
        "training rows": train.mark(), "validation rows": valid.mark(),
        "start": files_mark(start / WEIGHTS, start / EXPERTS), "backbone": str(config.backbone.get("fingerprint")),
        **{f"start's {name}": str(getattr(config, name)) for name in _UNSEEN},
    }  # fmt: skip
    facts = {name: read_json(out / name / METRICS) for name in (WARMUP, JOINT) if (out / name / METRICS).is_file()}
    if finished:  # there is nothing left to do, but for what a kill after the last word left
        check_finished(out / "run", settings, inputs)
        finish(out / "run" / JOINT)
        return facts
    model = load_mixture(out / WARMUP if warmed else start, device=device)
    ready_to_train(model.backbone)
    model.config.gate, model.router_ngrams = settings.gate, None
    seen = _seen(model, encoder, {name: parts["train"][index][0] for index, name in enumerate(domains)}, more)
    processes, fresh = Processes(), settings.warm_heads and model.heads.fresh

    def phase(name: str, phase_settings: JointConfig, soft_until: float) -> dict[str, Any]:
        def on_step(step: int, total: int) -> None:
            model.harden = phase_settings.gate == "hard" and step >= soft_until * total

        stage = Stage(
            name=name, model=model, train=train, valid=valid, loss=joint_loss(phase_settings, counts),
            metrics=_metrics, settings=phase_settings, folder=out / "run" / name, pad_id=encoder.pad_id,
            device=device, on_step=on_step,
            # over frozen experts with heads of their own all that a warm-up changes for good is where texts are sent
            best="routing_accuracy" if name == WARMUP and not fresh else "weighted_f1",
            rate="router_learning_rate" if name == WARMUP else "learning_rate",
        )  # fmt: skip
        facts = loop.run(stage, resume=resume)
        model.harden = False
        facts["data"] = noted
        facts[READING] = dict.fromkeys(noted, reading.as_dict())
        facts["held_out"] = dropped
        facts["unlabelled"] = {name: len(rows.texts) for name, rows in more.items()}
        facts["router_ngrams"] = 0 if model.router_ngrams is None else len(model.router_ngrams.keys)
        if name == JOINT and settings.router_ngrams and model.router_ngrams is None:
            facts["no_ngrams"] = ngrams.lacking([index for _, index in parts["train"]], domains)
        facts["domains"] = {d: len(rows.texts) for d, (rows, _) in zip(domains, parts["train"], strict=True)}
        backbone = whole_state(model, at_most=BUNDLE_LIMIT)

        def more_in(working: Path) -> None:
            write_replay(working, seen)
            settings.save(working / SETTINGS)
            (working / METRICS).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")

        if processes.first:
            save_mixture(model, out / name, tokenizer=tokenizer, backbone=backbone, more=more_in)
            finish(stage.folder)
        processes.wait()
        return facts

    with loop.entered(out / "run", settings, inputs, resume=resume):
        if not warmed and settings.router_steps:
            set_trained(model, experts=False, heads=settings.warm_heads)
            steps = min(settings.router_steps, settings.max_steps) if settings.max_steps > 0 else settings.router_steps
            warm = dataclasses.replace(
                settings, max_steps=steps, learning_rate=settings.router_learning_rate,
                warmup_steps=settings.router_warmup_steps,
            )  # fmt: skip
            facts[WARMUP] = phase(WARMUP, warm, soft_until=2.0)  # experts are frozen: nothing to harden for yet
        if settings.router_ngrams and processes.first:  # which saves; validation reports the network's router alone
            texts = [text for rows, _ in parts["train"] for text in rows.texts]
            places = [index for rows, index in parts["train"] for _ in rows.texts]
            model.router_ngrams = ngrams.fit_router(
                texts, places, settings.router_ngrams, experts=len(domains), seed=settings.seed
            )
        set_trained(model, experts=True)
        set_seed(settings.seed + 1)
        anew = dataclasses.replace(settings, seed=settings.seed + 1)
        facts[JOINT] = phase(JOINT, anew, soft_until=settings.harden_at)
    return facts


def _seen(
    model: FinSAMoE, encoder: TextEncoder, labelled: Mapping[str, Rows], more: Mapping[str, Rows]
) -> dict[str, Sketch]:
    """What the router reads of each domain; the frozen trunk makes it, so training does not change it."""
    sources = {name: [rows, more[name]] if name in more else [rows] for name, rows in labelled.items()}
    return {
        name: Sketch.of(torch.cat([states_of(model, encoder, drawn(rows, SEEN // len(parts))) for rows in parts]))
        for name, parts in sources.items()
    }


def set_trained(model: FinSAMoE, *, experts: bool, heads: bool = True) -> None:
    """Open the router to gradients, heads and experts when asked; the backbone never."""
    model.requires_grad_(False)
    model.router.requires_grad_(True)
    model.heads.requires_grad_(heads)
    model.bank.requires_grad_(experts)


def joint_loss(settings: JointConfig, counts: list[int]) -> LossOf:
    """Classification + routing_weight · routing + balance_weight · balance (docs/method.md, stage 3)."""
    classify = loop.classification_loss(settings, counts)

    def loss_of(module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        output = module(batch["input_ids"], batch["attention_mask"])
        known = batch["labels"] != NO_CLASS
        share = known.float().mean()  # a batch half without classes has half their loss
        # without a class a nought that reaches every weight: processes that average gradients each need one
        nought = output.logits.sum() * 0.0
        loss = (
            (classify(output.logits[known], batch["labels"][known]) * share if known.any() else nought)
            + settings.routing_weight * routing_loss(output.router_logits, batch["domains"])
            + settings.balance_weight * balance_loss(Processes().gathered(output.soft_gate))
        )
        return loss, {"logits": output.logits, "router_logits": output.router_logits}

    return loss_of


def _metrics(prediction: Any) -> dict[str, float]:
    logits, routed = prediction.predictions
    labels, domains = prediction.label_ids
    accuracy = float((np.asarray(routed).argmax(-1) == np.asarray(domains)).mean())
    return {**loop.polarity_metrics(logits, labels), "routing_accuracy": accuracy}
