"""One expert of a finished mixture reads on; the other experts, the tables of n-grams and the router stay.

``python runs/read_on.py MIXTURE OUT DOMAIN ROWS --config FILE``: DOMAIN's expert goes on from where it is, with its
head, on ``ROWS/train.csv`` by the settings of FILE's stage ``expert`` (rank and alpha are its own), judged on
``ROWS/valid.csv``, and OUT is MIXTURE with it in its place. The training stands in ``OUT.expert``, where a run that was
stopped goes on. How long it has read, and the rows of this time, go to ``OUT/metrics.json``, ``read_on``.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from soup_experts import ADAPTER, HEAD, WEIGHTS, change

from finsa_moe.config import ExpertConfig
from finsa_moe.files import read_json, working_folder
from finsa_moe.model.checkpoint import BACKBONE, EXPERTS
from finsa_moe.training.expert import train_expert


def read_on(mixture: Path, out: Path, domain: str, rows: Path, config: Path) -> None:
    """Train, and write the mixture whole or not at all."""
    domains = read_json(mixture / "config.json")["domains"]
    if domain not in domains:
        raise SystemExit(f"{mixture}: no expert {domain}; known: {', '.join(domains)}")
    own, trained = mixture / EXPERTS / domain, out.with_name(f"{out.name}.expert")
    adapter = read_json(own / "adapter_config.json")
    settings = ExpertConfig.load(config, [f"rank={adapter['r']}", f"alpha={adapter['lora_alpha']:g}"])
    told = train_expert(
        domain, rows, trained, backbone=str(mixture / BACKBONE), settings=settings, resume=True, start=own,
        tokenizer_from=mixture,
    )  # fmt: skip
    with working_folder(out) as working:
        shutil.copytree(mixture, working, dirs_exist_ok=True)
        for name in (ADAPTER, HEAD):
            shutil.copy(trained / name, working / EXPERTS / domain / name)
        whole, at = load_file(mixture / WEIGHTS), domains.index(domain)
        for name, tensor in load_file(trained / HEAD).items():
            whole[f"heads.{name}"][at] = tensor
        save_file(whole, working / WEIGHTS, metadata={"format": "pt"})
        before = read_json(mixture / "metrics.json").get("read_on", {})
        summed = {key: told[key] + before.get(domain, {}).get(key, 0) for key in ("steps", "wall_seconds")}
        change(working / "metrics.json", {"read_on": before | {domain: {"rows": told["rows"], **summed}}})
        working.replace(out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("domain")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args()
    read_on(args.mixture, args.out, args.domain, args.rows, args.config)


if __name__ == "__main__":
    main()
