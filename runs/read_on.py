"""One expert of a finished mixture reads on; the other experts, the tables of n-grams and the router stay.

``python runs/read_on.py MIXTURE OUT DOMAIN ROWS --config FILE [--seeds 13,21,42]``: DOMAIN's expert goes on from where
it is, with its head, on ``ROWS/train.csv`` by the settings of FILE's stage ``expert`` (rank and alpha are its own),
judged on ``ROWS/valid.csv``, and OUT is MIXTURE with it in its place. Of several seeds it is the mean: all begin from
the same low-rank factors and do not go far, so that the factors' mean is of the same rank (Wortsman et al. 2022). The
training of a seed stands in ``OUT.expert.SEED``, where a run that was stopped goes on. How long it has read, and the
rows of this time, go to ``OUT/metrics.json``, ``read_on``.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from soup_experts import ADAPTER, HEAD, WEIGHTS, change

from finsa_moe.config import ExpertConfig
from finsa_moe.files import read_json, working_folder
from finsa_moe.model.checkpoint import BACKBONE, EXPERTS
from finsa_moe.training.expert import train_expert


def mean(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of tensors by name, in the number format of the first file's."""
    parts = [load_file(file) for file in files]
    return {
        name: torch.stack([part[name].float() for part in parts]).mean(0).to(first.dtype)
        for name, first in parts[0].items()
    }


def read_on(mixture: Path, out: Path, domain: str, rows: Path, config: Path, seeds: Sequence[int]) -> None:
    """Train, and write the mixture whole or not at all."""
    domains = read_json(mixture / "config.json")["domains"]
    if domain not in domains:
        raise SystemExit(f"{mixture}: no expert {domain}; known: {', '.join(domains)}")
    own = mixture / EXPERTS / domain
    adapter = read_json(own / "adapter_config.json")
    trained = {seed: out.with_name(f"{out.name}.expert.{seed}") for seed in seeds}
    told = []
    for seed, place in trained.items():
        words = [f"rank={adapter['r']}", f"alpha={adapter['lora_alpha']:g}", f"seed={seed}"]
        told.append(
            train_expert(
                domain, rows, place, backbone=str(mixture / BACKBONE), settings=ExpertConfig.load(config, words),
                resume=True, start=own, tokenizer_from=mixture,
            )
        )  # fmt: skip
    with working_folder(out) as working:
        shutil.copytree(mixture, working, dirs_exist_ok=True)
        for name in (ADAPTER, HEAD):
            tensors = mean([place / name for place in trained.values()])
            save_file(tensors, working / EXPERTS / domain / name, metadata={"format": "pt"})
        whole, at = load_file(mixture / WEIGHTS), domains.index(domain)
        for name, tensor in load_file(working / EXPERTS / domain / HEAD).items():
            whole[f"heads.{name}"][at] = tensor
        save_file(whole, working / WEIGHTS, metadata={"format": "pt"})
        before = read_json(mixture / "metrics.json").get("read_on", {})
        known = before.get(domain, {})
        facts = {
            "rows": told[0]["rows"],
            "steps": known.get("steps", 0) + told[0]["steps"],
            "wall_seconds": known.get("wall_seconds", 0) + sum(one["wall_seconds"] for one in told),
            "seeds": len(seeds),
        }
        change(working / "metrics.json", {"read_on": before | {domain: facts}})
        working.replace(out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("domain")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--seeds", default="13", help="by commas; of several the mean is kept")
    args = parser.parse_args()
    seeds = [int(word) for word in args.seeds.split(",")]
    read_on(args.mixture, args.out, args.domain, args.rows, args.config, seeds)


if __name__ == "__main__":
    main()
