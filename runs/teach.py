"""Several teachers' mean answer to texts: backbones that `finsa adapt` trained, and character TF-IDF on labelled rows.

``python runs/teach.py INPUT OUTPUT --ask FOLDER:TASK … --tfidf DATA …`` reads ``id,text`` and writes
``id,text,bearish,neutral,bullish`` for ``finsa adapt --soft``. Where INPUT has labels, each teacher's macro-F1 and
their mean's are printed, so that a set of teachers can be judged on dev files before it teaches. DATA is a folder of
``train.csv`` and ``valid.csv``, of which the second chooses C.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from whole_csv import write

from finsa_moe.data.reading.read import read_frame
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.metrics import score
from finsa_moe.polarity import ENGLISH, NAMES
from finsa_moe.training.answers import TaskModelAnswers


def tfidf(folder: Path, texts: list[str]) -> NDArray[np.float64]:
    """Shares (n, 3) of a baseline trained on the folder's rows."""
    train, valid = (read_frame(folder / f"{name}.csv") for name in ("train", "valid"))
    model = TfidfBaseline().fit(
        train["text"].to_list(), train["label"].to_list(), dev=(valid["text"].to_list(), valid["label"].to_list())
    )
    return model.predict_proba(texts).astype(np.float64)


def answers(args: argparse.Namespace, texts: list[str]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each teacher's name and shares (n, 3)."""
    asked = [(folder, task) for folder, _, task in (word.rpartition(":") for word in args.ask)]
    for folder in dict.fromkeys(folder for folder, _ in asked):
        model = TaskModelAnswers(Path(folder), bf16=True)
        states = model.states(texts)
        for task in (task for other, task in asked if other == folder):
            yield f"{folder}:{task}", model.shares(states, task).astype(np.float64)
    for folder in args.tfidf:
        yield f"TF-IDF of {folder}", tfidf(Path(folder), texts)


def main() -> None:
    """Ask, average, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--ask", action="append", default=[], metavar="FOLDER:TASK")
    parser.add_argument("--tfidf", action="append", default=[], metavar="DATA")
    args = parser.parse_args()
    frame = read_frame(args.input)
    texts = frame["text"].to_list()
    truth = np.array([NAMES.index(label) for label in frame["label"]]) if "label" in frame.columns else None
    found = []
    for name, shares in answers(args, texts):
        found.append(shares)
        if truth is not None:
            print(f"{100 * score(truth, shares).macro_f1:5.1f}  {name}", flush=True)
    if not found:
        parser.error("no teacher; give --ask or --tfidf")
    mean = np.mean(found, axis=0)
    if truth is not None:
        print(f"{100 * score(truth, mean).macro_f1:5.1f}  the mean of {len(found)}")
    if args.output:
        answered = zip(frame["id"], texts, mean, strict=True)
        rows = ([key, text, *(f"{share:.4f}" for share in shares)] for key, text, shares in answered)
        write(args.output, ("id", "text", *ENGLISH), rows)
        print(f"{args.output}: {len(texts):,} texts answered by {len(found)} teachers")


if __name__ == "__main__":
    main()
