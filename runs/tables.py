"""Tables of n-grams for a finished mixture, from as many rows as there are; the network is not trained.

``python runs/tables.py MIXTURE OUT DOMAIN=FOLDER …``: MIXTURE with one table for the expert of each domain and one for
the router, all fitted anew on ``FOLDER/train.csv``. A mixture without rows of one of the classes has no table there.
``--router DOMAIN=FILE`` gives the router's table the texts of one more file of that domain. ``--weight DOMAIN=TIMES``
is what an expert's table counts beside its logits (1): more helps where the network reads a domain poorly, and costs
what turns on the order of words (EXPERIMENTS.md).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from expert_rows import rows
from soup_experts import change

from finsa_moe.data.ngrams import EXPERT_TABLE, ROUTER_TABLE, NGrams
from finsa_moe.files import read_json, working_folder
from finsa_moe.model.adapter import EXPERT_FACTS
from finsa_moe.model.checkpoint import EXPERTS
from finsa_moe.polarity import NAMES
from finsa_moe.training.ngrams import fit, fit_router

MOST = 150_000


def main() -> None:
    """Fit, and write the mixture whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", nargs="+", metavar="DOMAIN=FOLDER")
    parser.add_argument("--ngrams", type=int, default=MOST, help="most n-grams of a table")
    parser.add_argument("--weight", action="append", default=[], metavar="DOMAIN=TIMES")
    parser.add_argument("--router", action="append", default=[], metavar="DOMAIN=FILE")
    args = parser.parse_args()
    more = [word.split("=", 1) for word in args.router]
    weights = {name: float(times) for name, times in (word.split("=", 1) for word in args.weight)}
    folders = {name: Path(folder) for name, folder in (word.split("=", 1) for word in args.rows)}
    domains = read_json(args.mixture / "config.json")["domains"]
    if set(folders) != set(domains):
        parser.error(f"{args.mixture}: name rows of each of {', '.join(domains)}, found {', '.join(folders)}")
    for option, named in (("--weight", set(weights)), ("--router", {name for name, _ in more})):
        if odd := named - set(domains):
            parser.error(f"{option} {min(odd)}: no such expert; known: {', '.join(domains)}")
    learnt = {name: rows(folders[name] / "train.csv") for name in domains}
    with working_folder(args.out) as working:
        shutil.copytree(args.mixture, working, dirs_exist_ok=True)
        facts: dict[str, dict[str, float]] = {}

        def keep(name: str, table: NGrams | None, place: Path, rows: int) -> None:
            place.unlink(missing_ok=True)
            if table is not None:
                table.write(place)
            facts[name] = {"rows": rows, "ngrams": 0 if table is None else len(table.keys)}
            if name in weights:
                facts[name]["weight"] = weights[name]
            print(f"{name}: {facts[name]['ngrams']:,} n-grams of {rows:,} rows", flush=True)

        for name, found in learnt.items():
            texts, labels = [text for text, _ in found], [NAMES.index(label) for _, label in found]
            fitted = fit(texts, labels, args.ngrams, weight=weights.get(name, 1.0))
            keep(name, fitted, working / EXPERTS / name / EXPERT_TABLE, len(texts))
            change(working / EXPERTS / name / EXPERT_FACTS, {"ngrams": fitted is not None})
        every = [text for found in learnt.values() for text, _ in found]
        places = [at for at, found in enumerate(learnt.values()) for _ in found]
        for name, file in more:
            texts = [text for text, _ in rows(Path(file))]
            every, places = every + texts, places + [domains.index(name)] * len(texts)
        table = fit_router(every, places, args.ngrams, experts=len(domains))
        keep("router", table, working / ROUTER_TABLE, len(every))
        change(working / "config.json", {"router_ngrams": table is not None})
        change(working / "metrics.json", {"tables": facts})
        working.replace(args.out)


if __name__ == "__main__":
    main()
