"""Sentences written for training: none that judges is near to one that is learnt, and none to the behavioural suite."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import read_cases

WRITTEN = Path(__file__).parents[1] / "runs" / "written"


def rows(name: str) -> list[dict[str, str]]:
    with (WRITTEN / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


LEARNT, HELD = ([row for domain in ("news", "forum") for row in rows(f"{kind}{domain}")] for kind in ("", "held_"))


def near(judging: list[str], learnt: list[dict[str, str]]) -> list[str]:
    apart = HeldOut(judging)
    return [row["text"] for row in learnt if apart.match(row["text"]) is not None]


@pytest.mark.parametrize("skill", sorted({row["skill"] for row in HELD}))
def test_no_sentence_that_judges_is_near_to_a_learnt_one(skill: str) -> None:
    assert near([row["text"] for row in HELD if row["skill"] == skill], LEARNT) == []


def test_no_learnt_sentence_is_near_to_the_behavioural_suite() -> None:
    assert near([text for case in read_cases() for text in case.texts], LEARNT) == []


def test_every_row_has_an_id_of_its_own_and_a_class() -> None:
    for name in ("news", "forum", "held_news", "held_forum"):
        found = rows(name)
        assert len({row["id"] for row in found}) == len(found), name
        assert {row["label"] for row in found} <= set(NAMES), name
