"""What a model makes of texts that are changed, short, or written to probe it: routing, characters, behaviour.

``python runs/examine.py MODEL [DATA] [--json F]``: the share of headlines (of a set that ``runs/default_model.sh``
holds out of joint training, though its student has learnt their labels) that go to news, by length in characters; the
share of dev texts with one answer in both kinds of characters; of those that name a listed company, the share with one
answer under names that no row was made with; the share of sentences answered right that were written as those of
``runs/written`` were but never learnt from; and the behavioural suite of ``tests/behaviour`` by skill.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import companies
import numpy as np
from dev import FILES, check_data
from opencc import OpenCC

from finsa_moe import FinSA, load

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.behaviour.suite import read_cases, score

DEV = tuple(FILES)
HEADLINES = "news/extra_xmu_binary"
WRITTEN = Path(__file__).with_name("written")
EDGES = (0, 12, 16, 20, 24, 30, 10_000)


def texts(file: Path) -> list[str]:
    """The text column of a CSV."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [row["text"] for row in csv.DictReader(opened)]


def polarities(finsa: FinSA) -> Callable[[Sequence[str]], list[str]]:
    """Texts to 利空, 中性 or 利好."""
    return lambda asked: [answer.sentiment for answer in finsa.predict(list(asked))]


def headlines(finsa: FinSA, data: Path) -> dict[str, Any]:
    """Share routed to news, over all and by length in characters."""
    found = texts(data / f"{HEADLINES}.csv")
    right = np.array([answer.expert == "news" for answer in finsa.predict(found)])
    lengths = np.array([len(text) for text in found])
    buckets = []
    for low, high in pairwise(EDGES):
        inside = (lengths >= low) & (lengths < high)
        if inside.any():
            buckets.append(
                {"from": low, "to": high - 1, "texts": int(inside.sum()), "news": float(right[inside].mean())}
            )
    return {"texts": len(found), "news": float(right.mean()), "by_length": buckets}


def characters(finsa: FinSA, data: Path) -> dict[str, float]:
    """Share of texts that keep their polarity in traditional characters, by dev file."""
    convert, ask = OpenCC("s2t").convert, polarities(finsa)
    found = {}
    for name in DEV:
        plain = texts(data / f"{name}.csv")
        same = [a == b for a, b in zip(ask(plain), ask([convert(text) for text in plain]), strict=True)]
        found[name] = float(np.mean(same))
    return found


def other_names(finsa: FinSA, data: Path) -> dict[str, dict[str, float]]:
    """Dev texts that name a company, three times each under other names: how many, share that keep their polarity."""
    generator, ask = random.Random(companies.SEED), polarities(finsa)
    found = {}
    for name in DEV:
        plain = [text for text in texts(data / f"{name}.csv") if companies.named(text)]
        before, same = ask(plain), []
        for _ in range(3):
            renamed = ask([companies.exchanged(text, companies.KEPT, generator) for text in plain])
            same += [a == b for a, b in zip(before, renamed, strict=True)]
        found[name] = {"texts": len(plain), "same": float(np.mean(same))}
    return found


def written(finsa: FinSA) -> dict[str, dict[str, float]]:
    """Share of held-out sentences answered right, by register and skill; ``all`` are all of a register."""
    found = {}
    for domain in ("news", "forum"):
        with (WRITTEN / f"held_{domain}.csv").open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        said = polarities(finsa)([row["text"] for row in rows])
        right = np.array([answer == row["label"] for answer, row in zip(said, rows, strict=True)])
        skills = np.array([row["skill"] for row in rows])
        by_skill = {str(skill): float(right[skills == skill].mean()) for skill in np.unique(skills)}
        found[domain] = {"sentences": len(rows), "all": float(right.mean()), **by_skill}
    return found


def main() -> None:
    """Print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_data(parser, args.data, (HEADLINES, *DEV))
    finsa = load(args.model)
    routed, forms = headlines(finsa, args.data), characters(finsa, args.data)
    print(f"headlines routed to news: {100 * routed['news']:.1f} % of {routed['texts']:,}")
    for bucket in routed["by_length"]:
        share = f"{100 * bucket['news']:5.1f} % of {bucket['texts']:,}"
        print(f"  {bucket['from']:3d} to {bucket['to']:5d} characters: {share}")
    for name, share in forms.items():
        print(f"same answer in traditional characters, {name}: {100 * share:.1f} %")
    names = other_names(finsa, args.data)
    for name, kept in names.items():
        print(f"same answer under other companies' names, {name}: {100 * kept['same']:.1f} % of {kept['texts']} thrice")
    sentences = written(finsa)
    for domain, shares in sentences.items():
        told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items() if name != "sentences")
        print(f"{shares['sentences']} sentences written but not learnt from, {domain}: {told}")
    result = score(read_cases(), polarities(finsa))
    swaps = result.rate(skill="entity_swap", kind="invariance")
    print(result.table())
    print(f"answers that another name leaves as they are: {100 * swaps:.1f} %")
    if args.json:
        missed = [
            {"skill": outcome.case.skill, "text": text, "expected": expected, "answered": answered}
            for outcome in result.failures()
            for text, expected, answered in zip(
                outcome.case.texts, outcome.case.expected, outcome.answers, strict=False
            )
            if expected != answered
        ]
        behaviour = {
            "cases": len(result.outcomes), "overall": result.rate(), "by_skill": result.by_skill(),
            "names_swapped": swaps, "missed": missed,
        }  # fmt: skip
        everything = {
            "headlines": routed, "traditional": forms, "names": names, "written": sentences, "behaviour": behaviour,
        }  # fmt: skip
        args.json.write_text(json.dumps(everything, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
