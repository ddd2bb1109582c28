"""Masked-language-model training of the compact backbone from scratch, on a CPU or a GPU.

A `Corpus` and a tokenizer go in, a Hugging Face backbone folder comes out. Batches and masks follow from the seed and
the step alone, so a run killed at any moment resumes to the same weights. It knows nothing of labels or experts.
"""

from __future__ import annotations

import json
import math
import os
import shutil
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
from finsa_moe.model.backbone import load_backbone, ready_to_train
from finsa_moe.training.corpus import CLS, PAD, SEP, Corpus, equal_length_batches
from finsa_moe.training.masking import WholeWordMasker
from finsa_moe.training.optimisers import learning_rate, optimizers
from finsa_moe.training.parallel import Ranks
from finsa_moe.training.tied_loss import tied_cross_entropy


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


class MaskedLM(nn.Module):
    """A backbone with a prediction head tied to its embedding, run at the masked positions only."""

    def __init__(self, backbone: ModernBertModel) -> None:
        super().__init__()
        self.backbone = backbone
        size, vocab = backbone.config.hidden_size, backbone.config.vocab_size
        self.dense = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.bias = nn.Parameter(torch.zeros(vocab))

    def forward(self, ids: Tensor, chosen: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats of `targets` (int64, as many as `chosen` has True) at the chosen positions."""
        hidden = self.backbone(input_ids=ids).last_hidden_state[chosen]
        hidden = self.norm(nn.functional.gelu(self.dense(hidden)))
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        return tied_cross_entropy(hidden, self.backbone.get_input_embeddings().weight, self.bias, targets)


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
        ranks: This process among those that train together.
    """

    def __init__(self, folder: Path, corpus: Corpus, masker: WholeWordMasker, settings: PretrainConfig, *,
                 device: str = "cpu", init: Path | None = None, ranks: Ranks | None = None) -> None:  # fmt: skip
        torch.manual_seed(settings.seed)
        self.ranks = ranks or Ranks()
        self.folder, self.corpus, self.masker, self.settings = folder, corpus, masker, settings
        self.device = torch.device(device)
        backbone = _start(init, settings) if init else ModernBertModel(compact_config(settings, masker.vocab_size))
        if backbone.config.vocab_size != masker.vocab_size:
            raise ModelError(
                f"{init}: vocabulary of {backbone.config.vocab_size}, the tokenizer has {masker.vocab_size}"
            )
        backbone.to(self.device)  # type: ignore[arg-type]
        ready_to_train(backbone)
        if settings.compile:
            backbone.compile(dynamic=True)  # lengths change from batch to batch
        self.model = MaskedLM(backbone).float().to(self.device)
        self.optimizers = optimizers(self.model, backbone.layers, settings)
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

    def _tensors(self, step: int, documents: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, float]:
        """This process's rows of a batch: ids, what is masked, the targets, and its part of all that is masked."""
        ends = self.corpus.ends
        rows = [self.corpus.ids[(ends[d - 1] if d else 0) : ends[d]] for d in documents]
        ids = np.full((len(rows), len(rows[0]) + 2), SEP, dtype=np.int64)
        ids[:, 0] = CLS
        ids[:, 1:-1] = np.stack(rows)
        corrupted, chosen = self.masker(ids, np.random.default_rng([self.settings.seed, 1, step]))
        if not chosen.any():  # a tiny batch may draw none
            chosen[0, 1] = True
        own = self.ranks.share(len(ids))
        targets = ids[own][chosen[own]]
        move = [torch.from_numpy(a).to(self.device, non_blocking=True) for a in (corrupted[own], chosen[own], targets)]
        return move[0], move[1], move[2], len(targets) / int(chosen.sum())

    def _learn(self, step: int, documents: NDArray[np.int64], minutes: float) -> tuple[Tensor, float]:
        """One step on a batch: this process's part of the loss, and the first one's minutes, which are everyone's."""
        ids, chosen, targets, part = self._tensors(step, documents)
        loss = torch.zeros((), device=self.device)
        if part:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.bf16):
                loss = self.model(ids, chosen, targets) * part
            loss.backward()
        minutes = self.ranks.sum(self.model.parameters(), minutes if self.ranks.first else 0.0)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach(), minutes

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
                mean = self.ranks.total(float(torch.stack(losses).mean()))
                if not math.isfinite(mean):
                    raise ModelError(f"{self.folder}: loss is {mean} at step {step}; lower learning_rate and resume")
                rowed = {
                    "stage": "pretrain", "step": step + 1, "of": total, "loss": round(mean, 4), "learning_rate": rate,
                    "tokens": self.progress.tokens, "minutes": round(self.progress.minutes, 2),
                    "tokens_per_second": round((self.progress.tokens - marked) / max(now - mark, 1e-9)),
                }  # fmt: skip
                if self.ranks.first:
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
        """Write weights, optimiser moments and progress; the old state goes only once the new one is whole."""
        if not self.ranks.first:
            return
        working = self.folder / f"state.tmp{os.getpid()}"
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir(parents=True)
        save_file({n: p.detach().contiguous() for n, p in self.model.named_parameters()}, working / "model.safetensors")
        moments = {
            f"{self._names[id(p)]}.{key}": value.contiguous()
            for optimizer in self.optimizers
            for p, entries in optimizer.state.items()
            for key, value in entries.items()
        }
        save_file(moments, working / "optimizer.safetensors")
        (working / "progress.json").write_text(json.dumps(vars(self.progress)))
        old = self.folder / f"state.old{os.getpid()}"
        if self.state_folder.exists():
            os.replace(self.state_folder, old)
        os.replace(working, self.state_folder)
        shutil.rmtree(old, ignore_errors=True)

    def resume(self) -> bool:
        """Continue from the newest whole state; False when there is none."""
        spare = sorted(self.folder.glob("state.old*"))
        if not self.state_folder.exists() and spare:  # killed between the two renames of `save`
            os.replace(spare[-1], self.state_folder)
        if not self.state_folder.exists():
            return False
        self.model.load_state_dict(load_file(self.state_folder / "model.safetensors"))
        moments = load_file(self.state_folder / "optimizer.safetensors", device=str(self.device))
        for optimizer in self.optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                start = f"{self._names[id(parameter)]}."
                entries = {key.removeprefix(start): value for key, value in moments.items() if key.startswith(start)}
                optimizer.state[parameter] = entries
        self.progress = Progress(**json.loads((self.state_folder / "progress.json").read_text()))
        return True
