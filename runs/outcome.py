"""What a finished run shows: the mixture beside what it must beat, on rows that no stage has seen.

A mixture's folder and the splits of its domains go in; a table, a page and the numbers come out. Shared by the demo and
the run on real data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from finsa_moe import load
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.evaluate import evaluate
from finsa_moe.evaluation.figures import training_curves
from finsa_moe.evaluation.metrics import Scores, score
from finsa_moe.evaluation.report import Section, html_page, picture, pictures
from finsa_moe.evaluation.sections import answers_section, evaluation_sections
from finsa_moe.evaluation.tables import runs_table
from finsa_moe.polarity import NAMES, LabelMap

Splits = Mapping[str, Mapping[str, Path]]
"""File of each split (train, valid, test) of each domain."""


def rows(splits: Splits, split: str) -> pl.DataFrame:
    """The rows of one split of all domains, with their domain."""
    parts = []
    for domain, files in splits.items():
        table = read_rows([files[split]], Columns(), LabelMap(), domain)
        parts.append(table.frame.select("id", "text", "label").with_columns(pl.lit(domain).alias("domain")))
    return pl.concat(parts)


def baselines(splits: Splits) -> dict[str, dict[str, Scores]]:
    """Majority class and character TF-IDF with logistic regression, both trained on each domain's own rows."""
    train, valid, test = (rows(splits, split) for split in ("train", "valid", "test"))
    truth = np.array([NAMES.index(label) for label in test["label"]])
    everything: dict[str, np.ndarray[Any, Any]] = {name: np.zeros((len(test), 3)) for name in ("majority", "TF-IDF")}
    for domain in splits:
        own = [frame.filter(pl.col("domain") == domain) for frame in (train, valid, test)]
        place = np.flatnonzero((test["domain"] == domain).to_numpy())
        common = own[0]["label"].value_counts().sort("count", "label", descending=True)["label"][0]
        everything["majority"][place] = np.eye(3)[NAMES.index(common)]
        texts, labels = (own[0][c].to_list() for c in ("text", "label"))
        model = TfidfBaseline().fit(texts, labels, dev=(own[1]["text"].to_list(), own[1]["label"].to_list()))
        everything["TF-IDF"][place] = model.predict_proba(own[2]["text"].to_list())
    scores = {}
    for name, probs in everything.items():
        parts = {d: (test["domain"] == d).to_numpy() for d in splits} | {"all": np.ones(len(test), dtype=bool)}
        scores[name] = {part: score(truth[where], probs[where]) for part, where in parts.items()}
    return scores


def show(
    model_folder: Path, splits: Splits, out: Path, *, title: str, subtitle: str, texts: Sequence[str] = ()
) -> dict[str, Any]:
    """Print the table and the answers; write ``index.html`` and ``result.json`` into `out`."""
    model = load(model_folder)
    result = evaluate(model, rows(splits, "test"), samples=3)
    beside = baselines(splits)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(runs_table(result, beside))
    answers = model.predict(list(texts))
    for answer in answers:
        print(f"{answer.sentiment} {answer.confidence:4.0%}  {answer.expert:6s} {answer.text}")
    curves = training_curves(sorted(out.rglob("statistics.jsonl")), out / "training.png")
    polarity = [files["train"].with_name("polarity.png") for files in splits.values()]
    figures = [picture(file, f"Polarity of {file.parent.name}", file.parent.name) for file in polarity if file.exists()]
    sections = [
        *([answers_section(answers)] if answers else []),
        *evaluation_sections(result, beside),
        *([Section("Data", pictures(figures))] if figures else []),
        Section("Training", picture(curves, "Loss and validation score by step")),
    ]
    (out / "index.html").write_text(html_page(title, sections, subtitle), encoding="utf-8")
    numbers = {"mixture": result.as_dict(), "baselines": {
        name: {part: scores.as_dict() for part, scores in parts.items()} for name, parts in beside.items()
    }}  # fmt: skip
    (out / "result.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=1), encoding="utf-8")
    return numbers
