"""A mixture with another network for one of its experts; all else stays, its table of n-grams and the router too.

``python runs/replace_expert.py MIXTURE OUT DOMAIN EXPERT``: EXPERT is a folder of `finsa train-expert --start` that
went on from MIXTURE's own expert of DOMAIN, so that ranks and targets are the same. How long it read goes to
``OUT/metrics.json``, ``read_on``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file
from soup_experts import ADAPTER, HEAD, WEIGHTS, change

from finsa_moe.files import read_json

FACTS = ("steps", "rows", "wall_seconds")


def replace(mixture: Path, out: Path, domain: str, expert: Path) -> None:
    """Write the mixture, whole or not at all."""
    domains = read_json(mixture / "config.json")["domains"]
    if domain not in domains:
        raise SystemExit(f"{mixture}: no expert {domain}; known: {', '.join(domains)}")
    working = out.with_name(f".{out.name}.tmp{os.getpid()}")
    shutil.copytree(mixture, working)
    old, new = load_file(mixture / "experts" / domain / ADAPTER), load_file(expert / ADAPTER)
    if {name: tensor.shape for name, tensor in old.items()} != {name: tensor.shape for name, tensor in new.items()}:
        raise SystemExit(f"{expert}: does not go on from {mixture / 'experts' / domain}: other ranks or targets")
    for name in (ADAPTER, HEAD):
        shutil.copy(expert / name, working / "experts" / domain / name)
    whole, at = load_file(mixture / WEIGHTS), domains.index(domain)
    for name, tensor in load_file(expert / HEAD).items():
        whole[f"heads.{name}"][at] = tensor
    save_file(whole, working / WEIGHTS, metadata={"format": "pt"})
    told = read_json(expert / "metrics.json")
    before = read_json(mixture / "metrics.json").get("read_on", {})
    change(working / "metrics.json", {"read_on": before | {domain: {key: told[key] for key in FACTS}}})
    working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit("usage: python runs/replace_expert.py MIXTURE OUT DOMAIN EXPERT")
    replace(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
