"""The linear heads that `finsa adapt` leaves beside a backbone, one a task: read whole, or as the start of an expert's.

A folder goes in, weights by task come out. It knows neither texts nor experts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from finsa_moe.errors import ModelError
from finsa_moe.polarity import ENGLISH, NAMES

FACTS, HEADS = "adapt.json", "heads.safetensors"


@dataclass(frozen=True)
class Head:
    """One task's linear head.

    Attributes:
        names: The task's classes, (c,).
        weight: Float (c, d).
        bias: Float (c,).
    """

    names: tuple[str, ...]
    weight: Tensor
    bias: Tensor

    @property
    def is_polarity(self) -> bool:
        """Whether its classes are 利空, 中性 and 利好, in any order."""
        return set(self.names) == set(NAMES) or set(self.names) == set(ENGLISH)

    def polarity(self) -> tuple[Tensor, Tensor]:
        """Weight (3, d) and bias (3,) with the rows in the order of `NAMES`."""
        order = NAMES if set(self.names) == set(NAMES) else ENGLISH
        rows = [self.names.index(name) for name in order]
        return self.weight[rows], self.bias[rows]


def read_heads(folder: Path, device: str = "cpu") -> dict[str, Head]:
    """Every task's head.

    Raises:
        ModelError: If `finsa adapt` did not finish the folder, or its files do not fit each other.
    """
    if not (folder / HEADS).is_file():
        raise ModelError(f"{folder}: no {HEADS}; name a folder that finsa adapt finished")
    tasks: Mapping[str, Mapping[str, Sequence[str]]]
    try:
        tasks = json.loads((folder / FACTS).read_text(encoding="utf-8"))["tasks"]
        tensors = load_file(folder / HEADS, device=device)
        sizes = [len(task["names"]) for task in tasks.values()]
        weights, biases = torch.split(tensors["weight"], sizes), torch.split(tensors["bias"], sizes)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: {FACTS} and {HEADS} do not fit each other ({told}); restore both") from None
    return {
        name: Head(tuple(task["names"]), weight, bias)
        for (name, task), weight, bias in zip(tasks.items(), weights, biases, strict=True)
    }


def mean_head(folder: Path, tasks: Sequence[str]) -> dict[str, Tensor]:
    """The mean of some tasks' heads as an expert's: ``weight`` (3, d) and ``bias`` (3,), float32.

    Args:
        folder: A backbone that `finsa adapt` trained.
        tasks: Names given to it, of tasks whose classes are the three polarities; one at least.

    Raises:
        ModelError: If the folder has no heads, or one of `tasks` is not among them or of other classes.
    """
    heads = read_heads(folder)
    usable = [name for name, head in heads.items() if head.is_polarity]
    if odd := [name for name in tasks if name not in usable]:
        why = "its classes are not the three polarities" if odd[0] in heads else "the backbone was not trained on it"
        raise ModelError(f"{folder}: head {odd[0]!r}: {why}; allowed are {', '.join(usable) or 'none'}")
    parts = [heads[name].polarity() for name in tasks]
    weight, bias = (torch.stack([part[at].float() for part in parts]).mean(0) for at in (0, 1))
    return {"weight": weight, "bias": bias}
