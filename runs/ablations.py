"""The paper's grids and our own choices, one knob turned at a time, on the compact backbone and the team's real data.

``python runs/ablations.py OUT [DATA] [--backbone DIR] [--seeds …] [--only KNOB …]``: every point trains its experts and
its mixture on the full training rows of news and boards, one epoch a stage, and answers the dev files routed and by the
true domain's expert. A finished cell is a file of ``OUT/cells`` and is not run again, nor are rows split again: where
``OUT/data`` is of other training files, the run ends and says so (``made_of.py``). Experts are shared by the points
whose stage 1 is the same. ``OUT/ablations.md`` and ``OUT/ablations.png`` are made of the seeds that are named,
differences being taken to the base, or to the point that ``--against`` names.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ablation_table import picture, table
from made_of import hashed, made_of

import finsa_moe
from finsa_moe.config import ExpertConfig, JointConfig, MergeConfig
from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.data.preparing.prepare import prepare
from finsa_moe.evaluation.comparison.cells import Answers, Cell, Cells
from finsa_moe.evaluation.fingerprints import of_folder
from finsa_moe.polarity import NAMES
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import JOINT, train_joint
from finsa_moe.training.merge import merge

DOMAINS = ("news", "forum")
ONE = "all"  # the domain of the one LoRA
SHARED = ("epochs=1", "batch_size=32", "warmup_steps=30", "eval_steps=100", "patience=0", "bf16=true", "trackers=none")
EXPERT = (*SHARED, "learning_rate=1e-3", "dropout=0", "max_length=256")
MERGE = ("expert_dropout=0",)
MIXED = (*SHARED, "learning_rate=3e-4", "router_steps=150", "router_warmup_steps=15")


@dataclass(frozen=True)
class Point:
    """One knob at one value: the settings it changes, by stage; whether experts start from one LoRA over all rows."""

    knob: str
    value: str
    expert: tuple[str, ...] = ()
    merging: tuple[str, ...] = ()
    joint: tuple[str, ...] = ()
    from_one: bool = False

    @property
    def name(self) -> str:
        """As its cells are called."""
        return f"{self.knob}={self.value}"


ROUTER_ALONE = ("epochs=0.01", "warm_heads=false")  # of stage 3 the router's warm-up, and four steps after it
BASE = Point("base", "1.5, 0.05, warm-up, all layers, rank 16, adaptive")
POINTS = (
    BASE,
    *(Point("routing_weight", v, joint=(f"routing_weight={v}",)) for v in ("0", "0.5", "1", "2")),
    *(Point("balance_weight", v, joint=(f"balance_weight={v}",)) for v in ("0", "0.005", "0.01")),
    Point("warm-up", "none", joint=("router_steps=0",)),
    Point("warm-up", "spares heads", joint=("warm_heads=false",)),
    *(Point("route_at", v, expert=(f"route_at={v}",), merging=(f"route_at={v}",)) for v in ("0.5", "1.0")),
    *(Point("rank", v, expert=(f"rank={v}", f"alpha={v}")) for v in ("4", "64")),
    Point("loss", "plain", expert=("loss=cross_entropy",), joint=("loss=cross_entropy",)),
    Point("one LoRA", "rank 16", expert=("epochs=2",)),
    Point("one LoRA", "rank 32", expert=("epochs=2", "rank=32", "alpha=32")),
    Point("experts", "two epochs, no joint", expert=("epochs=2",), joint=ROUTER_ALONE),
    Point("experts", "one LoRA first, no joint", joint=ROUTER_ALONE, from_one=True),
)


def main() -> None:
    """Run what is missing, then the table and the picture of what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--backbone", default="models/pretrained")
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 21, 42])
    parser.add_argument("--only", nargs="+", default=None, choices=sorted({point.knob for point in POINTS}))
    parser.add_argument("--against", default=BASE.name, choices=[point.name for point in POINTS], metavar="POINT")
    args = parser.parse_args()
    for domain in DOMAINS:
        folder, source = args.out / "data" / domain, args.data / domain / "train.csv"
        made_of(folder, source)
        if not (folder / "report.json").is_file():
            prepare([source], domain=domain, out=folder, ratios=(95, 5, 0))
    pooled(args.out / "data")
    tests = {domain: read(args.data / domain / "dev.csv") for domain in DOMAINS}
    inputs: dict[str, Sequence[object]] = {f"test/{k}": [*t, *y] for k, (t, y) in tests.items()}
    for split in ("train", "valid"):  # the latter picks the checkpoint
        for domain in DOMAINS:
            rows = args.out / "data" / domain / f"{split}.csv"
            inputs[f"{split}/{domain}"] = rows.read_text(encoding="utf-8").splitlines()
    store = Cells(args.out / "cells", inputs)
    points = [point for point in POINTS if args.only is None or point.knob in args.only]
    found: dict[tuple[Point, int], Answers] = {}
    for seed in args.seeds:  # a whole row of points by one seed says more than one point by all
        for point in points:
            cell, mark = Cell(point.name, seed), fingerprint(point, args.backbone)
            if (kept := store.find(cell, mark)) is None:
                kept = run(point, seed, args.backbone, args.out, {name: texts for name, (texts, _) in tests.items()})
                store.keep(cell, kept, mark)
                print(f"{point.name}, seed {seed}: {json.dumps(dict(kept.facts))}", flush=True)
            found[point, seed] = kept
    truth = {name: np.array([NAMES.index(label) for label in labels]) for name, (_, labels) in tests.items()}
    clusters = {name: near_clusters(texts).ids for name, (texts, _) in tests.items()}
    against = next(point for point in POINTS if point.name == args.against)
    (args.out / "ablations.md").write_text(table(found, truth, clusters, against), encoding="utf-8")
    picture(found, truth, against, args.out / "ablations.png")
    print((args.out / "ablations.md").read_text(encoding="utf-8"))


def pooled(folder: Path) -> None:
    """The rows of all domains as those of one."""
    (folder / ONE).mkdir(exist_ok=True)
    for split in ("train", "valid"):
        rows = [row for domain in DOMAINS for row in _rows(folder / domain / f"{split}.csv")]
        with (folder / ONE / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("id", "text", "label"), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def read(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a file."""
    rows = _rows(path)
    return [row["text"] for row in rows], [row["label"] for row in rows]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fingerprint(point: Point, backbone: str) -> str:
    """A fingerprint of all settings of a point and of what it is trained on from."""
    settings = [EXPERT, MERGE, MIXED, point.expert, point.merging, point.joint, content(backbone)]
    return json.dumps([*settings, "from one"] if point.from_one else settings)


def content(backbone: str) -> str:
    """A backbone by its files, as another may come to stand in its folder; one of the hub by its name."""
    folder = Path(backbone)
    return of_folder(folder) if folder.is_dir() else backbone


def run(point: Point, seed: int, backbone: str, out: Path, tests: Mapping[str, list[str]]) -> Answers:
    """Train one cell and answer the test sets; its seconds count each expert whole, whichever cell trained it."""
    names = (ONE,) if point.knob == "one LoRA" else DOMAINS
    experts, facts, first = {}, dict[str, Any](rows=0, steps=0, seconds=0.0), None

    def trained(name: str) -> Path:
        folder, cost = expert(point, name, seed, backbone, out, first)
        for key, one in cost.items():
            facts[key] += one
        return folder

    if point.from_one:
        first = trained(ONE)
    for name in names:
        experts[name] = trained(name)
    began = time.perf_counter()
    work = out / f"cell{os.getpid()}"  # a process for some of the seeds may run beside one for the others
    shutil.rmtree(work, ignore_errors=True)
    merge(experts, work / "start", settings=MergeConfig.load(None, [*MERGE, *point.merging, f"seed={seed}"]))
    model = work / "start"
    if len(names) > 1:
        settings = JointConfig.load(None, [*MIXED, *point.joint, f"seed={seed}"])
        done = train_joint(
            work / "start", {name: out / "data" / name for name in names}, work / "joint", settings=settings
        )
        facts["joint_steps"] = sum(phase["steps"] for phase in done.values())
        model = work / "joint" / JOINT
    finsa = finsa_moe.load(model)
    probs, chosen = {}, {}
    for name, texts in tests.items():
        answered = finsa.predict(texts)
        probs[name] = np.array([list(a.scores.values()) for a in answered], dtype=np.float32)
        chosen[name] = [a.expert for a in answered]
        if len(names) > 1:
            probs[f"{name}/own"] = finsa.predict_proba(texts, domain=name).astype(np.float32)
    shutil.rmtree(work)
    return Answers(probs, chosen, {**facts, "seconds": round(facts["seconds"] + time.perf_counter() - began, 1)})


def expert(
    point: Point, name: str, seed: int, backbone: str, out: Path, start: Path | None = None
) -> tuple[Path, dict[str, Any]]:
    """The expert of a domain by the point's stage 1, trained once for all that share it and rows: folder, its cost."""
    settings = ExpertConfig.load(None, [*EXPERT, *point.expert, f"seed={seed}"])
    rows = hashed(str(out / "data" / name))
    stage = f"{settings}\n{rows}\n{content(backbone)}" + (f"\n{start.name}" if start else "")
    folder = out / "experts" / f"{name}-{hashlib.sha256(stage.encode()).hexdigest()[:12]}"
    facts = train_expert(
        name, out / "data" / name, folder, backbone=backbone, settings=settings, resume=True, start=start
    )
    return folder, {"rows": facts["rows"], "steps": facts["steps"], "seconds": facts["wall_seconds"]}


if __name__ == "__main__":
    main()
