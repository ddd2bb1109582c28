"""What the router saw of each domain: a sketch of the pooled states at the route, and no text's own.

It stands in the mixture's folder as ``replay.safetensors``, so that the router can be taught a further domain without
the texts of the old ones. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from finsa_moe.errors import ModelError
from finsa_moe.files import whole_path
from finsa_moe.model.adapter import read_tensors
from finsa_moe.model.history import METRICS
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.sketch import Sketch

REPLAY = "replay.safetensors"
_PARTS = tuple(field.name for field in fields(Sketch))


@contextmanager
def _listening(model: FinSAMoE) -> Iterator[list[Tensor]]:
    """What comes to the router while the block runs."""
    heard: list[Tensor] = []
    hook = model.router.register_forward_pre_hook(lambda _, args: heard.append(args[0].detach().cpu()))
    try:
        yield heard
    finally:
        hook.remove()


@torch.inference_mode()
def routed_states(model: FinSAMoE, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """The pooled state that the router reads of each text, float32 (n, d), in the order of the batches.

    Args:
        model: A mixture in evaluation mode.
        batches: ``input_ids`` and ``attention_mask``, int64 (batch, length).
    """
    with _listening(model) as heard:
        for batch in batches:
            # The first expert is forced: the answer is not wanted, and no text needs two.
            first = torch.zeros(len(batch["input_ids"]), dtype=torch.long)
            model(*(part.to(model.device) for part in (batch["input_ids"], batch["attention_mask"], first)))
    return torch.cat(heard).float() if heard else torch.zeros(0, model.config.hidden_size)


def write_replay(folder: Path, sketches: Mapping[str, Sketch]) -> None:
    """Write the domains' sketches; the file has its name only when it is whole."""
    tensors = {f"{name}/{part}": getattr(kept, part).contiguous() for name, kept in sketches.items() for part in _PARTS}
    with whole_path(folder / REPLAY) as part:
        save_file(tensors, part, metadata={"format": "pt"})


def read_replay(folder: Path, domains: Sequence[str]) -> dict[str, Sketch]:
    """The sketches by domain.

    Raises:
        ModelError: If the folder has none, or those of other domains, or an earlier version's.
    """
    path = folder / REPLAY
    remedy = "name texts of its domains with " + " ".join(f"--replay {name}=FILE" for name in domains)
    if not path.is_file():
        told = "this mixture was trained before sketches of its states were kept: "
        if not (folder / METRICS).is_file():  # as merge writes it, or save_pretrained
            told = "train-joint writes it, and this folder is none of train-joint's; give one that is, or "
        raise ModelError(f"{path}: missing; {told}{remedy}")
    found = read_tensors(path)
    if any("/" not in key for key in found):
        raise ModelError(f"{path}: of an earlier version, with states of single texts; remove it and {remedy}")
    if (held := {key.partition("/")[0] for key in found}) != set(domains):
        raise ModelError(f"{path}: holds {', '.join(sorted(held))}, the mixture has {', '.join(domains)}; restore it")
    if lost := [key for name in domains for part in _PARTS if (key := f"{name}/{part}") not in found]:
        raise ModelError(f"{path}: damaged (no {lost[0]}); restore it, or remove it and {remedy}")
    return {name: Sketch(**{part: found[f"{name}/{part}"] for part in _PARTS}) for name in domains}
