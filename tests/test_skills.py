"""Sentences of the grammar: every turn with its label, even classes, nothing of the behavioural suite among them."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import read_cases

RUN = Path(__file__).parents[1] / "runs" / "skills.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("skills")
    files = {name: folder / f"{name}.csv" for name in ("news", "forum")}
    subprocess.run([sys.executable, str(RUN), *map(str, files.values()), "--rows", "1500"], check=True)
    return {name: list(csv.DictReader(file.open(encoding="utf-8"))) for name, file in files.items()}


def test_as_many_as_asked_each_once_in_even_classes(made: dict[str, list[dict[str, str]]]) -> None:
    for rows in made.values():
        assert len(rows) == len({row["text"] for row in rows}) == 1500
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(NAMES)
        assert max(counts[NAMES[0]], counts[NAMES[2]]) < 1.5 * min(counts[NAMES[0]], counts[NAMES[2]])
        assert counts[NAMES[1]] > 100


def test_nothing_near_the_behavioural_suite(made: dict[str, list[dict[str, str]]]) -> None:
    suite = HeldOut([text for case in read_cases() for text in case.texts])
    assert [row["text"] for rows in made.values() for row in rows if suite.match(row["text"]) is not None] == []


def test_two_numbers_are_labelled_by_their_order(made: dict[str, list[dict[str, str]]]) -> None:
    checked = 0
    for row in made["news"]:
        if found := re.search(r"目标价[由从]([\d.]+)元[调改][至为]([\d.]+)元", row["text"]):
            before, after = map(float, found.groups())
            assert row["label"] == ("利好" if after > before else "利空"), row["text"]
            checked += 1
    assert checked > 20
