"""The Trainer of one supervised stage: checkpoints of what is trained, statistics, the mean loss, and divergence.

A `Stage` goes in; checkpoints and rows of statistics come out in its folder. What a run does around it is `loop`'s.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState

from finsa_moe.config import TrainConfig
from finsa_moe.errors import ModelError
from finsa_moe.training.batches import EncodedRows, LengthGroupedSampler
from finsa_moe.training.device import peak_memory
from finsa_moe.training.processes import Processes

TRAINED, LOSS, SPENT = "trained.safetensors", "loss.json", "seconds.json"
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
        rate: The user's name of the setting that is `settings.learning_rate` in this run.
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
    rate: str = "learning_rate"


class StageTrainer(Trainer):
    """A Trainer whose checkpoints hold just the trained tensors, never the frozen backbone, and no pickled model.

    It ends with a `ModelError` once a loss or a trained weight is not finite, before it logs, saves or chooses by it.
    """

    def __init__(self, stage: Stage, statistics: Statistics, **kwargs: Any) -> None:
        self.stage, self.statistics = stage, statistics
        super().__init__(**kwargs)
        self.add_callback(statistics)
        # of the losses of all steps made, those before a resume too; None once a checkpoint did not tell
        self.sum: Tensor | None = torch.zeros((), dtype=torch.float64, device=self.args.device)
        self.model_accepts_loss_kwargs = False  # a stage's loss is the mean of one micro-batch: to be divided by them
        self.remove_callback(PrinterCallback)
        # the rows of one step over all processes: which rows share a step never hangs on how many processes there are
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        self.sampler = LengthGroupedSampler(stage.train.lengths, size, stage.settings.seed)
        self.add_callback(EpochOf(self.sampler))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self.sampler

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:  # fmt: skip
        """The stage's loss of one batch."""
        loss, outputs = self.stage.loss(model, inputs)
        return (loss, {"loss": loss, **outputs}) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One micro-batch, whose loss is counted."""
        loss: Tensor = super().training_step(*args, **kwargs)
        if self.sum is not None:
            self.sum += loss
        return loss

    def mean_loss(self) -> float | None:
        """Over all steps made and all processes; None where an earlier version's checkpoint told no sum."""
        if self.sum is None:
            return None
        processes = Processes()
        return processes.total(float(self.sum)) / processes.size / max(self.state.global_step, 1)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As the Trainer's, with the whole run's mean loss at its end.

        Raises:
            ModelError: If training diverged.
        """
        if "train_loss" in logs and (mean := self.mean_loss()) is not None:
            logs["train_loss"] = mean
        for name, value in logs.items():
            if (name.endswith("loss") or name == "grad_norm") and not math.isfinite(value):
                raise self._diverged(f"{name} is {value}")
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        if not all(bool(torch.isfinite(p).all()) for p in self.stage.model.parameters() if p.requires_grad):
            raise self._diverged("a weight is not finite")
        if self.sum is not None:
            processes = Processes()
            self.sum.fill_(processes.total(float(self.sum)) / processes.size)
        super()._save_checkpoint(*args, **kwargs)

    def _diverged(self, found: str) -> ModelError:
        stage = self.stage
        return ModelError(
            f"{stage.folder}: {stage.name}: {found} at step {self.state.global_step}; lower {stage.rate} (it is "
            f"{stage.settings.learning_rate}) and name another --out"
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained_tensors(self.stage.model), folder / TRAINED)
        (folder / LOSS).write_text(json.dumps(None if self.sum is None else float(self.sum)), encoding="utf-8")
        (folder / SPENT).write_text(json.dumps(self.statistics.seconds()), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trained(self.stage.model, Path(resume_from_checkpoint))
        self._count_from(Path(resume_from_checkpoint))

    def _count_from(self, checkpoint: Path) -> None:
        file = checkpoint / LOSS  # which checkpoints of earlier versions lack, as they do the seconds
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        self.sum = None if before is None or self.sum is None else self.sum.fill_(before)
        if (checkpoint / SPENT).is_file():
            self.statistics.before = float(json.loads((checkpoint / SPENT).read_text(encoding="utf-8")))

    def _load_best_model(self) -> None:
        load_trained(self.stage.model, Path(str(self.state.best_model_checkpoint)))

    def best_of(self, over: TrainerState, newest: Path) -> None:
        """Take the state of a run that is over, with its best weights, from its newest checkpoint."""
        self.state = over
        self._count_from(newest)
        if self.state.best_model_checkpoint:
            load_trained(self.stage.model, newest.with_name(Path(self.state.best_model_checkpoint).name))


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the tensors that require gradients, by name, on the CPU."""
    return {n: p.detach().cpu().contiguous().clone() for n, p in model.named_parameters() if p.requires_grad}


def load_trained(model: nn.Module, checkpoint: Path) -> None:
    """Put a checkpoint's tensors back in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(checkpoint / TRAINED).items():
            parameters[name].copy_(tensor)


class EpochOf(TrainerCallback):
    """Tells a sampler its epoch; the data loader of several processes, resumed inside an epoch, does not reach it."""

    def __init__(self, sampler: LengthGroupedSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Count the epochs that the steps made so far have been through."""
        self.sampler.set_epoch(state.global_step // (len(self.sampler) // self.sampler.batch_size))


class Statistics(TrainerCallback):
    """Appends one JSON row a log or an evaluation: stage, step, losses, rates, wall seconds and peak memory."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.path, self.since = stage, stage.folder / STATISTICS, time.perf_counter()
        self.before = 0.0  # seconds of the sittings before this one

    def seconds(self) -> float:
        """Spent on the run: in this sitting, and in those before it up to the checkpoint that was gone on from."""
        return self.before + time.perf_counter() - self.since

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
        row |= {"wall_seconds": round(self.seconds(), 2), "peak_memory_mb": peak_memory()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
