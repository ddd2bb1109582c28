"""The other use of new rows: added to the training rows of an old expert, which is trained anew on all of them.

``python runs/joined_rows.py BACKBONE OUT OLD=FOLDER… [--data DIR] [--rows N] [--seeds …]``: draws the same rows and
judges by the same texts as ``runs/new_domain.py`` (whose OUT it shares), joins them to the prepared FOLDER of the old
domain that is nearest, trains that expert from the backbone, and scores it on the new domains and on its own dev file;
and once with nothing joined. A finished cell is a line of ``OUT/joined.jsonl`` and is not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from new_domain import Cell, drawn, judged, lines_of, macro, write

from finsa_moe.config import ExpertConfig, MergeConfig
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.polarity import NAMES
from finsa_moe.training.batches import Rows, read_split
from finsa_moe.training.expert import train_expert
from finsa_moe.training.merge import merge
from finsa_moe.training.probe import answers, encoder_of

NEAREST = {"announcements": "news", "headlines": "news", "microblog": "forum", "investors": "forum"}
"""The old domain whose expert would take a new one's rows."""
EXPERT = (
    "epochs=1", "batch_size=32", "warmup_steps=30", "eval_steps=100", "patience=0", "bf16=true", "trackers=none",
    "learning_rate=1e-3", "dropout=0", "max_length=256",
)  # fmt: skip


def run(old: str, backbone: str, rows: Rows, judges: Mapping[str, Rows], seed: int, work: Path) -> dict[str, Any]:
    """Train the expert of a domain on these rows, and score it on each set to judge by."""
    shutil.rmtree(work, ignore_errors=True)
    write(work / "data", rows.texts, [NAMES[label] for label in rows.labels])
    began = time.perf_counter()
    settings = ExpertConfig.load(None, [*EXPERT, f"seed={seed}"])
    facts = train_expert(old, work / "data", work / "expert", backbone=backbone, settings=settings, device="cpu")
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
    parser.add_argument("backbone")
    parser.add_argument("out", type=Path)
    parser.add_argument("old", nargs="+", metavar="OLD=FOLDER", help="Old domain and its prepared folder.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1000, help="Rows that are joined.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 21, 42])
    args = parser.parse_args()
    kept = args.out / "joined.jsonl"
    finished = {(cell["old"], cell["joined"], cell["seed"]) for cell in lines_of(kept)}
    for seed in args.seeds:
        for old, folder in (pair.split("=", 1) for pair in args.old):
            own, dev = read_split(Path(folder), "train"), read_split(args.data / old, "dev")
            parts = {domain: judged(args.out, args.data, domain) for domain, near in NEAREST.items() if near == old}
            for joined in ("nothing", *parts):
                if (old, joined, seed) in finished:
                    continue
                texts, labels = (
                    ([], []) if joined == "nothing" else drawn(parts[joined][0], Cell(joined, args.rows, seed))
                )
                ids = [NAMES.index(label) for label in labels]
                rows = Rows(own.file, [*own.texts, *texts], [*own.labels, *ids])
                judges = {old: dev, **{domain: test for domain, (_, test) in parts.items()}}
                facts = {"old": old, "joined": joined, "seed": seed}
                facts |= run(old, args.backbone, rows, judges, seed, args.out / "joined")
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(facts) + "\n")
                print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
