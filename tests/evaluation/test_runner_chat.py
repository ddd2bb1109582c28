"""Chat models in the runs of a comparison: answers that may come later, accounts over runs, examples by share."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finsa_moe.errors import ModelError
from finsa_moe.evaluation.baselines import make
from finsa_moe.evaluation.baselines.accounts import REFUSED, SUMMED, UNANSWERED
from finsa_moe.evaluation.comparison.cells import Answers, Cells
from finsa_moe.evaluation.comparison.runner import planned, run
from tests.evaluation.test_runner import SETS, TRAIN
from tests.llm.server import says, serving


class Passing:
    """A chat model whose endpoint is out of reach at first."""

    def __init__(self, lost: int) -> None:
        self.account = {**dict.fromkeys(SUMMED, 0), "unusable_by_reason": {UNANSWERED: lost} if lost else {}}

    def fit(self, texts: Any, labels: Any, **_: Any) -> None:
        pass

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 3), 1 / 3)


def test_an_answer_that_may_come_next_time_is_asked_for_next_time(tmp_path: Path) -> None:
    store, said = Cells(tmp_path, {}), list[str]()
    cells = planned(["llm:m@e"], [1])
    for lost, kept in ((2, 0), (0, 1), (5, 1)):  # the last run asks for nothing
        run(cells, TRAIN, None, SETS, store, lambda _, lost=lost: Passing(lost), say=said.append)  # type: ignore[misc]
        assert len(list(tmp_path.glob("*.npz"))) == kept
    assert any("2 texts had no answer" in line for line in said)
    assert not any("5 texts" in line for line in said)


class Told(Passing):
    """One whose account is what it is told."""

    heard = "'看不懂'"

    def __init__(self, asked: int, refused: int) -> None:
        numbers = {"texts": 90, "unusable": refused, "asked": asked, "cost": 2.5, "prompt_tokens": 7}
        self.account = {
            **dict.fromkeys(SUMMED, 0), **numbers, "unusable_by_reason": {REFUSED: refused} if refused else {}
        }  # fmt: skip


def test_answers_of_an_earlier_run_were_not_asked_for_now(tmp_path: Path) -> None:
    """And how many cannot be used is said by each run."""
    store, cells, said = Cells(tmp_path, {}), planned(["llm:m@e"], [1]), list[str]()
    found = [run(cells, TRAIN, None, SETS, store, lambda _: Told(88, 2), say=said.append) for _ in range(3)]
    first, second, third = (of[cells[0]].facts["account"] for of in found)
    assert (first["asked"], first["remembered"], first["cost"], first["cost_before"]) == (88, 0, 2.5, 0)
    assert (second["asked"], second["remembered"], second["cost"], second["cost_before"]) == (0, 88, 0, 2.5)
    assert (second["prompt_tokens"], second["prompt_tokens_before"]) == (0, 7)
    assert third == second
    told = f"llm:m@e: 2 of 90 answers are unusable and count as 中性 ({REFUSED}: 2)"
    assert [line for line in said if "unusable" in line] == [told] * 3


def test_a_cell_without_one_answer_is_asked_for_again(tmp_path: Path) -> None:
    """As an earlier version kept one."""
    store, cells = Cells(tmp_path, {}), planned(["llm:m@e"], [1])
    store.keep(cells[0], Answers({}, {}, {"account": Told(0, 90).account}))
    for asked, refused in ((88, 2), (0, 90)):  # the last run asks for nothing
        found = run(cells, TRAIN, None, SETS, store, lambda _, a=asked, r=refused: Told(a, r))  # type: ignore[misc]
    assert found[cells[0]].facts["account"]["remembered"] == 88


def test_answers_of_which_none_can_be_used_are_no_score(tmp_path: Path) -> None:
    """A score would be that of 中性 for every text; one odd answer to a first set of one text is none of all."""
    cells = planned(["llm:m@e"], [1])
    told = re.escape(
        f"llm:m@e: none of 90 answers can be used ({REFUSED}: 90); the first is '看不懂'; another ?family= or a larger "
        "?max_tokens= may help"
    )
    with pytest.raises(ModelError, match=told):
        run(cells, TRAIN, None, SETS, Cells(tmp_path, {}), lambda _: Told(0, 90))
    assert not list(tmp_path.iterdir())
    sets = [replace(SETS[0], texts=SETS[0].texts[:1]), SETS[1]]
    with serving(says("看不懂"), says("利好")) as server:
        (cell,) = planned([f"llm:m@{server.url}?cache={tmp_path / 'kept'}&at_once=1"], [1])
        found = run([cell], TRAIN, None, sets, Cells(tmp_path, {}), make)
    assert found[cell].facts["account"]["unusable"] == 1


def test_a_share_with_fewer_rows_than_examples_is_left_out(tmp_path: Path) -> None:
    cells = planned(["llm:m@e?shots=20"], [1], [0.1, 0.5])
    found = run(cells, TRAIN, None, SETS, Cells(tmp_path, {}), lambda _: Passing(0))
    assert [cell.share for cell in found] == [1.0, 0.5]


def test_examples_for_each_domain_are_counted_by_domain(tmp_path: Path) -> None:
    """A twentieth holds a row of each class and domain: enough for four examples in all, but not of each domain."""
    said, few = list[str](), TRAIN.only([*range(60), *range(60, 120, 10)])
    cells = planned(["llm:m@e?shots=4&per=domain"], [1], [0.05, 0.75])
    found = run(cells, few, None, SETS, Cells(tmp_path, {}), lambda _: Passing(0), say=said.append)
    assert [cell.share for cell in found] == [1.0, 0.75]
    assert said[0] == "llm:m@e?shots=4&per=domain: 5 % of the rows of news are fewer than its 4 examples; left out"
