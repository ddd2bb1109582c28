"""What every setting of a stage means: the words behind `finsa settings` and docs/settings.md."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from finsa_moe.config import STAGES, StageConfig

VERBS = {
    "pretrain": "finsa pretrain",
    "adapt": "finsa adapt",
    "expert": "finsa train-expert",
    "merge": "finsa merge",
    "joint": "finsa train-joint",
    "domain": "finsa add-domain",
}
"""The verb that reads a section of a YAML file."""

MEANINGS = {
    "seed": "of every draw: weights, order of rows, dropout",
    "learning_rate": "highest rate of the optimiser",
    "weight_decay": "decoupled decay of the optimiser",
    "warmup_steps": "steps over which the rate rises to its highest",
    "epochs": "passes over the training rows",
    "max_steps": "optimiser's steps; -1: as many as the epochs take",
    "batch_size": "rows of a batch, of all processes together",
    "gradient_accumulation": "batches of which one step is made",
    "gradient_checkpointing": "compute activations again in the backward pass: less memory, more time",
    "shard_backbone": "with several processes: each keeps a part of every frozen layer",
    "eval_steps": "steps between two looks at the validation rows, each with a checkpoint",
    "eval_batch_size": "rows of a batch there",
    "patience": "looks without a gain after which training stops; 0: never",
    "bf16": "compute in bfloat16; weights and their updates stay in float32",
    "loss": "adaptive_balanced (method, stage 1) or cross_entropy",
    "beta": "of the balanced loss: how fast further rows of a class count less",
    "smoothing": "of the balanced loss: share of the label spread over all classes",
    "gamma": "of the balanced loss: how much less sure rows count",
    "log_steps": "steps between two lines of statistics",
    "trackers": "where statistics go besides run/: tensorboard, wandb …, or none",
    "prompt": "instruction around a text: none, neutral, auto (neutral for decoders), or words of your own with {text}",
    "max_length": "most tokens of a text; longer ones keep head and tail",
    "quantisation": "of the frozen backbone: none, or nf4 (4 bits, extra qlora)",
    "dtype": "in which the frozen backbone is held",
    "route_at": "the router reads the states at this share of the depth; experts act above it",
    "rank": "of the low-rank updates",
    "alpha": "updates are scaled by alpha / rank",
    "dropout": "before each low-rank update",
    "head_dropout": "before the linear head",
    "ngrams": "most n-grams of a linear model beside the network; 0: none",
    "shared_head": "one head over all experts, as in the paper, instead of each expert's own",
    "router_hidden": "width of the router's hidden layer",
    "router_dropout": "in the router",
    "expert_dropout": "before each low-rank update in joint training",
    "routing_weight": "of the router's cross-entropy on the domain, in the loss",
    "balance_weight": "of the balance of the experts' load, in the loss",
    "router_steps": "steps of the router alone, before all is trained",
    "router_learning_rate": "highest rate while the router trains alone",
    "router_warmup_steps": "steps over which that rate rises",
    "warm_heads": "the heads learn while the router warms up; false: the router alone",
    "harden_at": "share of the steps after which a hard gate is trained as it will run",
    "unlabelled_rows": "texts of each domain without labels that the router may learn, where such are given",
    "gate": "hard: the likeliest expert answers; soft: all, by the router's weights",
    "router_ngrams": "most n-grams of a linear model beside the router; 0: none",
    "vocab_size": "pieces of the tokenizer",
    "tokenizer_lines": "most lines that the tokenizer is learnt from",
    "hidden_size": "width of the states",
    "layers": "depth",
    "heads": "attention heads of a layer",
    "intermediate_size": "width of the feed-forward part",
    "longest": "documents over so many tokens are cut into equal parts",
    "objective": "masked words, or replaced-token detection",
    "generator_layers": "of replaced-token detection: layers of the small network that replaces",
    "detection_weight": "of replaced-token detection: weight of the detector's loss",
    "mask_rate": "share of the tokens that are hidden, by whole words",
    "batch_tokens": "tokens of a batch",
    "optimizer": "adamw, or muon for the layers' matrices",
    "decay": "last share of the run over which the rate falls to nothing",
    "max_minutes": "minutes of training, all sittings together; 0: no bound",
    "save_minutes": "minutes between two checkpoints",
    "compile": "compile the network by torch before training",
    "stored": "in which the weights are written; bfloat16 is half the size",
    "token_dropout": "share of the tokens hidden behind the mask token, anew in every step",
    "start": "expert that the new one starts from: best, a name, or fresh",
    "fewest_valid": "validation rows from which a checkpoint is chosen; with fewer the last is kept",
    "taken": "most of the states drawn of an old domain that the new expert may win",
    # where a name means something of its own in one stage
    "adapt.dropout": "in the backbone; 0: as its configuration says",
    "pretrain.max_length": "positions of the backbone: most tokens of a text that it will ever read",
    "pretrain.epochs": "passes over the corpus",
    "expert.route_at": "layers under this share of the depth stay as they are, so that a mixture may route there",
    "domain.router_steps": "steps of the wider router",
    "domain.router_learning_rate": "rate of the wider router's new weights",
}
"""By name; ``stage.name`` where a stage means something of its own."""


@dataclass(frozen=True)
class Setting:
    """One setting of a stage."""

    name: str
    value: Any
    allowed: str
    meaning: str


def settings_of(stage: str, values: StageConfig | None = None) -> list[Setting]:
    """The settings of a stage in the order of its configuration.

    Args:
        stage: One of `config.STAGES`.
        values: Whose values to show; None shows the defaults.
    """
    values = values or STAGES[stage]()
    return [
        Setting(spec.name, getattr(values, spec.name), _allowed(spec), _meaning(stage, spec.name))
        for spec in dataclasses.fields(values)
    ]


def shown(value: Any) -> str:
    """A value as one would type it after ``--set key=``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def page() -> str:
    """docs/settings.md: every stage's settings, with the defaults, which are the paper's where the paper has them."""
    parts = [_HEAD]
    for stage, verb in VERBS.items():
        rows = "\n".join(f"| `{s.name}` | {shown(s.value)} | {s.allowed} | {s.meaning} |" for s in settings_of(stage))
        parts.append(f"\n## {verb}: `{stage}`\n| setting | default | allowed | meaning |\n|---|---|---|---|\n{rows}\n")
    return "".join(parts)


_HEAD = """# Settings

[English README](../README.md) · [Guide](guide.md) · [Method](method.md)

Every setting that `--set name=value` changes, by the verb that reads it and the section of a YAML file
(`--config FILE`) that holds it. `finsa settings` prints the same tables, with `--config NAME` that configuration's
values. Of those that ship, `paper` holds the defaults, `paper-form` the paper's own form where the defaults depart
([method](method.md)), `laptop` smaller values; the others are for backbones in 4 bits. This page is made from the code.
"""


def _meaning(stage: str, name: str) -> str:
    return MEANINGS.get(f"{stage}.{name}") or MEANINGS[name]


def _allowed(spec: dataclasses.Field[Any]) -> str:
    low, high, among, other = (spec.metadata.get(name) for name in ("low", "high", "among", "or"))
    if among:
        return ", ".join(map(str, among))
    if high is not None:
        return f"{low:g} to {high:g}" if isinstance(high, float) or high < 1e6 else f"{low} to {high}"
    if other is not None:
        return f"{other:g}, or from {low:g}"
    return f"from {low:g}" if low is not None else {"bool": "true, false"}.get(str(spec.type), "")
