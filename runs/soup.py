"""The mean of several students' weights (Wortsman et al. 2022, "model soups"): one backbone, no slower than each.

``python runs/soup.py OUT STUDENT …``: folders that `finsa adapt` made from one backbone with other seeds, or one from
another; a folder named twice counts twice. The heads of the tasks that all of them learnt are averaged too: a good
start where they had a common one (`finsa adapt` begins from the heads that lie beside its backbone), else but a start.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finsa_moe.files import working_folder
from finsa_moe.training.heads import HEAD_FACTS, HEADS, Head, read_heads

WEIGHTS = "model.safetensors"


def mean(parts: list[Tensor]) -> Tensor:
    """The mean, of the first one's type."""
    return torch.stack([part.float() for part in parts]).mean(0).to(parts[0].dtype).contiguous()


def mean_weights(students: list[Path]) -> dict[str, Tensor]:
    """The mean of each tensor of the backbones."""
    parts = [load_file(student / WEIGHTS) for student in students]
    if any(part.keys() != parts[0].keys() for part in parts):
        named = ", ".join(map(str, students))
        raise SystemExit(f"{named}: their weights have unlike names; name students of one backbone")
    return {name: mean([part[name] for part in parts]) for name in parts[0]}


def mean_heads(students: list[Path]) -> tuple[list[str], dict[str, Tensor]]:
    """The tasks that all students learnt, with equal classes, and their heads' means, one under the other."""
    found: list[dict[str, Head]] = [read_heads(student) for student in students]
    shared = [
        name for name, head in found[0].items() if all(name in one and one[name].names == head.names for one in found)
    ]
    if not shared:
        raise SystemExit(f"{', '.join(map(str, students))}: they share no task, so their heads have no mean")
    weights, biases = (
        [mean([getattr(one[name], part) for one in found]) for name in shared] for part in ("weight", "bias")
    )
    return shared, {"weight": torch.cat(weights), "bias": torch.cat(biases)}


def soup(out: Path, students: list[Path]) -> None:
    """Write the mean as a backbone's folder, whole or not at all."""
    facts = [json.loads((student / HEAD_FACTS).read_text(encoding="utf-8")) for student in students]
    weights, (tasks, heads) = mean_weights(students), mean_heads(students)
    if len(prompts := {one.get("prompt", "none") for one in facts}) > 1:
        named = ", ".join(map(str, students))
        raise SystemExit(f"{named}: they read under unlike prompts: {', '.join(sorted(prompts))}")
    with working_folder(out) as working:
        for file in students[0].glob("*.json"):
            if file.name != HEAD_FACTS:
                shutil.copy2(file, working)
        for name, tensors in ((WEIGHTS, weights), (HEADS, heads)):
            save_file(tensors, working / name, metadata={"format": "pt"})
        described = {
            "mean_of": facts, "tasks": {name: facts[0]["tasks"][name] for name in tasks}, "prompt": prompts.pop(),
        }  # fmt: skip
        (working / HEAD_FACTS).write_text(json.dumps(described, ensure_ascii=False, indent=2), encoding="utf-8")
        working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/soup.py OUT STUDENT …")
    soup(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
