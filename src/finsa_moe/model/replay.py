"""A small sample of what the router saw of each domain: pooled states at the route, no text.

It stands in the mixture's folder as ``replay.safetensors``, so that the router can be taught a further domain without
the texts of the old ones. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from finsa_moe.errors import ModelError
from finsa_moe.files import whole_path
from finsa_moe.model.adapter import read_tensors
from finsa_moe.model.moe import FinSAMoE

REPLAY = "replay.safetensors"


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


def write_replay(folder: Path, states: Mapping[str, Tensor]) -> None:
    """Write the sample, half precision (n, d) a domain; the file has its name only when it is whole."""
    with whole_path(folder / REPLAY) as part:
        save_file({name: kept.half().contiguous() for name, kept in states.items()}, part, metadata={"format": "pt"})


def read_replay(folder: Path, domains: Sequence[str]) -> dict[str, Tensor]:
    """States float32 (n, d) by domain.

    Raises:
        ModelError: If the folder has no sample, or one of other domains.
    """
    path = folder / REPLAY
    if not path.is_file():
        raise ModelError(
            f"{path}: missing; this mixture was trained before samples were kept: name texts of its domains with "
            + " ".join(f"--replay {name}=FILE" for name in domains)
        )
    found = read_tensors(path)
    if set(found) != set(domains):
        raise ModelError(f"{path}: holds {', '.join(sorted(found))}, the mixture has {', '.join(domains)}; restore it")
    return {name: found[name].float() for name in domains}
