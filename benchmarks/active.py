"""How many rows chosen by `finsa sample` teach as much as how many chosen at random: a simulation on labelled files.

Each file whose labels the default model has not learnt from is halved by a seed: one half is the pool, its labels
hidden until a row is chosen, the other is judged on. The default model's doubts choose the first rows, those of a
learner that is trained anew after every round choose the others. Learners: logistic regression on the default model's
pooled states, which stay frozen, and on character TF-IDF. Run: ``python -m benchmarks.active``; ``--one-shot`` adds
the command as typed once: all rows of a budget by its own function, the default model's doubts alone, no two near.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmarks.measure import keep, need
from finsa_moe import load
from finsa_moe.data.keys import duplicate_keys
from finsa_moe.labelling.sample import SampleSettings, sample
from finsa_moe.labelling.sampling import choose, standing, worth
from finsa_moe.runtime.distinct import Pool
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.states import pooled_states

DATA = Path("../shared/data")
DEV = ("news/dev", "forum/dev", "forum/dev_investors", "forum/dev_finfe")
RISK = "other/weibo_risk_binary"
FILES = {**{name: (name,) for name in DEV}, "the four together": DEV, RISK: (RISK,)}
BUDGETS = (15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200)
JUDGED = (40, 60, 80, 100, 130, 160)
WAYS = ("random", "sampled", "without worth", "without classes", "unsurest")
"""Chance; `finsa sample`; it with all texts of one worth, or with no regard for guessed classes; the worthiest."""
ONE_SHOT = "one-shot"
"""`finsa sample` typed once for a whole budget: its own function, where `sampled` has its parts in rounds."""
SPLITS = {"states": 10, "tfidf": 2}
"""Halvings of a file by seed."""
_CLASSES = {"利空": 0, "中性": 1, "利好": 2, "非利空": 1}
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """One file: texts, labels, and what the default model gives: states (n, d), novelty (n,), probabilities (n, 3).

    `experts` (n,) are those that answered, as positions in `predictor`'s domains; `one_shot` alone asks for these two.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    states: NDArray[np.float32]
    novelty: Reals
    probs: Reals
    experts: NDArray[np.int64]
    predictor: Predictor


def read(names: Sequence[str]) -> Rows:
    """Labelled files, with states and novelty."""
    rows = []
    for name in names:
        with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    finsa = load()
    answers = finsa.predict(texts)
    novelty = np.array([answer.novelty for answer in answers], dtype=np.float64)
    probs = np.array([list(answer.scores.values()) for answer in answers])
    labels = np.array([_CLASSES[row["label"]] for row in rows], dtype=np.int64)
    experts = np.array([finsa.domains.index(answer.expert) for answer in answers], dtype=np.int64)
    states = pooled_states(finsa.predictor, texts, experts)
    return Rows(texts, labels, states, novelty, probs, experts, finsa.predictor)


def features(rows: Rows, pool: NDArray[np.int64], kind: str) -> Any:
    """What a learner sees of every row; scales and vocabulary are the pool's."""
    if kind == "states":
        mean, spread = rows.states[pool].mean(axis=0), rows.states[pool].std(axis=0) + 1e-6
        return (rows.states - mean) / spread / math.sqrt(rows.states.shape[1])
    vocabulary = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    vocabulary.fit([rows.texts[at] for at in pool])
    return vocabulary.transform(rows.texts)


def taught(kind: str, seen: Any, labels: NDArray[np.int64]) -> LogisticRegression | DummyClassifier:
    """A learner of some rows; of rows of one class it knows nothing but that class."""
    one = len(np.unique(labels)) == 1
    return (DummyClassifier() if one else learner(kind)).fit(seen, labels)


def learner(kind: str) -> LogisticRegression:
    """A fresh one; on TF-IDF with classes weighed alike and a low penalty, else it answers the largest class alone."""
    if kind == "states":
        return LogisticRegression(C=1.0, max_iter=300)
    return LogisticRegression(C=10.0, max_iter=300, class_weight="balanced")


def chosen(way: str, rows: Rows, left: NDArray[np.int64], probs: Reals, n: int, seed: int) -> NDArray[np.int64]:
    """Places in `left` of n rows, chosen one of `WAYS` by the probabilities (left, 3) of whoever doubts."""
    if way == "random":
        return np.random.default_rng(seed).choice(len(left), n, replace=False)
    worths = np.ones(len(left)) if way == "without worth" else worth(probs, rows.novelty[left])
    if way == "unsurest":
        return np.argsort(-worths, kind="stable")[:n]
    stand = standing(worths, n, seed=seed)
    kinds = None if way == "without classes" else probs[stand].argmax(axis=1)
    found = choose(worths[stand], rows.states[left[stand]], n, kinds=kinds, seed=seed)
    return stand[[one.at for one in found]]


def one_shot(rows: Rows, left: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Places in `left` of the rows that ``finsa sample --n N`` gives for a file of these; fewer when no more differ."""
    place: dict[str, int] = {}
    for at, key in enumerate(duplicate_keys([rows.texts[row] for row in left])):
        place.setdefault(key, at)  # of equal texts the first, as `read_pool` has it
    own = left[list(place.values())]
    pool = Pool(
        ids=[str(at) for at in place.values()], texts=[rows.texts[row] for row in own], dates=None, keys=list(place),
        repeats=np.ones(len(own), dtype=np.int64), probs=rows.probs[own], novelty=rows.novelty[own],
        experts=rows.experts[own], domains=rows.predictor.engine.domains, rows=len(left), refused=0,
    )  # fmt: skip
    return np.array([int(str(row["id"])) for row in sample(rows.predictor, pool, SampleSettings(n, seed=seed))])


def curve(rows: Rows, way: str, kind: str, seed: int) -> list[float]:
    """Macro-F1 on the other half after each of `BUDGETS`."""
    order = np.random.default_rng(seed).permutation(len(rows.labels))
    pool, judged = order[: len(order) // 2], order[len(order) // 2 :]
    seen = features(rows, pool, kind)
    left, labelled, found = pool, np.zeros(0, dtype=np.int64), []
    probs = rows.probs[left]
    for budget in BUDGETS:
        if way == ONE_SHOT:  # every budget is a command of its own: no row of a smaller one is kept
            labelled = pool[one_shot(rows, pool, budget, seed)]
        else:
            new = chosen(way, rows, left, probs, budget - len(labelled), seed + budget)
            labelled = np.concatenate([labelled, left[new]])
            left = np.delete(left, new)
        model = taught(kind, seen[labelled], rows.labels[labelled])
        if way != ONE_SHOT:
            probs = np.zeros((len(left), 3))
            probs[:, model.classes_] = model.predict_proba(seen[left])
        found.append(float(f1_score(rows.labels[judged], model.predict(seen[judged]), average="macro")))
    return found


def share_needed(random: Reals, other: Reals, budget: int) -> float:
    """Rows that another way needs for the macro-F1 of `budget` random ones, over `budget`; infinite when not reached.

    Both curves are made to rise first (isotonic regression), lest one lucky point decide.
    """
    at = np.array(BUDGETS, dtype=np.float64)
    wanted, curve = (IsotonicRegression().fit_transform(at, values) for values in (random, other))
    target = wanted[BUDGETS.index(budget)]
    reached = np.flatnonzero(curve >= target - 1e-12)
    if not len(reached):
        return math.inf
    first = int(reached[0])
    if first == 0:
        return BUDGETS[0] / budget
    low, high = curve[first - 1], curve[first]
    return float(at[first - 1] + (target - low) / (high - low) * (at[first] - at[first - 1])) / budget


def needed(random: Reals, other: Reals) -> dict[str, dict[str, float]]:
    """`share_needed` of mean curves at each of `JUDGED`, with 95 % intervals over halvings drawn anew."""
    rng = np.random.default_rng(13)
    draws = rng.integers(len(random), size=(1000, len(random)))
    found = {}
    for budget in JUDGED:
        drawn = [share_needed(random[at].mean(axis=0), other[at].mean(axis=0), budget) for at in draws]
        low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
        share = share_needed(random.mean(axis=0), other.mean(axis=0), budget)
        found[str(budget)] = {"share": _finite(share), "low": _finite(low), "high": _finite(high)}
    return found


def _summed(curves: Reals) -> dict[str, list[float]]:
    """Mean over halvings, and the standard deviation of one halving."""
    return {"mean": curves.mean(axis=0).round(4).tolist(), "sd": curves.std(axis=0, ddof=1).round(4).tolist()}


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return round(float(value), 3) if math.isfinite(value) else None


def simulated(name: str, seeds: Sequence[int], more: Sequence[str] = ()) -> dict[str, Any]:
    """Curves and shares of one file, by learner; `more` are ways beside `WAYS`."""
    rows, found = read(FILES[name]), {}
    for kind in ("states", "tfidf"):
        ways = (*(WAYS if kind == "states" else WAYS[:2]), *more)
        drawn = [1000 * seed + split for seed in seeds for split in range(SPLITS[kind])]
        curves = {way: np.array([curve(rows, way, kind, seed) for seed in drawn]) for way in ways}
        entry: dict[str, Any] = {"curves": {way: _summed(values) for way, values in curves.items()}}
        for way in ways[1:]:
            entry[way] = needed(curves["random"], curves[way])
            shown = [_shown(entry[way][str(budget)]) for budget in JUDGED]
            print(f"{name:26}{kind:8}{way:17}" + "  ".join(shown), flush=True)
        found[kind] = entry
    return found


def main() -> None:
    """Run every file, two at a time, print the table and keep the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="13,21,42,87,123")
    parser.add_argument("--one-shot", action="store_true", help="also the command as typed once for each budget")
    given = parser.parse_args()
    need(DATA)
    seeds, more = [int(word) for word in given.seeds.split(",")], (ONE_SHOT,) * given.one_shot
    print(
        f"share of random's rows needed for its macro-F1 with {', '.join(map(str, JUDGED))} rows (95 % over halvings)"
    )
    with ProcessPoolExecutor(2) as pool:
        results: dict[str, Any] = {}
        for name, found in zip(FILES, pool.map(partial(simulated, seeds=seeds, more=more), FILES), strict=True):
            results[name] = found
            kept = keep("active", {"seeds": seeds, "budgets": BUDGETS, "judged": JUDGED, "files": results})
    print(kept)


def _shown(entry: dict[str, float | None]) -> str:
    share, low, high = ("  – " if entry[key] is None else f"{entry[key]:.2f}" for key in ("share", "low", "high"))
    return f"{share} ({low}–{high})"


if __name__ == "__main__":
    main()
