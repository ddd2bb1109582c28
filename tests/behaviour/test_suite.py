"""The suite's own file and its scoring; no model is asked anything here."""

from __future__ import annotations

import csv
from collections import Counter
from importlib.resources import files
from itertools import combinations

import pytest

from finsa_moe.data.text import duplicate_key, normalise
from finsa_moe.errors import DataError
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import COLUMNS, SKILLS, Case, read_cases, score

NEXT = {"利空": "中性", "中性": "利好", "利好": "利空"}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return read_cases()


@pytest.fixture(scope="module")
def truth(cases) -> dict[str, str]:
    """What a perfect reader answers; where a case names no polarity, 中性 for both texts."""
    return {
        text: name for case in cases for text, name in zip(case.texts, case.expected or NAMES[1:2] * 2, strict=True)
    }


def case(kind="polarity", text="涨", other="", expect="利好", skill="numbers", domain="news"):
    return Case(skill, kind, domain, text, other, expect, "", 2)


def grams(text):
    key = duplicate_key(text)
    return {key[i : i + 4] for i in range(max(1, len(key) - 3))}


def test_enough_cases_of_every_skill(cases):
    counts = Counter(case.skill for case in cases)
    assert len(cases) >= 300
    assert len(SKILLS) == 10
    assert {skill: counts[skill] for skill in SKILLS if counts[skill] < 28} == {}


def test_every_skill_expects_all_three_polarities(cases):
    expected = {skill: {name for case in cases if case.skill == skill for name in case.expected} for skill in SKILLS}
    assert expected == {skill: set(NAMES) for skill in SKILLS}


def test_both_registers_meet_every_skill_but_irony(cases):
    found = {skill: {case.domain for case in cases if case.skill == skill} for skill in SKILLS}
    assert found.pop("irony") == {"forum"}
    assert set(map(frozenset, found.values())) == {frozenset({"news", "forum"})}


def test_no_class_is_most_of_the_suite(cases):
    counts = Counter(name for case in cases for name in case.expected)
    assert max(counts.values()) < 0.5 * counts.total()


def test_no_text_comes_twice(cases):
    keys = Counter(duplicate_key(case.text) for case in cases)
    keys.update(duplicate_key(case.other) for case in cases if case.other and case.skill != "noise")
    assert [key for key, count in keys.items() if count > 1] == []


def test_the_two_texts_of_a_pair_differ(cases):
    assert [case.line for case in cases if case.other == case.text] == []


def test_no_case_is_another_in_another_form(cases):
    keys = [(case.line, grams(case.text)) for case in cases]
    assert [(a, b) for (a, x), (b, y) in combinations(keys, 2) if len(x & y) >= 0.5 * len(x | y)] == []


def test_most_noise_is_more_than_normalising_undoes(cases):
    noise = [case for case in cases if case.skill == "noise" and case.kind == "invariance"]
    undone = [case.line for case in noise if normalise(case.text) == normalise(case.other)]
    assert len(undone) < len(noise) / 3


def test_no_case_stands_in_the_sample(cases):
    ours = {duplicate_key(text) for case in cases for text in case.texts}
    for file in files("finsa_moe.data").joinpath("sample").iterdir():
        if file.name.endswith(".csv"):
            rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
            assert ours.isdisjoint(duplicate_key(row["text"]) for row in rows), file.name


def test_a_perfect_reader_passes_everything(cases, truth):
    result = score(cases, lambda texts: [truth[text] for text in texts])
    assert result.rate() == 1
    assert result.failures() == ()
    assert result.by_skill() == dict.fromkeys(SKILLS, 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_passes_its_own_polarity_and_every_invariance(cases, name):
    result = score(cases, lambda texts: [name] * len(texts))
    passed = sum(case.kind == "invariance" or case.expect == name for case in cases)
    assert result.rate() == pytest.approx(passed / len(cases))
    assert result.rate() < 0.6
    assert result.rate(kind="invariance") == 1
    assert result.rate(kind="flip") == 0


def test_a_reader_that_is_always_wrong_passes_only_invariances(cases, truth):
    result = score(cases, lambda texts: [NEXT[truth[text]] for text in texts])
    assert {outcome.case.kind for outcome in result.outcomes if outcome.passed} == {"invariance"}
    assert len(result.failures()) == sum(case.kind != "invariance" for case in cases)


def test_rates_failures_and_table_by_hand():
    three = [
        case(text="涨5%"),
        case("flip", "增", "减", "利好>利空", skill="noise", domain="forum"),
        case("invariance", "甲跌", "乙跌", "", skill="noise"),
    ]
    asked = []

    def predict(texts):
        asked.append(texts)
        return ["利好", "利好", "中性", "利空", "利空"]

    result = score(three, predict)
    assert asked == [["涨5%", "增", "减", "甲跌", "乙跌"]]
    assert result.by_skill() == {"numbers": 1, "noise": 0.5}
    assert result.rate() == pytest.approx(2 / 3)
    assert result.rate(domain="forum") == 0
    assert [(outcome.case.text, outcome.answers) for outcome in result.failures()] == [("增", ("利好", "中性"))]
    assert result.failures(skill="numbers") == ()
    assert result.table().splitlines()[2:] == [
        "| numbers | 1 | 1 | 100.0% |",
        "| noise | 1 | 2 | 50.0% |",
        "| all | 2 | 3 | 66.7% |",
    ]
    with pytest.raises(ValueError, match="no case has"):
        result.rate(skill="irony")


@pytest.mark.parametrize("answers", [[], ["利好", "利好"], ["bullish"], [2]])
def test_answers_that_are_none_are_refused(answers):
    with pytest.raises(ValueError, match="1 texts got"):
        score([case()], lambda texts: answers)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("humour,polarity,news,涨,,利好,", "skill is 'humour'"),
        ("noise,direction,news,涨,,利好,", "kind is 'direction'"),
        ("noise,polarity,blog,涨,,利好,", "domain is 'blog'"),
        ("noise,polarity,news,涨,,bullish,", "cannot expect 'bullish'"),
        ("noise,flip,news,涨,跌,利好,", "cannot expect '利好'"),
        ("noise,invariance,news,涨,升,利好,", "cannot expect '利好'"),
        ("noise,flip,news,涨,,利好>利空,", "text and other"),
        ("noise,polarity,news,涨,跌,利好,", "text alone"),
        ("noise,polarity,news,,,利好,", "text alone"),
        ("noise,polarity,news,涨,,利好,a,b", "not 7 cells"),
        ("noise,polarity,news,涨", "not 7 cells"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(tmp_path, row, says):
    file = tmp_path / "cases.csv"
    file.write_text(f"{','.join(COLUMNS)}\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"cases\.csv, line 2.*{says}"):
        read_cases(file)


def test_a_wrong_header_is_refused(tmp_path):
    file = tmp_path / "cases.csv"
    file.write_text("text,label\n涨,利好\n", encoding="utf-8")
    with pytest.raises(DataError, match="the header must be skill,kind"):
        read_cases(file)
