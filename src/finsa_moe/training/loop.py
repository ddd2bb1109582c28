"""What the supervised stages share: the Trainer's set-up, checkpoints of what is trained, resume, statistics.

A stage brings a model, rows and a loss; this module runs a Trainer over them so that a run killed at any moment resumes
to the same end. It knows neither experts nor routing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from finsa_moe.config import PolarityConfig, TrainConfig
from finsa_moe.errors import ConfigError, MissingExtra, closest
from finsa_moe.model.losses import AdaptiveBalancedLoss
from finsa_moe.training.batches import Collator, steps_of
from finsa_moe.training.device import peak_memory
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import at_work, ended, forget_after, keep_inputs, keep_settings, newest_checkpoint
from finsa_moe.training.sharding import shard_backbone
from finsa_moe.training.trainer import Stage, StageTrainer, Statistics


@contextmanager
def entered(folder: Path, settings: TrainConfig, inputs: Mapping[str, str], *, resume: bool) -> Iterator[None]:
    """Hold a command's run folder while the block runs, once all that its user gave has been read and found good.

    Args:
        folder: The folder.
        settings: The resolved configuration.
        inputs: A mark by the name of each input but the settings.
        resume: Whether to go on with the run that it holds.

    Raises:
        ConfigError: If it holds an unfinished run and `resume` is off, or one of other settings or inputs, or one that
            another process is at; if a tracker is unknown.
        MissingExtra: If a tracker is not installed.
        DataError: If there is no room for what the block writes.
    """
    if not resume and any(folder.glob("**/checkpoints")):
        raise ConfigError(f"{folder}: holds an unfinished run; add --resume to go on, or name another --out")
    _check_trackers(settings.trackers)
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise ConfigError(
            "accelerate's own sharding would cut what is trained; launch with a DDP configuration such as "
            "configs/accelerate/gpus.yaml and add --set shard_backbone=true"
        )
    processes = Processes()
    processes.rows_each(settings.batch_size)
    processes.wait()  # all have looked before the first writes
    with at_work(folder, first=processes.first):
        if processes.first:
            keep_settings(folder, settings, resume=resume)
            keep_inputs(folder, inputs, resume=resume)
        processes.wait()
        yield


def run(stage: Stage, *, resume: bool = False) -> dict[str, Any]:
    """Train one stage to its end and leave its best weights in the model.

    Args:
        stage: What to train.
        resume: Go on from the newest whole checkpoint in the stage's folder, or start when there is none.

    Returns:
        ``steps``, ``best_step``, ``train_loss``, ``wall_seconds``, ``peak_memory_mb`` and the best evaluation.

    Raises:
        ModelError: If training diverged.
    """
    settings, checkpoints = stage.settings, stage.folder / "checkpoints"
    processes = Processes()
    with processes.in_turn():  # the first removes what a kill cut short
        newest = newest_checkpoint(checkpoints) if resume else None
    statistics = Statistics(stage)
    if processes.first:
        stage.folder.mkdir(parents=True, exist_ok=True)
        forget_after(statistics.path, int(newest.name.rsplit("-", 1)[1]) if newest else 0)
    processes.wait()
    set_seed(settings.seed)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(stage.folder / "tensorboard")
    every = max(1, min(settings.eval_steps, steps_of(settings, len(stage.train))))
    arguments = TrainingArguments(
        output_dir=str(checkpoints), seed=settings.seed, data_seed=settings.seed,
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, warmup_steps=settings.warmup_steps,
        lr_scheduler_type="linear", max_grad_norm=1.0,
        num_train_epochs=settings.epochs, max_steps=settings.max_steps,
        per_device_train_batch_size=processes.rows_each(settings.batch_size), ddp_find_unused_parameters=False,
        per_device_eval_batch_size=settings.eval_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation, bf16=settings.bf16,
        eval_strategy="steps", eval_steps=every, save_strategy="steps", save_steps=every, save_total_limit=2,
        load_best_model_at_end=True, metric_for_best_model=f"eval_{stage.best}", greater_is_better=True,
        logging_steps=settings.log_steps, logging_nan_inf_filter=False, report_to=list(settings.trackers) or "none",
        disable_tqdm=not sys.stderr.isatty(), remove_unused_columns=False, label_names=["labels", "domains"],
        restore_callback_states_from_checkpoint=True, dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=(stage.device or "").startswith("cpu") or not torch.cuda.is_available(),
    )  # fmt: skip
    if arguments.n_gpu > 1:  # else it spreads each batch over all GPUs that are seen, and takes as many rows for each
        arguments._n_gpu = 1
    if settings.gradient_checkpointing:
        stage.model.gradient_checkpointing_enable()  # type: ignore[operator]
    if settings.shard_backbone:
        shard_backbone(stage.model)
    trainer = StageTrainer(
        stage, statistics, model=stage.model, args=arguments, train_dataset=stage.train, eval_dataset=stage.valid,
        data_collator=Collator(stage.pad_id), compute_metrics=stage.metrics,
        callbacks=[EarlyStoppingCallback(settings.patience)] if settings.patience else [],
    )  # fmt: skip
    if newest and (over := ended(newest)):
        trainer.best_of(over, newest)
    else:
        with processes.together(stage.name):
            trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    processes.wait()  # all have read the best weights before the first removes the checkpoints
    state = trainer.state
    best = [row for row in state.log_history if f"eval_{stage.best}" in row and row["step"] == state.best_global_step]
    return {
        "stage": stage.name, "steps": state.global_step, "best_step": state.best_global_step,
        "train_loss": trainer.mean_loss(), "wall_seconds": round(statistics.seconds(), 1),
        "peak_memory_mb": peak_memory(), "rows": len(stage.train), "trained_parameters": sum(
            p.numel() for p in stage.model.parameters() if p.requires_grad),
        "validation": {k.removeprefix("eval_"): v for k, v in best[0].items() if k.startswith("eval_")} if best else {},
    }  # fmt: skip


def _check_trackers(names: tuple[str, ...]) -> None:
    """Every tracker is one the Trainer knows, and its package is there."""
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = sorted(INTEGRATION_TO_CALLBACK)
            raise ConfigError(f"trackers: {name!r} is none of {', '.join(known)}, none{closest(name, known)}")
        if name not in get_available_reporting_integrations():
            raise MissingExtra(f"trackers: {name} is not installed: pip install {name}, or --set trackers=none")


def classification_loss(settings: PolarityConfig, counts: list[int]) -> nn.Module:
    """The loss named in the settings, weighted for the training rows' class counts."""
    if settings.loss == "cross_entropy":
        return nn.CrossEntropyLoss()
    return AdaptiveBalancedLoss(counts, settings.beta, settings.smoothing, settings.gamma)


def polarity_metrics(logits: Any, labels: Any) -> dict[str, float]:
    """Accuracy, macro and weighted F1 of logits (n, 3) against class ids (n,)."""
    from sklearn.metrics import f1_score

    predicted = np.asarray(logits).argmax(-1)
    truth = np.asarray(labels)
    return {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "weighted_f1": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
    }
