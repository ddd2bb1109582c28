"""Pre-training of the compact backbone from scratch, on a CPU or a GPU.

A `Corpus` and a tokenizer go in, a Hugging Face backbone folder comes out. Batches and masks follow from the seed and
the step alone, so a run killed at any moment resumes to the same weights. It knows nothing of labels or experts.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import ModernBertConfig, ModernBertModel

from finsa_moe.config import PretrainConfig
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.files import settle_folder, whole_folder
from finsa_moe.model.backbone import load_backbone, ready_to_train
from finsa_moe.training.corpus import CLS, PAD, SEP, SPECIAL, Corpus, equal_length_batches
from finsa_moe.training.masking import WholeWordMasker
from finsa_moe.training.objectives import MaskedBatch, objective
from finsa_moe.training.optimisers import learning_rate, optimizers
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import forget_after


def compact_config(settings: PretrainConfig, vocab_size: int) -> ModernBertConfig:
    """The compact backbone: a ModernBERT with global attention in every layer (texts are shorter than its window)."""
    return ModernBertConfig(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.max_length,
        layer_types=["full_attention"] * settings.layers,
        pad_token_id=PAD,
        bos_token_id=CLS,
        cls_token_id=CLS,
        eos_token_id=SEP,
        sep_token_id=SEP,
    )


def _start(folder: Path, settings: PretrainConfig) -> ModernBertModel:
    """The backbone in a folder, open to training, when its shape is the one in the settings."""
    backbone = load_backbone(str(folder), device="cpu")
    if not isinstance(backbone, ModernBertModel):
        raise ModelError(f"{folder}: a {backbone.config.model_type}; start from a backbone that finsa pretrain made")
    config, asked = backbone.config, compact_config(settings, backbone.config.vocab_size)
    names = {"hidden_size": "hidden_size", "num_hidden_layers": "layers", "num_attention_heads": "heads",
             "intermediate_size": "intermediate_size"}  # fmt: skip
    for name, key in names.items():
        if getattr(config, name) != getattr(asked, name):
            raise ConfigError(f"pretrain: {key}: {getattr(asked, name)}, but {folder} has {getattr(config, name)}; "
                              f"--set {key}={getattr(config, name)}")  # fmt: skip
    backbone.requires_grad_(True)
    return backbone


@dataclass
class Progress:
    """Where a run stands; all that a resumed run needs beside weights and optimiser moments."""

    step: int = 0
    tokens: int = 0
    minutes: float = 0.0

    def share(self, settings: PretrainConfig, total_steps: int) -> float:
        """Part of the run that is done, 0 to 1, by steps or by the clock, whichever is further."""
        clock = self.minutes / settings.max_minutes if settings.max_minutes else 0.0
        return max(self.step / max(total_steps, 1), clock)


class Pretrainer:
    """One run of masked-language modelling, kept in a folder.

    Args:
        folder: Where ``state/`` and ``log.jsonl`` stand and the finished backbone goes.
        corpus: Token ids.
        masker: Chooses what to predict.
        settings: The resolved configuration.
        device: Torch device name.
        init: A backbone folder to start from instead of random weights.
        processes: This process among those that train together.
    """

    def __init__(self, folder: Path, corpus: Corpus, masker: WholeWordMasker, settings: PretrainConfig, *,
                 device: str = "cpu", init: Path | None = None,
                 processes: Processes | None = None) -> None:  # fmt: skip
        torch.manual_seed(settings.seed)
        self.processes = processes or Processes()
        self.folder, self.corpus, self.masker, self.settings = folder, corpus, masker, settings
        self.device = torch.device(device)
        backbone = _start(init, settings) if init else ModernBertModel(compact_config(settings, masker.vocab_size))
        if backbone.config.vocab_size != masker.vocab_size:
            raise ModelError(
                f"{init}: vocabulary of {backbone.config.vocab_size}, the tokenizer has {masker.vocab_size}"
            )
        backbone.to(self.device)  # type: ignore[arg-type]
        self.model = objective(backbone, settings).float().to(self.device)
        for network in self.model.backbones():
            ready_to_train(network)
            if settings.compile:
                network.compile(dynamic=True)  # lengths change from batch to batch
        layers = nn.ModuleList(network.layers for network in self.model.backbones())
        self.optimizers = optimizers(self.model, layers, settings)
        self.progress = Progress()
        self._names = {id(p): n for n, p in self.model.named_parameters()}

    @property
    def state_folder(self) -> Path:
        """Newest resumable state."""
        return self.folder / "state"

    def batches(self) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """(step, total steps, document numbers) from the current step to the end."""
        step = epoch = 0
        total = self.settings.max_steps
        while True:
            rng = np.random.default_rng([self.settings.seed, epoch])
            order = equal_length_batches(self.corpus.lengths, tokens=self.settings.batch_tokens, rng=rng)
            if total < 0:
                total = round(self.settings.epochs * len(order))
            if step + len(order) <= self.progress.step:  # a whole epoch lies behind
                step += len(order)
            else:
                for batch in order:
                    if step >= total:
                        return
                    if step >= self.progress.step:
                        yield step, total, batch
                    step += 1
            epoch += 1
            if step >= total:
                return

    def _masked(self, step: int, documents: NDArray[np.int64]) -> MaskedBatch:
        """This process's rows of a batch, masked; the same whatever the number of processes."""
        ends = self.corpus.ends
        rows = [self.corpus.ids[(ends[d - 1] if d else 0) : ends[d]] for d in documents]
        ids = np.full((len(rows), len(rows[0]) + 2), SEP, dtype=np.int64)
        ids[:, 0] = CLS
        ids[:, 1:-1] = np.stack(rows)
        rng = np.random.default_rng([self.settings.seed, 1, step])
        corrupted, chosen = self.masker(ids, rng)
        if not chosen.any():  # a tiny batch may draw none
            chosen[0, 1] = True
        uniform = np.zeros(ids.shape, dtype=np.float32)
        uniform[chosen] = rng.random(int(chosen.sum()), dtype=np.float32)
        own = self.processes.share(len(ids))
        return MaskedBatch(
            ids=self._moved(corrupted[own]),
            chosen=self._moved(chosen[own]),
            targets=self._moved(ids[own][chosen[own]]),
            uniform=self._moved(uniform[own][chosen[own]]),
            chosen_in_all=int(chosen.sum()),
            tokens_in_all=max(int((ids >= len(SPECIAL)).sum()), 1),
        )

    def _moved(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def _learn(self, step: int, documents: NDArray[np.int64], minutes: float) -> tuple[Tensor, float]:
        """One step on a batch: this process's part of the losses, and the first one's minutes, which are everyone's."""
        batch = self._masked(step, documents)
        losses = torch.zeros(len(self.model.losses), device=self.device)
        if len(batch.ids):
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.bf16):
                losses = self.model(batch)
            (losses * losses.new_tensor(self.model.weights)).sum().backward()
        minutes = self.processes.sum(self.model.parameters(), minutes if self.processes.first else 0.0)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses.detach(), minutes

    def run(self, log: Any = None) -> Progress:
        """Train to the end of the plan or of the time allowed; saves every `save_minutes` and at the end.

        Args:
            log: Called with one dict of statistics every `log_steps` steps.
        """
        settings, since, losses = self.settings, time.perf_counter(), []
        saved = mark = since
        before = self.progress.minutes
        marked = self.progress.tokens
        self.model.train()
        for step, total, documents in self.batches():
            share = self.progress.share(settings, total)
            if share >= 1.0:
                break
            rate = learning_rate(settings, step, share)
            for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                group["lr"] = rate
            loss, minutes = self._learn(step, documents, before + (time.perf_counter() - since) / 60)
            losses.append(loss)
            now = time.perf_counter()
            width = int(self.corpus.lengths[documents[0]]) + 2
            self.progress = Progress(step + 1, self.progress.tokens + len(documents) * width, minutes)
            if (step + 1) % settings.log_steps == 0:
                parts = [self.processes.total(part) for part in torch.stack(losses).mean(0).tolist()]
                mean = sum(part * weight for part, weight in zip(parts, self.model.weights, strict=True))
                if not math.isfinite(mean):
                    raise self._diverged(f"loss is {mean}", step)
                named = {name: round(part, 4) for name, part in zip(self.model.losses, parts, strict=True)}
                rowed = {
                    "stage": "pretrain", "step": step + 1, "of": total, "loss": round(mean, 4),
                    **(named if len(named) > 1 else {}), "learning_rate": rate,
                    "tokens": self.progress.tokens, "minutes": round(self.progress.minutes, 2),
                    "tokens_per_second": round((self.progress.tokens - marked) / max(now - mark, 1e-9)),
                }  # fmt: skip
                if self.processes.first:
                    with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rowed) + "\n")
                    if log:
                        log(rowed)
                losses, mark, marked = [], now, self.progress.tokens
            if now - saved > settings.save_minutes * 60:
                self.save()
                saved = now
        self.save()
        return self.progress

    def save(self) -> None:
        """Write weights, optimiser moments and progress; the old state goes only once the new one is whole.

        Raises:
            ModelError: If a weight is not finite: the old state, which can be gone on from, is kept.
        """
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters()):  # which the next loss would show
            raise self._diverged("a weight is not finite", self.progress.step)
        if not self.processes.first:
            return
        moments = {
            f"{self._names[id(p)]}.{key}": value.contiguous()
            for optimizer in self.optimizers
            for p, entries in optimizer.state.items()
            for key, value in entries.items()
        }
        with whole_folder(self.state_folder) as working:
            weights = {n: p.detach().contiguous() for n, p in self.model.named_parameters()}
            save_file(weights, working / "model.safetensors")
            save_file(moments, working / "optimizer.safetensors")
            (working / "progress.json").write_text(json.dumps(vars(self.progress)))

    def _diverged(self, found: str, step: int) -> ModelError:
        return ModelError(f"{self.folder}: {found} at step {step}; lower learning_rate and resume")

    def _mend(self) -> None:
        """Take back what a kill within `save` left, and of the log what came after the state."""
        settle_folder(self.state_folder)
        kept = self.state_folder / "progress.json"
        forget_after(self.folder / "log.jsonl", int(json.loads(kept.read_text())["step"]) if kept.exists() else 0)

    def resume(self) -> bool:
        """Continue from the newest whole state; False when there is none."""
        if self.processes.first:
            self._mend()
        if not self.state_folder.exists():
            return False
        weights = load_file(self.state_folder / "model.safetensors")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():  # a shared one stands there once
                parameter.copy_(weights[name])
        moments = load_file(self.state_folder / "optimizer.safetensors", device=str(self.device))
        for optimizer in self.optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                start = f"{self._names[id(parameter)]}."
                entries = {key.removeprefix(start): value for key, value in moments.items() if key.startswith(start)}
                optimizer.state[parameter] = entries
        self.progress = Progress(**json.loads((self.state_folder / "progress.json").read_text()))
        return True
