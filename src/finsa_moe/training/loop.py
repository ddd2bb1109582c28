"""What the supervised stages share: the Trainer's set-up, checkpoints of what is trained, resume, statistics.

A stage brings a model, rows and a loss; this module runs transformers' Trainer over them so that a run killed at any
moment resumes to the same end. It knows neither experts nor routing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from finsa_moe.config import TrainConfig
from finsa_moe.errors import ConfigError, MissingExtra, closest
from finsa_moe.model.losses import AdaptiveBalancedLoss
from finsa_moe.training.batches import Collator, EncodedRows, LengthGroupedSampler
from finsa_moe.training.memory import peak_memory
from finsa_moe.training.resume import ended, forget_after, keep_inputs, keep_settings, newest_checkpoint
from finsa_moe.training.sharding import shard_backbone
from finsa_moe.training.together import Team

TRAINED = "trained.safetensors"
STATISTICS = "statistics.jsonl"

LossOf = Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class Stage:
    """One supervised run.

    Attributes:
        name: Stage name in statistics and error messages.
        model: What is trained; parameters that require gradients are.
        train: Training rows.
        valid: Rows for early stopping and the choice of the checkpoint.
        loss: Maps (model, batch) to the loss and the outputs to keep for evaluation.
        metrics: Maps the Trainer's predictions to named numbers; must give the one named `best`.
        settings: The resolved configuration; `max_steps`, `learning_rate` and `warmup_steps` may differ by phase.
        folder: Where checkpoints and statistics of this run stand.
        pad_id: Token id that fills batches.
        device: Torch device name, or None for the best there is.
        on_step: Called with the step about to be made and the number of steps.
        best: The metric by which a checkpoint is chosen and training stops early; the higher the better.
    """

    name: str
    model: nn.Module
    train: EncodedRows
    valid: EncodedRows
    loss: LossOf
    metrics: Callable[[Any], dict[str, float]]
    settings: TrainConfig
    folder: Path
    pad_id: int
    device: str | None = None
    on_step: Callable[[int, int], None] | None = None
    best: str = "weighted_f1"


class StageTrainer(Trainer):
    """A Trainer whose checkpoints hold just the trained tensors, never the frozen backbone, and no pickled model."""

    def __init__(self, stage: Stage, **kwargs: Any) -> None:
        self.stage = stage
        super().__init__(**kwargs)
        self.model_accepts_loss_kwargs = False  # a stage's loss is the mean of one micro-batch: to be divided by them
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        # the rows of one step over all processes: which rows share a step never hangs on how many processes there are
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedSampler(self.stage.train.lengths, size, self.stage.settings.seed)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:  # fmt: skip
        """The stage's loss of one batch."""
        loss, outputs = self.stage.loss(model, inputs)
        return (loss, {"loss": loss, **outputs}) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained_tensors(self.stage.model), folder / TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trained(self.stage.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        load_trained(self.stage.model, Path(str(self.state.best_model_checkpoint)))

    def best_from(self, checkpoints: Path) -> None:
        """Load the best weights of a run that is over."""
        if self.state.best_model_checkpoint:
            load_trained(self.stage.model, checkpoints / Path(self.state.best_model_checkpoint).name)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the tensors that require gradients, by name, on the CPU."""
    return {n: p.detach().cpu().contiguous().clone() for n, p in model.named_parameters() if p.requires_grad}


def load_trained(model: nn.Module, checkpoint: Path) -> None:
    """Put a checkpoint's tensors back in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(checkpoint / TRAINED).items():
            parameters[name].copy_(tensor)


class Statistics(TrainerCallback):
    """Appends one JSON row a log or an evaluation: stage, step, losses, rates, wall seconds and peak memory."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self.stage, self.path, self.since = stage, path, time.perf_counter()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Find the best checkpoint where it stands now: a resumed state names its path of before, perhaps elsewhere."""
        if state.best_model_checkpoint:
            state.best_model_checkpoint = str(Path(args.output_dir) / Path(state.best_model_checkpoint).name)

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Tell the stage which step comes."""
        if self.stage.on_step:
            self.stage.on_step(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any) -> None:
        """Write the row."""
        if not state.is_world_process_zero:
            return
        row = {"stage": self.stage.name, "step": state.global_step, **(logs or {})}
        row |= {"wall_seconds": round(time.perf_counter() - self.since, 2), "peak_memory_mb": peak_memory()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def enter(folder: Path, settings: TrainConfig, inputs: Mapping[str, str], *, resume: bool) -> None:
    """Open a command's run folder, once all that its user gave has been read and found good.

    Args:
        folder: The folder.
        settings: The resolved configuration.
        inputs: A mark by the name of each input but the settings.
        resume: Whether to go on with the run that it holds.

    Raises:
        ConfigError: If it holds an unfinished run and `resume` is off, or one of other settings or inputs; if a tracker
            is unknown.
        MissingExtra: If a tracker is not installed.
    """
    if not resume and any(folder.glob("**/checkpoints")):
        raise ConfigError(f"{folder}: holds an unfinished run; add --resume to go on, or name another --out")
    _check_trackers(settings.trackers)
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise ConfigError(
            "accelerate's own sharding would cut what is trained; launch with a DDP configuration such as "
            "configs/accelerate/gpus.yaml and add --set shard_backbone=true"
        )
    team = Team()
    team.rows_each(settings.batch_size)
    team.wait()  # all have looked before the first writes
    if team.first:
        keep_settings(folder, settings, resume=resume)
        keep_inputs(folder, inputs, resume=resume)
    team.wait()


def run(stage: Stage, *, resume: bool = False) -> dict[str, Any]:
    """Train one stage to its end and leave its best weights in the model.

    Args:
        stage: What to train.
        resume: Go on from the newest whole checkpoint in the stage's folder, or start when there is none.

    Returns:
        ``steps``, ``best_step``, ``train_loss``, ``wall_seconds``, ``peak_memory_mb`` and the best evaluation.
    """
    settings, checkpoints = stage.settings, stage.folder / "checkpoints"
    team = Team()
    with team.in_turn():  # the first removes what a kill cut short
        newest = newest_checkpoint(checkpoints) if resume else None
    statistics = stage.folder / STATISTICS
    if team.first:
        stage.folder.mkdir(parents=True, exist_ok=True)
        forget_after(statistics, int(newest.name.rsplit("-", 1)[1]) if newest else 0)
    team.wait()
    set_seed(settings.seed)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(stage.folder / "tensorboard")
    steps_an_epoch = -(-len(stage.train) // (settings.batch_size * settings.gradient_accumulation))
    total = settings.max_steps if settings.max_steps > 0 else int(steps_an_epoch * settings.epochs)
    every = max(1, min(settings.eval_steps, total))
    arguments = TrainingArguments(
        output_dir=str(checkpoints), seed=settings.seed, data_seed=settings.seed,
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, warmup_steps=settings.warmup_steps,
        num_train_epochs=settings.epochs, max_steps=settings.max_steps,
        per_device_train_batch_size=team.rows_each(settings.batch_size), ddp_find_unused_parameters=False,
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
    started = time.perf_counter()
    trainer = StageTrainer(
        stage, model=stage.model, args=arguments, train_dataset=stage.train, eval_dataset=stage.valid,
        data_collator=Collator(stage.pad_id), compute_metrics=stage.metrics,
        callbacks=[Statistics(stage, statistics)]
        + ([EarlyStoppingCallback(settings.patience)] if settings.patience else []),
    )  # fmt: skip
    if over := ended(newest):
        trainer.state = over
        trainer.best_from(checkpoints)
        loss = None
    else:
        with team.together(stage.name):
            loss = trainer.train(resume_from_checkpoint=str(newest) if newest else None).training_loss
    team.wait()  # all have read the best weights before the first removes the checkpoints
    state = trainer.state
    if newest:  # the Trainer divides the loss since the resume by all steps
        logged = [row["loss"] for row in state.log_history if "loss" in row]
        loss = sum(logged) / len(logged) if logged else None
    best = [row for row in state.log_history if f"eval_{stage.best}" in row and row["step"] == state.best_global_step]
    return {
        "stage": stage.name, "steps": state.global_step, "best_step": state.best_global_step,
        "train_loss": loss, "wall_seconds": round(time.perf_counter() - started, 1),
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


def classification_loss(settings: TrainConfig, counts: list[int]) -> nn.Module:
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
