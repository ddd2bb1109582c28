"""Lines whose figures decide: the order of two amounts or the sign of a change tells the label, and nothing else does."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import read_cases

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
import figures

COUNT = 3000
UNITS = {"万元": 1e4, "亿元": 1e8}


@pytest.fixture(scope="module")
def made() -> list[tuple[str, str]]:
    return figures.lines(COUNT, 13)


def test_as_many_as_asked_each_once_in_even_classes(made: list[tuple[str, str]]) -> None:
    assert len({text for text, _ in made}) == len(made) == COUNT
    counts = Counter(label for _, label in made)
    assert set(counts) == set(NAMES)
    assert max(counts["利空"], counts["利好"]) < 1.2 * min(counts["利空"], counts["利好"])
    assert counts["中性"] > COUNT / 10
    assert made == figures.lines(COUNT, 13)


def test_two_amounts_are_labelled_by_their_order_in_either_unit(made: list[tuple[str, str]]) -> None:
    checked = mixed = 0
    for text, label in made:
        noun = next((noun for noun in (*figures.EARNED, *figures.COST) if noun in text), None)
        amounts = re.findall(r"(?<![\d.-])([\d.]+)(万元|亿元)", text)
        if noun is None or len(amounts) != 2 or re.search(r"盈利|亏损|目标价|-\d", text):
            continue
        now, then = (float(value) * UNITS[unit] for value, unit in amounts)
        assert now != then
        assert label == ("利好" if (now > then) == (noun in figures.EARNED) else "利空"), text
        checked += 1
        mixed += amounts[0][1] != amounts[1][1]
    assert checked > 100
    assert mixed > 10


def test_a_ratio_is_labelled_by_what_it_measures(made: list[tuple[str, str]]) -> None:
    checked = Counter[str]()
    for text, label in made:
        ratio = next((one for one in (*figures.BAD_RATIOS, *figures.GOOD_RATIOS) if one in text), None)
        if ratio is None or not (verb := re.search(r"(上升|提高|提升|上行|增加)|(下降|降低|回落|下行|减少)", text)):
            continue
        good = any(one in text for one in figures.GOOD_RATIOS) and not any(one in text for one in figures.BAD_RATIOS)
        assert label == ("利好" if (verb[1] is not None) == good else "利空"), text
        checked[label] += 1
    assert min(checked.values()) > 100


def test_what_is_expected_of_a_central_bank_is_no_step(made: list[tuple[str, str]]) -> None:
    steps = [(text, label) for text, label in made if any(bank in text for bank in figures.BANKS)]
    expected = [label for text, label in steps if "预计" in text or "概率" in text]
    assert set(expected) == {"中性"}
    for text, label in steps:
        if "预计" not in text and "概率" not in text and (verb := re.search(r"(降息|下调|降准)|(加息|上调)", text)):
            assert label == ("利好" if verb[1] else "利空"), text


def test_none_is_near_to_the_behavioural_suite(made: list[tuple[str, str]]) -> None:
    suite = HeldOut([text for case in read_cases() for text in case.texts])
    assert [text for text, _ in made if suite.match(text) is not None] == []
