"""Experts part of the way between where they started and where training took them (Wortsman et al. 2022, WiSE-FT).

``python runs/shrink_experts.py MIXTURE OUT SHARE STUDENT DOMAIN=TASK,… …``: an expert that started from the mean of
STUDENT's heads for some TASKs and from an update of zero keeps SHARE of its update and of its head's change. The router
stays. What an expert unlearns of rows that the student knew already is most of what is given up. SHARE is chosen on
dev files (EXPERIMENTS.md).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from soup_experts import ADAPTER, HEAD, WEIGHTS, change

from finsa_moe.files import read_json, working_folder
from finsa_moe.training.heads import mean_head


def shrink(mixture: Path, out: Path, share: float, student: Path, tasks: dict[str, list[str]]) -> None:
    """Write the mixture with its experts drawn back, whole or not at all."""
    domains = read_json(mixture / "config.json")["domains"]
    if set(tasks) != set(domains):
        raise SystemExit(f"{mixture}: name the tasks of each of {', '.join(domains)}, found {', '.join(tasks)}")
    with working_folder(out) as working:
        shutil.copytree(mixture, working, dirs_exist_ok=True)
        whole = load_file(mixture / WEIGHTS)
        for at, domain in enumerate(domains):
            folder = Path("experts") / domain
            start = mean_head(student, tasks[domain])
            head = {name: torch.lerp(start[name], whole[f"heads.{name}"][at], share) for name in start}
            for name, tensor in head.items():
                whole[f"heads.{name}"][at] = tensor
            save_file(head, working / folder / HEAD, metadata={"format": "pt"})
            adapter = load_file(mixture / folder / ADAPTER)
            kept = {name: tensor * share if ".lora_B." in name else tensor for name, tensor in adapter.items()}
            save_file(kept, working / folder / ADAPTER, metadata={"format": "pt"})
        save_file(whole, working / WEIGHTS, metadata={"format": "pt"})
        change(working / "metrics.json", {"share_of_the_way": share})
        working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        raise SystemExit("usage: python runs/shrink_experts.py MIXTURE OUT SHARE STUDENT DOMAIN=TASK,… …")
    pairs = (word.split("=", 1) for word in sys.argv[5:])
    named = {domain: tasks.split(",") for domain, tasks in pairs}
    shrink(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), named)
