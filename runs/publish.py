"""Put a finished run of ``runs/default_model.sh`` where users meet it: graphs in the package, weights beside, a card.

``python runs/publish.py OUT [DATA] [--precision int8]`` of what ``runs/tables.sh`` made: OUT/runtime →
``src/finsa_moe/assets/default`` (graphs of one precision), OUT/moe → ``models/default``; the graphs as they ship are
judged on DATA by ``runs/dev.py`` and ``runs/examine.py``, TF-IDF on the rows that the run learnt from by
``runs/tfidf.py`` (skipped when OUT has its result), and the card is written from that and the run. No score in it is
typed by hand. Both folders are filled beside those that stand, and take their places when everything is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import card
from dev import FILES, TFIDF, check_data

from finsa_moe import load
from finsa_moe.data.ngrams import ROUTER_TABLE
from finsa_moe.data.reading.read import read_texts
from finsa_moe.export.known import KNOWN
from finsa_moe.files import working_folder
from finsa_moe.model.checkpoint import BACKBONE
from finsa_moe.training.heads import HEAD_FACTS, HEADS

PACKAGE, WEIGHTS = Path("src/finsa_moe/assets/default"), Path("models/default")
TRAINED = (
    "config.json",
    "config.yaml",
    "metrics.json",
    "model.safetensors",
    "replay.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: Any) -> None:
    """A JSON file, indented."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def graphs(source: Path, target: Path, precision: str) -> None:
    """The exported folder with the graphs of one precision."""
    config = read(source / "config.json")
    kept = config["graphs"][precision]
    config["graphs"] = {precision: kept}
    tables = (*config.get("ngrams", ()), config.get("router_ngrams"))
    parts = [kept["trunk"], *kept["experts"], config["tokenizer"], config["novelty"], *tables]
    for name in (part["file"] for part in parts if part):
        shutil.copy(source / name, target / name)
    write(target / "config.json", config)
    proof = read(source / "export.json")
    proof["parity"] = {name: found for name, found in proof["parity"].items() if name.endswith(precision)}
    write(target / "export.json", proof)


def weights(source: Path, target: Path, name: Path) -> None:
    """The mixture to train on from: backbone, experts, router, heads; no path but the one it will stand under."""
    for part in TRAINED:
        shutil.copy(source / part, target / part)
    if (source / ROUTER_TABLE).is_file():
        shutil.copy(source / ROUTER_TABLE, target)
    for folder in ("backbone", "experts"):
        shutil.copytree(source / folder, target / folder)
    made_from = read(source / "config.json")["backbone"]["name"]
    for file in target.rglob("*.json"):
        content = file.read_text(encoding="utf-8")
        if made_from in content:
            file.write_text(content.replace(made_from, (name / "backbone").as_posix()), encoding="utf-8")
    metrics = read(target / "metrics.json")
    for part in (metrics, *metrics["mean_of"]):
        part.pop("data", None)
    write(target / "metrics.json", metrics)
    shutil.copy(source / "tokenizer.json", target / "backbone")
    shutil.copy(source / "tokenizer_config.json", target / "backbone")


def heads(student: Path, target: Path) -> None:
    """The student's heads beside its weights, for experts that start from one (`finsa train-expert --head`)."""
    shutil.copy(student / HEADS, target)
    tasks = read(student / HEAD_FACTS)["tasks"]
    kept = {name: {key: task[key] for key in ("rows", "names")} for name, task in tasks.items()}
    write(target / HEAD_FACTS, {"tasks": kept})


def agreement(trained: Path, shipped: Path, data: Path) -> dict[str, int]:
    """How many dev texts there are, and how many the graphs answer otherwise than the weights."""
    texts = read_texts(sorted(data.glob("*/dev*.csv")))
    one, two = ([answer.polarity for answer in load(model).predict(texts)] for model in (trained, shipped))
    return {"texts": len(texts), "different": sum(a != b for a, b in zip(one, two, strict=True))}


def replace(made: Mapping[Path, Path]) -> None:
    """Put folders in the places of others, by these: all of them or, where it ends before, none."""
    with ExitStack() as until_all:
        asides = {target: until_all.enter_context(working_folder(target)) for target in made}
        try:
            for target, folder in made.items():
                if target.exists():
                    target.replace(asides[target])
                folder.replace(target)
        except BaseException:
            for target, folder in made.items():
                if not folder.exists():
                    target.replace(folder)
                if any(asides[target].iterdir()):
                    asides[target].replace(target)
            raise


def script(name: str, *words: object) -> None:
    """Run a script of this folder."""
    file = Path(__file__).with_name(f"{name}.py")
    subprocess.run([sys.executable, str(file), *map(str, words)], check=True)


def main() -> None:
    """Copy, describe, say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--precision", default="int8")
    args = parser.parse_args()
    check_data(parser, args.data, FILES)
    card.start(args.out, (args.out / "last").is_dir())  # what it cannot tell of is said before all that takes minutes
    baseline = args.out / TFIDF.name
    if not baseline.is_file():
        script("tfidf", args.out, args.data)
    with working_folder(PACKAGE) as package, working_folder(WEIGHTS) as trained:
        graphs(args.out / "runtime", package, args.precision)
        script("dev", package, args.data, "--json", args.out / "dev.json", "--tfidf", baseline)
        script("examine", package, args.data, "--json", args.out / "examine.json")
        write(args.out / "agreement.json", agreement(args.out / "moe", package, args.data))
        weights(args.out / "moe", trained, WEIGHTS)
        if students := [folder for name in ("last", "student") if (folder := args.out / name).is_dir()]:
            heads(students[0], trained / BACKBONE)  # without one the mixture was finished before, and has them
        shutil.copy(args.out / "runtime" / KNOWN, trained)  # for who adds a domain; answering needs none of it
        facts = card.facts(args.out, package, args.precision)
        write(package / "card.json", facts)
        text = card.text(facts, baseline)
        for folder in (package, trained):
            (folder / "README.md").write_text(text, encoding="utf-8")
        replace({PACKAGE: package, WEIGHTS: trained})
    shutil.copy(baseline, TFIDF)
    for folder in (PACKAGE, WEIGHTS):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(f"{folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
