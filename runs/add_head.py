"""A student's folder with one head more, the mean of some of its own: where a task begins that gathers theirs.

``python runs/add_head.py OUT STUDENT NAME=TASK,…``: a folder that `finsa adapt` or ``runs/soup.py`` made. The last pass
of ``runs/default_model.sh`` learns posts of boards and of investors, which bear labels under one rubric, under one
head; a student knows them apart. A folder that has a head of that name is copied as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from finsa_moe.training.heads import FACTS, HEADS, read_heads


def add_head(out: Path, student: Path, name: str, tasks: list[str]) -> None:
    """Write the folder, whole or not at all."""
    heads = read_heads(student)
    wanted = [] if name in heads else tasks
    own = [heads[task] for task in wanted if task in heads]
    if odd := [task for task in wanted if task not in heads or heads[task].names != own[0].names]:
        raise SystemExit(f"{student}: head {odd[0]!r} is not there or of other classes; there are {', '.join(heads)}")
    working = out.with_name(f".{out.name}.tmp{os.getpid()}")
    shutil.copytree(student, working)
    if own:
        facts = json.loads((student / FACTS).read_text(encoding="utf-8"))
        facts["tasks"][name] = {"rows": 0, "names": list(own[0].names)}
        tensors = load_file(student / HEADS)
        for part in ("weight", "bias"):
            mean = torch.stack([getattr(head, part).float() for head in own]).mean(0)
            tensors[part] = torch.cat([tensors[part], mean.to(tensors[part].dtype)]).contiguous()
        save_file(tensors, working / HEADS, metadata={"format": "pt"})
        (working / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
    working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) != 4 or "=" not in sys.argv[3]:
        raise SystemExit("usage: python runs/add_head.py OUT STUDENT NAME=TASK,…")
    named, _, of = sys.argv[3].partition("=")
    add_head(Path(sys.argv[1]), Path(sys.argv[2]), named, of.split(","))
