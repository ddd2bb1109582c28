"""The mean of several mixtures' experts, as one mixture: no slower than each once its experts are merged for export.

``python runs/soup_experts.py OUT MIXTURE …``: mixtures that `finsa train-joint` made on one backbone with other seeds.
The mean of low-rank updates is a low-rank update of the sum of their ranks (A stacked, B side by side over their
number), so the result is a mixture like any other, and its experts load in plain peft. Heads are averaged; the router,
which sees the embeddings alone and no expert, is that of the first.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finsa_moe.files import working_folder

WEIGHTS, ADAPTER, HEAD = "model.safetensors", "adapter_model.safetensors", "head.safetensors"


def stacked(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The adapter (A (r, in), B (out, r) by name) whose update is the mean of the parts' updates."""
    made = {}
    for name in parts[0]:
        tensors = [part[name] for part in parts]
        made[name] = torch.cat(tensors) if ".lora_A." in name else torch.cat(tensors, dim=1) / len(parts)
    return {name: tensor.contiguous() for name, tensor in made.items()}


def mean(parts: list[dict[str, Tensor]], name: str) -> Tensor:
    """The mean of a tensor."""
    return torch.stack([part[name] for part in parts]).mean(0)


def change(file: Path, values: dict[str, Any]) -> None:
    """Other values for some keys of a JSON file."""
    content = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def soup(out: Path, mixtures: list[Path]) -> None:
    """Write the mean, whole or not at all."""
    configs = [json.loads((mixture / "config.json").read_text(encoding="utf-8")) for mixture in mixtures]
    same = ("backbone", "domains", "rank", "scaling", "targets", "route_at", "shared_head")
    if any(config[key] != configs[0][key] for config in configs for key in same):
        named = ", ".join(map(str, mixtures))
        raise SystemExit(
            f"{named}: not of one form; name mixtures of one backbone, of the same domains, rank and targets"
        )
    with working_folder(out) as working:
        shutil.copytree(mixtures[0], working, dirs_exist_ok=True)
        rank = configs[0]["rank"] * len(mixtures)
        change(working / "config.json", {"rank": rank})
        wholes = [load_file(mixture / WEIGHTS) for mixture in mixtures]
        kept = {name: mean(wholes, name) if name.startswith("heads.") else wholes[0][name] for name in wholes[0]}
        save_file(kept, working / WEIGHTS, metadata={"format": "pt"})
        for domain, scaling in zip(configs[0]["domains"], configs[0]["scaling"], strict=True):
            folders = [mixture / "experts" / domain for mixture in mixtures]
            save_file(
                stacked([load_file(folder / ADAPTER) for folder in folders]),
                working / "experts" / domain / ADAPTER, metadata={"format": "pt"},
            )  # fmt: skip
            heads = [load_file(folder / HEAD) for folder in folders]
            save_file({name: mean(heads, name) for name in heads[0]}, working / "experts" / domain / HEAD)
            change(working / "experts" / domain / "adapter_config.json", {"r": rank, "lora_alpha": scaling * rank})
        found = [json.loads((mixture / "metrics.json").read_text(encoding="utf-8")) for mixture in mixtures]
        change(working / "metrics.json", {"mean_of": found})
        working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/soup_experts.py OUT MIXTURE …")
    soup(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
