"""The other use of new rows: an old expert learns them, among rows of its own so that it does not unlearn those.

``python runs/joined_rows.py MIXTURE OUT OLD=FOLDER… [--data DIR] [--rows N] [--seeds …]``: draws the same rows and
judges by the same texts as ``runs/new_domain.py`` (whose OUT it shares), joins them to three times as many rows of the
prepared FOLDER of the old domain that is nearest, lets that domain's expert of MIXTURE go on with them, and scores it
on the new domains and on its own dev file; and once with rows of its own alone, as many in all. A finished cell is a
line of ``OUT/joined.OLD.jsonl`` and is not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from made_of import made_of
from new_domain import Cell, drawn, judged, lines_of, macro, write

from finsa_moe.config import ExpertConfig, MergeConfig
from finsa_moe.files import read_json
from finsa_moe.model.checkpoint import BACKBONE, EXPERTS, load_mixture
from finsa_moe.polarity import NAMES
from finsa_moe.training.batches import Rows, read_split
from finsa_moe.training.expert import train_expert
from finsa_moe.training.merge import merge
from finsa_moe.training.probe import answers, encoder_of

NEAREST = {"announcements": "news", "headlines": "news", "microblog": "forum", "investors": "forum"}
"""The old domain whose expert would take a new one's rows."""
OWN = 3
"""Rows of its own beside each new one."""
EXPERT = (
    "epochs=2", "batch_size=32", "warmup_steps=10", "eval_steps=1000000", "patience=0", "bf16=true", "trackers=none",
    "learning_rate=5e-4", "dropout=0", "max_length=256",
)  # fmt: skip


def run(old: str, mixture: Path, rows: Rows, judges: Mapping[str, Rows], seed: int, work: Path) -> dict[str, Any]:
    """Let the expert of a domain go on with these rows, and score it on each set to judge by."""
    shutil.rmtree(work, ignore_errors=True)
    write(work / "data", rows.texts, [NAMES[label] for label in rows.labels])
    began = time.perf_counter()
    start = mixture / EXPERTS / old
    rank = read_json(start / "adapter_config.json")
    settings = ExpertConfig.load(None, [*EXPERT, f"seed={seed}", f"rank={rank['r']}", f"alpha={rank['lora_alpha']:g}"])
    facts = train_expert(
        old, work / "data", work / "expert", backbone=str(mixture / BACKBONE), settings=settings, device="cpu",
        start=start, tokenizer_from=mixture,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    merge({old: work / "expert"}, work / "moe", settings=MergeConfig.load(None, ["expert_dropout=0"]))
    model = load_mixture(work / "moe", device="cpu")
    encode = encoder_of(work / "moe", model)
    scores = {name: macro(part.labels, answers(model, encode, part, 0)) for name, part in judges.items()}
    shutil.rmtree(work)
    return {"rows": len(rows.texts), "steps": facts["steps"], "seconds": round(seconds, 1), "scores": scores}


def main() -> None:
    """Run what is missing, one line a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("old", nargs="+", metavar="OLD=FOLDER", help="Old domain and its prepared folder.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1000, help="Rows that are joined.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 21, 42])
    args = parser.parse_args()
    folders = dict(pair.split("=", 1) for pair in args.old)
    kept = {old: args.out / f"joined.{old}.jsonl" for old in folders}
    for old, folder in folders.items():
        made_of(kept[old], args.mixture, f"--rows {args.rows}", folder)
    finished = {(cell["old"], cell["joined"], cell["seed"]) for file in kept.values() for cell in lines_of(file)}
    for seed in args.seeds:
        for old, folder in folders.items():
            own, dev = read_split(Path(folder), "train"), read_split(args.data / old, "dev")
            parts = {domain: judged(args.out, args.data, domain) for domain, near in NEAREST.items() if near == old}
            for joined in ("nothing", *parts):
                if (old, joined, seed) in finished:
                    continue
                texts, labels = (
                    ([], []) if joined == "nothing" else drawn(parts[joined][0], Cell(joined, args.rows, seed))
                )
                wanted = (OWN + 1) * args.rows - len(texts)
                at = random.Random(seed).sample(range(len(own.texts)), min(wanted, len(own.texts)))
                rows = Rows(
                    own.file, [*(own.texts[i] for i in at), *texts],
                    [*(own.labels[i] for i in at), *(NAMES.index(label) for label in labels)],
                )  # fmt: skip
                judges = {old: dev, **{domain: test for domain, (_, test) in parts.items()}}
                facts = {"old": old, "joined": joined, "seed": seed}
                facts |= run(old, args.mixture, rows, judges, seed, args.out / "joined")
                with kept[old].open("a", encoding="utf-8") as file:
                    file.write(json.dumps(facts) + "\n")
                print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
