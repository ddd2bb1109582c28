"""Keep a backbone's weights in the repository: bf16 safetensors, the tokenizer, the facts of its training.

``python runs/keep.py work/wip models/pretrained``: the folder of `finsa pretrain` goes in, finished or not; a folder
that `AutoModel` loads and that another run can start from (``finsa pretrain --init``) comes out. ``history.json`` there
keeps a line a sitting; give each sitting a seed of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import ModernBertModel

from finsa_moe.config import PretrainConfig
from finsa_moe.training.compact import save_backbone
from finsa_moe.training.pretrain import compact_config


def main() -> None:
    """Read the newest state of a run and write its backbone in half the size."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    run = source / "run"
    settings = PretrainConfig.load(run / "config.yaml")
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    backbone = ModernBertModel(compact_config(settings, tokenizer.get_vocab_size()))
    weights = load_file(run / "state" / "model.safetensors")
    backbone.load_state_dict(
        {name.removeprefix("backbone."): weights[name] for name in weights if name.startswith("backbone.")}
    )
    facts = json.loads((run / "state" / "progress.json").read_text())
    target.mkdir(parents=True, exist_ok=True)
    save_backbone(backbone.to(torch.bfloat16), tokenizer, target, settings.max_length, facts)
    settings.save(target / "pretrain.yaml")
    history = target / "history.json"
    sittings = json.loads(history.read_text()) if history.is_file() else []
    now = {"seed": settings.seed, "tokens": facts["tokens"], "minutes": round(facts["minutes"])}
    if sittings and sittings[-1]["seed"] == now["seed"] and sittings[-1]["tokens"] <= now["tokens"]:
        sittings.pop()  # the same sitting, further on
    history.write_text("[\n " + ",\n ".join(json.dumps(sitting) for sitting in [*sittings, now]) + "\n]\n")
    print(f"{target}: {facts['step']} steps, {facts['tokens'] / 1e6:.1f} M tokens")


if __name__ == "__main__":
    main()
