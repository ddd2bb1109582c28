"""What a comparison says of answers made by hand: against scikit-learn, the standard library and counts on paper."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.comparison.cells import Answers, Cell
from finsa_moe.evaluation.comparison.comparison import POOLED, Comparison, TestSet
from finsa_moe.evaluation.comparison.method import NUMBERS
from finsa_moe.evaluation.comparison.page import page
from finsa_moe.evaluation.comparison.scoring import compare
from finsa_moe.evaluation.comparison.tables import leak_lines, markdown, method_rows, screen
from finsa_moe.polarity import NAMES

RNG = np.random.default_rng(11)
SIZES = {"news": 80, "forum/boards": 120, "forum/investors": 40}


def judged(name: str, n: int) -> TestSet:
    truth = RNG.choice(3, n, p=(0.3, 0.2, 0.5))
    return TestSet(name, name.partition("/")[0], [f"{name} {at}" for at in range(n)], truth, RNG.integers(0, 90, n),
                   np.zeros(n, dtype=np.bool_))  # fmt: skip


SETS = [judged(name, n) for name, n in SIZES.items()]


def answers(right: float, experts: dict[str, list[str]] | None = None) -> Answers:
    probs = {}
    for one in SETS:
        said = np.where(RNG.random(len(one.texts)) < right, one.truth, RNG.integers(0, 3, len(one.texts)))
        probs[one.name] = np.eye(3, dtype=np.float32)[said] * 0.5 + RNG.dirichlet((1, 1, 1), len(said)).astype("f") / 2
    return Answers(probs, experts or {})


SENT = {"news": ["news"] * 70 + ["forum"] * 10, "forum/boards": ["forum"] * 120, "forum/investors": ["news"] * 40}
FOUND = {
    **{Cell("bilstm", seed): answers(right) for seed, right in ((13, 0.6), (21, 0.7), (42, 0.8))},
    Cell("finsa", None): answers(0.85, SENT),
}


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(SETS, FOUND, reference="finsa", resamples=300)


def reference(truth: np.ndarray, said: np.ndarray) -> list[float]:
    macro = {"average": "macro", "zero_division": 0}
    return [
        accuracy_score(truth, said), precision_score(truth, said, **macro), recall_score(truth, said, **macro),
        f1_score(truth, said, **macro), f1_score(truth, said, average="weighted"),
        *recall_score(truth, said, labels=[0, 1, 2], average=None),
    ]  # fmt: skip


def together(part: str, model: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Truth and each seed's answers of the sets whose name begins so."""
    own = [one for one in SETS if one.name.startswith(part)]
    runs = [a for cell, a in FOUND.items() if cell.model == model]
    said = [np.concatenate([a.probs[one.name].argmax(1) for one in own]) for a in runs]
    return np.concatenate([one.truth for one in own]), said


@pytest.mark.parametrize("model", ["bilstm", "finsa"])
def test_the_methods_metrics_of_each_set_and_of_all_pooled(found: Comparison, model: str) -> None:
    assert NUMBERS[-3:] == tuple(f"recall {name}" for name in NAMES)
    for name, part in (*((one.name, one.name) for one in SETS), (POOLED, "")):
        truth, said = together(part, model)
        by_seed = [reference(truth, run) for run in said]
        entry = found.at(model, name)
        for at, metric in enumerate(NUMBERS):
            assert entry.metrics[metric] == pytest.approx([of[at] for of in by_seed])
        values = next(values for of, other, values in method_rows(found) if (of, other) == (name, model))
        assert values == pytest.approx(np.mean(by_seed, axis=0))
        assert entry.macro_f1.value == pytest.approx(mean(of[3] for of in by_seed))
    for domain in ("news", "forum"):
        truth, said = together(domain, model)
        by_seed = [reference(truth, run) for run in said]
        for at, metric in enumerate(NUMBERS):
            assert found.domains[domain][model][metric] == pytest.approx([of[at] for of in by_seed])


def test_the_spread_is_that_of_the_standard_library(found: Comparison) -> None:
    for name in (*SIZES, POOLED):
        truth, said = together("" if name == POOLED else name, "bilstm")
        values = [f1_score(truth, run, average="macro") for run in said]
        assert found.at("bilstm", name).sd == pytest.approx(stdev(values))
        assert found.at("finsa", name).sd is None


def test_pooled_texts_of_one_cluster_stand_together_across_sets(found: Comparison) -> None:
    clusters = {int(c) for one in SETS for c in one.clusters}
    assert found.pooled["finsa"].scores.clusters == len(clusters)
    assert found.pooled["finsa"].scores.n == found.slices[POOLED] == 240
    first = found.entries["finsa"]["news"]
    assert first.scores.macro_f1_interval == (first.macro_f1.low, first.macro_f1.high)


def test_pooled_routing_counts_every_text(found: Comparison) -> None:
    assert found.pooled["finsa"].routing == pytest.approx((70 + 120 + 0) / 240)
    assert found.pooled["finsa"].sent == {"news": 110, "forum": 130}
    assert found.pooled["bilstm"].routing is None


def test_one_set_needs_no_pool() -> None:
    alone = compare(SETS[:1], FOUND, reference="finsa", resamples=5)
    assert alone.pooled == {}
    assert list(alone.slices) == ["news"]
    assert POOLED not in markdown(alone)


def test_a_set_may_not_bear_the_pools_name() -> None:
    with pytest.raises(ConfigError, match="name the set otherwise"):
        compare([judged(POOLED, 5)], FOUND, reference="finsa")


def test_page_and_markdown_show_them(found: Comparison) -> None:
    lines, shown = markdown(found).splitlines(), page(found)
    heads = f"| test set | model | {' | '.join(NUMBERS)} |"
    assert heads in lines
    assert "<h2>The method&#x27;s metrics</h2>" in shown
    truth, said = together("", "bilstm")
    numbers = [f"{100 * x:.1f}" for x in np.mean([reference(truth, run) for run in said], axis=0)]
    assert f"| {POOLED} | `bilstm` | {' | '.join(numbers)} |" in lines
    row = re.search(rf"<tr><td[^>]*>{POOLED}</td><td[^>]*>bilstm</td>(.*?)</tr>", shown)
    assert row
    assert re.findall(r">([\d.]+)<", row[1]) == numbers
    assert f"{POOLED} (240)" in lines[0]
    assert [column.header for column in screen(found).columns][-2:] == [f"{POOLED}\n240 texts", "mean"]
    assert set(found.as_dict()["pooled"]) == {"bilstm", "finsa"}


@pytest.mark.filterwarnings("error:constrained_layout")
def test_a_spec_as_long_as_an_address_leaves_the_pictures_room() -> None:
    """matplotlib warns where labels push the axes out of the figure."""
    long = "llm:qwen2.5-72b-instruct@http://127.0.0.1:11434/v1?cache=/a/folder/of/kept/answers.jsonl&shots=6"
    cells = {Cell(long, 1): FOUND[Cell("bilstm", 13)], Cell("finsa", None): FOUND[Cell("finsa", None)],
             Cell(long, 1, 0.5): FOUND[Cell("bilstm", 21)]}  # fmt: skip
    drawn = compare(SETS, cells, reference="finsa", resamples=5)
    assert "data:image/png" in page(drawn)


def by_hand(probs: list[np.ndarray], truth: list[int], leaked: list[bool]) -> Comparison:
    one = TestSet("news", "news", ["x"] * len(truth), np.array(truth), np.arange(len(truth)), np.array(leaked))
    cells = {Cell("bilstm", seed): Answers({"news": of.astype(np.float32)}) for seed, of in enumerate(probs)}
    return compare([one], cells, reference="bilstm", resamples=5)


def test_the_surest_texts_by_hand() -> None:
    """Of ten texts the seven surest count: six of them are right, and so are all of the three others."""
    sure = [0.9, 0.5, 0.8, 0.4, 0.95, 0.7, 0.6, 0.45, 0.99, 0.65]
    truth = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    probs = np.array([[(1 - p) / 2] * 3 for p in sure])
    probs[np.arange(10), truth] = sure
    probs[8] = [0.99, 0.005, 0.005]  # the surest of all is wrong
    entry = by_hand([probs], truth, [False] * 10).entries["bilstm"]["news"]
    assert entry.surest == pytest.approx(6 / 7)
    assert entry.scores.accuracy == pytest.approx(9 / 10)


def test_the_score_without_leaking_texts_by_hand() -> None:
    """27 of class 0, all right; 27 of class 2, 9 of them called 0; the 6 leaking ones of class 1 do not count.

    F1 of class 0 is 2 · 27 / (27 + 36) = 6/7, of class 2 2 · 18 / (27 + 18) = 4/5. A second seed is right throughout.
    """
    truth = [0] * 27 + [2] * 27 + [1] * 6
    said = [0] * 27 + [0] * 9 + [2] * 18 + [0] * 6
    leaked = [False] * 54 + [True] * 6
    eye = np.eye(3)
    first, both = (by_hand(probs, truth, leaked) for probs in ([eye[said]], [eye[said], eye[truth]]))
    assert first.entries["bilstm"]["news"].clean == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert both.entries["bilstm"]["news"].clean == pytest.approx(((6 / 7 + 4 / 5) / 2 + 1) / 2)
    assert by_hand([eye[said]], truth, [False] * 60).entries["bilstm"]["news"].clean is None
    assert by_hand([eye[said]], truth, [True] * 11 + [False] * 49).entries["bilstm"]["news"].clean is None


def test_without_training_rows_no_leak_is_claimed() -> None:
    given = compare(SETS, FOUND, reference="finsa", resamples=20)
    unknown = compare([replace(one, leaked=None) for one in SETS], FOUND, reference="finsa", resamples=20)
    assert len(leak_lines(given)) == len(SETS)
    assert leak_lines(unknown) == [
        "Nobody looked whether these texts stand in what the models learnt from: no training rows were given."
    ]
    assert {facts["leaked"] for facts in unknown.as_dict()["sets"].values()} == {None}
    assert "<b>–</b><span>leaking texts</span>" in page(unknown)


def test_scores_without_leaking_texts_are_told_of_where_they_are(found: Comparison) -> None:
    few = SETS[2]  # of its 40 texts fewer than 50 can be clean
    leaking = [replace(one, leaked=np.arange(len(one.texts)) < 5) for one in (SETS[0], few)]
    result = compare(leaking, FOUND, reference="finsa", resamples=20)
    lines = leak_lines(result)
    assert "may hold other shares of the classes, which alone moves macro-F1" in page(result)
    assert lines[0].endswith("(scores without them are in the JSON file as `clean`).")
    assert lines[1].endswith(
        "5 of 40 texts stand in the training rows given, equal or near (the others are too few to score)."
    )


def test_numbers_by_domain_are_saved(found: Comparison) -> None:
    saved = found.as_dict()["domains"]["forum"]["bilstm"]["macro-F1"]
    assert saved == list(found.domains["forum"]["bilstm"]["macro-F1"])
    assert len(saved) == 3
