"""The mean of several students' weights (Wortsman et al. 2022, "model soups"): one backbone, no slower than each.

``python runs/soup.py OUT STUDENT …``: folders that `finsa adapt` made from one backbone and the same tasks with other
seeds. Their heads are averaged too; of several students, whose heads started from nothing, they are but a start.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS, HEADS, FACTS = "model.safetensors", "heads.safetensors", "adapt.json"


def mean(students: list[Path], file: str) -> dict[str, Tensor]:
    """The mean of each tensor of a file that all students have."""
    parts = [load_file(student / file) for student in students]
    if any(part.keys() != parts[0].keys() for part in parts):
        named = ", ".join(map(str, students))
        raise SystemExit(f"{named}: their weights have unlike names; name students of one backbone")
    return {
        name: torch.stack([part[name].float() for part in parts]).mean(0).to(parts[0][name].dtype).contiguous()
        for name in parts[0]
    }


def soup(out: Path, students: list[Path]) -> None:
    """Write the mean as a backbone's folder, whole or not at all."""
    facts = [json.loads((student / FACTS).read_text(encoding="utf-8")) for student in students]
    classes = [{name: task["names"] for name, task in each["tasks"].items()} for each in facts]
    if any(list(each.items()) != list(classes[0].items()) for each in classes):
        raise SystemExit(f"{', '.join(map(str, students))}: they learnt unlike tasks, so their heads have no mean")
    working = out.with_name(f".{out.name}.tmp{os.getpid()}")
    working.mkdir(parents=True)
    for file in students[0].glob("*.json"):
        if file.name != FACTS:
            shutil.copy2(file, working)
    for name in (WEIGHTS, HEADS):
        save_file(mean(students, name), working / name, metadata={"format": "pt"})
    described = {"mean_of": facts, "tasks": facts[0]["tasks"]}
    (working / FACTS).write_text(json.dumps(described, ensure_ascii=False, indent=2), encoding="utf-8")
    working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/soup.py OUT STUDENT …")
    soup(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
