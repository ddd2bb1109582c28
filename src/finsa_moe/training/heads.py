"""The linear heads that `finsa adapt` leaves beside a backbone, one a task: read whole, or as the start of another's.

A folder goes in, weights by task come out. It knows neither texts nor experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from finsa_moe.errors import ModelError
from finsa_moe.files import read_json
from finsa_moe.model.adapter import read_tensors
from finsa_moe.polarity import ENGLISH, NAMES

HEAD_FACTS, HEADS = "adapt.json", "heads.safetensors"


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

    def polarity(self) -> tuple[Tensor, Tensor] | None:
        """Weight (3, d) and bias (3,), rows in the order of `NAMES`; None where its classes are not the polarities."""
        for order in (NAMES, ENGLISH):
            if set(self.names) == set(order):
                rows = [self.names.index(name) for name in order]
                return self.weight[rows], self.bias[rows]
        return None


def read_heads(folder: Path) -> dict[str, Head]:
    """Every task's head, on the CPU.

    Raises:
        ModelError: If `finsa adapt` did not finish the folder, or a file is damaged or does not fit the other.
    """
    if not (folder / HEADS).is_file():
        raise ModelError(f"{folder}: no {HEADS}; name a folder that finsa adapt finished")
    facts, tensors = read_json(folder / HEAD_FACTS), read_tensors(folder / HEADS)
    try:
        tasks = facts["tasks"]
        sizes = [len(task["names"]) for task in tasks.values()]
        weights, biases = torch.split(tensors["weight"], sizes), torch.split(tensors["bias"], sizes)
    except (AttributeError, KeyError, TypeError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{folder}: {HEAD_FACTS} and {HEADS} do not fit each other ({told}); restore both") from None
    return {
        name: Head(tuple(task["names"]), weight, bias)
        for (name, task), weight, bias in zip(tasks.items(), weights, biases, strict=True)
    }


@torch.no_grad()
def start_heads(head: nn.Linear, classes: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    """Begin tasks where an earlier training of the same backbone left their heads, in place.

    Args:
        head: All tasks' heads, one under the other: weight (sum of c, d).
        classes: Each task's classes, in the order of the rows.
        folder: The backbone's; a task is known by its name and its set of classes. No heads there, no task known.

    Returns:
        The tasks that were known.

    Raises:
        ModelError: If the folder's heads are damaged or do not fit the list of its tasks.
    """
    known = read_heads(folder) if (folder / HEADS).is_file() else {}
    started, row = [], 0
    for name, named in classes.items():
        if name in known and set(known[name].names) == set(named):
            order = [known[name].names.index(one) for one in named]
            head.weight[row : row + len(named)] = known[name].weight[order].to(head.weight)
            head.bias[row : row + len(named)] = known[name].bias[order].to(head.bias)
            started.append(name)
        row += len(named)
    return started


def mean_head(folder: Path, tasks: Sequence[str]) -> dict[str, Tensor]:
    """The mean of some tasks' heads as an expert's: ``weight`` (3, d) and ``bias`` (3,), float32.

    Args:
        folder: A backbone that `finsa adapt` trained.
        tasks: Names given to it, of tasks whose classes are the three polarities; one at least.

    Raises:
        ModelError: If the folder has no heads, or one of `tasks` is not among them or of other classes.
    """
    heads = read_heads(folder)
    usable = {name: part for name, head in heads.items() if (part := head.polarity())}
    if odd := [name for name in tasks if name not in usable]:
        why = "its classes are not the three polarities" if odd[0] in heads else "the backbone was not trained on it"
        raise ModelError(f"{folder}: head {odd[0]!r}: {why}; allowed are {', '.join(usable) or 'none'}")
    weight, bias = (torch.stack([usable[name][at].float() for name in tasks]).mean(0) for at in (0, 1))
    return {"weight": weight, "bias": bias}
