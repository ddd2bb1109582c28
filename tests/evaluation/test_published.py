from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from finsa_moe.evaluation.comparison.cells import Answers, Cell
from finsa_moe.evaluation.comparison.comparison import TestSet
from finsa_moe.evaluation.comparison.scoring import compare
from finsa_moe.evaluation.evaluate import evaluate
from finsa_moe.evaluation.published import (
    HEADS,
    OTHER_DATA,
    PUBLISHED,
    Ours,
    as_dict,
    markdown,
    of_comparison,
    of_evaluation,
    protocol_tables,
    section,
)
from tests.evaluation.test_evaluate import ROWS
from tests.fakes import fake_finsa

RNG = np.random.default_rng(4)
OURS = Ours("80 rows of a and b pooled", {"routed": (81.234, 71, 61, 51, 41), "tfidf-lr": (80, 70, 60, 50, 40)})
METHOD = Path(__file__).parents[3] / "shared" / "METHOD.md"


def wanted(truth: np.ndarray, said: np.ndarray) -> list[float]:
    over = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    found = [
        accuracy_score(truth, said),
        *(f(truth, said, **over) for f in (precision_score, recall_score, f1_score)),
        f1_score(truth, said, average="weighted"),
    ]
    return [100 * x for x in found]


def test_a_domains_sets_are_pooled_over_all_seeds() -> None:
    sets: list[TestSet] = []
    runs: list[dict[str, np.ndarray]] = [{}, {}]
    for name, n in (("news", 60), ("forum/boards", 90), ("forum/investors", 30), ("weather", 40)):
        truth = RNG.integers(0, 3, n)
        sets.append(TestSet(name, name.partition("/")[0], ["x"] * n, truth, np.arange(n), np.zeros(n, dtype=bool)))
        for run, right in zip(runs, (0.5, 0.8), strict=True):
            said = np.where(RNG.random(n) < right, truth, RNG.integers(0, 3, n))
            run[name] = np.eye(3, dtype=np.float32)[said]
    cells = {Cell("bilstm", seed): Answers(run) for seed, run in enumerate(runs)}
    ours = of_comparison(compare(sets, cells, reference="bilstm", resamples=5))
    assert ours["forum"].of == "120 rows of forum/boards, forum/investors pooled, mean over up to 2 seeds"
    assert ours["news"].of == "60 rows of news, mean over up to 2 seeds"
    truth = np.concatenate([one.truth for one in sets[1:3]])
    seeds = [np.concatenate([run[one.name] for one in sets[1:3]]).argmax(1) for run in runs]
    assert ours["forum"].rows["bilstm"] == pytest.approx(np.mean([wanted(truth, said) for said in seeds], axis=0))


def test_of_an_evaluation_the_leading_run_by_domain() -> None:
    result = evaluate(fake_finsa(), ROWS, protocol="finsa")
    ours = of_evaluation(result, {"news": ["a.csv"], "forum": ["b.csv", "c.csv"]})
    assert (ours["news"].of, ours["forum"].of) == ("3 rows of a.csv", "3 rows of b.csv, c.csv pooled")
    truth, said = np.array([2, 0, 2]), np.array([2, 0, 1])  # 平 of the forum is no 利好
    assert ours["forum"].rows == {"given": pytest.approx(wanted(truth, said))}


@pytest.mark.skipif(not METHOD.is_file(), reason="../shared/METHOD.md is not there")
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
    ours = {"news": OURS, "weather": Ours("7 rows of w", OURS.rows)}
    console = Console(width=120, record=True, file=io.StringIO())
    tables = protocol_tables(ours)
    for table in tables:
        console.print(table)
    shown = console.export_text()
    assert len(tables) == 1
    assert shown.count("†") == 5 + 1
    for words in (" ".join(shown.split()), markdown(ours), section(ours).body + section(ours).note):
        assert OTHER_DATA in words
        assert words.count("†") == 6
        assert "80 rows of a and b pooled" in words
        assert "81.23" in words
        assert "90.04" in words
    for words in (markdown(ours), section(ours).body):
        assert "weather: 7 rows of w; the paper has no table of it" in words


def test_json_keeps_ours_and_theirs_apart() -> None:
    kept = json.loads(json.dumps(as_dict({"news": OURS})))
    assert kept["remark"] == OTHER_DATA
    assert list(kept["tables"]["news"]["ours"]) == ["routed", "tfidf-lr"]
    assert kept["tables"]["news"]["ours"]["routed"]["accuracy"] == pytest.approx(0.81234)
    assert kept["tables"]["news"]["published"]["FinSA-MoE"] == {
        head: pytest.approx(x / 100) for head, x in zip(HEADS, PUBLISHED["news"]["FinSA-MoE"], strict=True)
    }


def test_the_published_rows_are_grey_on_the_page() -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", section({"news": OURS}).body)[1:]
    assert [set(re.findall(r'class="([^"]*)"', row)) for row in rows] == [{"", "num"}] * 2 + [
        {"muted", "num muted"}
    ] * 5
