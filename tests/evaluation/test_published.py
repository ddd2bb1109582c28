from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from finsa_moe.evaluation.metrics import score
from finsa_moe.evaluation.published import OTHER_DATA, PUBLISHED, markdown, numbers, protocol_tables

RNG = np.random.default_rng(4)
TRUTH = RNG.integers(0, 3, 80)
PROBS = RNG.dirichlet((1, 1, 1), 80)
METHOD = Path(__file__).parents[3] / "shared" / "METHOD.md"


def test_the_five_numbers_are_the_papers() -> None:
    said = PROBS.argmax(1)
    wanted = [
        accuracy_score(TRUTH, said),
        *(f(TRUTH, said, average="macro") for f in (precision_score, recall_score, f1_score)),
        f1_score(TRUTH, said, average="weighted"),
    ]
    assert numbers(score(TRUTH, PROBS)) == pytest.approx([100 * x for x in wanted])


@pytest.mark.skipif(not METHOD.is_file(), reason="METHOD.md of the team is not beside the project")
def test_the_published_rows_are_those_of_the_method() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ((?:[\d.]+ ){4}[\d.]+) \| ((?:[\d.]+ ){4}[\d.]+) \|$", METHOD.read_text("utf-8"), re.M
    )
    assert len(rows) == len(PUBLISHED["news"]) == len(PUBLISHED["forum"]) == 5
    for (_, news, forum), ours, theirs in zip(
        rows, PUBLISHED["news"].values(), PUBLISHED["forum"].values(), strict=True
    ):
        assert tuple(map(float, news.split())) == ours
        assert tuple(map(float, forum.split())) == theirs


def test_every_table_says_that_the_data_differ() -> None:
    scores = score(TRUTH, PROBS)
    ours = {"news": {"routed": scores, "tfidf-lr": scores}, "weather": {"routed": scores}}
    console = Console(width=120, record=True, file=io.StringIO())
    tables = protocol_tables(ours)
    for table in tables:
        console.print(table)
    shown = console.export_text()
    assert len(tables) == 1
    assert shown.count("†") == 5 + 1
    assert OTHER_DATA in " ".join(shown.split())
    page = markdown(ours)
    assert page.count("†") == 6
    assert f"{100 * scores.macro_f1:.2f}" in page
    assert "weather" not in page
