"""A deeper backbone that answers as the one it grew from, to be trained on (Chen et al. 2016, "Net2Net").

``python runs/grow.py BACKBONE OUT LAYER …``: after each LAYER named (counted from 1) comes a copy of it whose two
output projections are zero, so that at first it passes on what it gets. Heads and tokenizer come along. ModernBERT
alone, whose layers are ``x + attention(x)`` and ``x + feed_forward(x)``; its first has no norm and cannot be copied.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finsa_moe.files import working_folder

WEIGHTS = "model.safetensors"
SILENT = ("attn.Wo.weight", "mlp.Wo.weight")
_OF_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


def deeper(weights: dict[str, Tensor], after: list[int]) -> dict[str, Tensor]:
    """The weights with a silent copy after each layer of `after` (counted from 1)."""
    grown: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if not (found := _OF_LAYER.fullmatch(name)):
            grown[name] = weight
            continue
        layer, part = int(found[1]), found[2]
        at = layer + sum(each <= layer for each in after)
        grown[f"layers.{at}.{part}"] = weight
        if layer + 1 in after:
            grown[f"layers.{at + 1}.{part}"] = torch.zeros_like(weight) if part in SILENT else weight.clone()
    return grown


def grow(backbone: Path, out: Path, after: list[int]) -> None:
    """Write the deeper backbone's folder, whole or not at all."""
    config = json.loads((backbone / "config.json").read_text(encoding="utf-8"))
    layers = config["num_hidden_layers"]
    if config["model_type"] != "modernbert":
        raise SystemExit(f"{backbone}: a backbone of type {config['model_type']}; only ModernBERT can be grown")
    if len(set(after)) < len(after) or not all(1 < layer <= layers for layer in after):
        raise SystemExit(f"{backbone}: layers {after} to copy; name some of 2 to {layers}, each once")
    config["num_hidden_layers"] = layers + len(after)
    config["layer_types"] = [kind for at, kind in enumerate(config["layer_types"], 1) for _ in range(1 + (at in after))]
    with working_folder(out) as working:
        for file in (path for path in backbone.iterdir() if path.is_file() and path.name != WEIGHTS):
            shutil.copy2(file, working)
        save_file(deeper(load_file(backbone / WEIGHTS), after), working / WEIGHTS, metadata={"format": "pt"})
        (working / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit("usage: python runs/grow.py BACKBONE OUT LAYER …")
    grow(Path(sys.argv[1]), Path(sys.argv[2]), [int(layer) for layer in sys.argv[3:]])
