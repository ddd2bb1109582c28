"""Bare phrases: every noun with what may be said of it, one label a phrase, both polarities of every rule that has them."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import read_cases

RUNS = Path(__file__).parents[1] / "runs"
sys.path.insert(0, str(RUNS))
import phrases  # noqa: E402


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return dict(phrases.phrases())


def test_what_a_verb_does_to_a_noun_turns_with_the_noun(made: dict[str, str]) -> None:
    for phrase, label in {
        "亏损缩小": "利好", "亏损扩大": "利空", "利润增长": "利好", "利润减少": "利空", "终止减持": "利好", "终止回购": "利空",
        "净利润符合预期": "中性", "订单超预期": "利好", "订单不及预期": "利空", "不良率持平": "中性", "降准": "利好",
    }.items():  # fmt: skip
        assert made[phrase] == label, phrase


def test_no_phrase_has_two_labels_and_classes_are_even() -> None:
    rows = phrases.phrases()
    assert len({text for text, _ in rows}) == len(rows) > 10_000
    counts = Counter(label for _, label in rows)
    assert set(counts) == set(NAMES)
    assert max(counts["利空"], counts["利好"]) < 1.1 * min(counts["利空"], counts["利好"])
    assert all("{" not in text and " " not in text for text, _ in rows)


def test_every_frame_has_the_place_of_its_noun() -> None:
    """A frame without one would give the same phrase for every noun, and a label that hangs on the last of them."""
    import yaml

    for rule in yaml.safe_load(phrases.WORDS.read_text(encoding="utf-8")):
        assert {"of", "nouns", *NAMES} >= set(rule), rule["of"]
        for label in NAMES:
            frames = rule.get(label, "").split()
            assert len(set(frames)) == len(frames), (rule["of"], label)
            assert all(frame.count("{}") == ("nouns" in rule) for frame in frames), (rule["of"], label)


def test_none_is_near_to_the_behavioural_suite(made: dict[str, str]) -> None:
    suite = HeldOut([text for case in read_cases() for text in case.texts])
    assert [text for text in made if suite.match(text) is not None] == []


def test_so_many_as_asked_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, str(RUNS / "phrases.py"), str(tmp_path / name), "--rows", "50"]
        subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with (tmp_path / "one").open(encoding="utf-8", newline="") as file:
        assert len({row["text"] for row in csv.DictReader(file)}) == 50
