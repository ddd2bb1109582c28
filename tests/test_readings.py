"""Readings find their texts again by hash, whatever the spelling; sentences written for training are not the suite's."""

from __future__ import annotations

import csv
import lzma
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.text import normalise
from finsa_moe.polarity import NAMES
from tests.behaviour.suite import read_cases

RUNS = Path(__file__).parents[1] / "runs"
sys.path.insert(0, str(RUNS))
import readings  # noqa: E402
from expert_rows import joined  # noqa: E402


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_text_is_found_by_its_canonical_spelling() -> None:
    known = {"news": {readings.mark("公司净利润增长两成"): "利好"}, "boards": {readings.mark("主力又砸盘"): "利空"}}
    found = readings.joined(["公司净利润增长两成 ", "沒有讀過的一句", "主力又砸盤"], known)
    assert [*found["news"].values()] == [("公司净利润增长两成 ", "利好")]
    assert [*found["boards"].values()] == [("主力又砸盤", "利空")]


def test_the_command_writes_what_it_finds(tmp_path: Path) -> None:
    (tmp_path / "unlabelled").mkdir()
    for name in readings.UNLABELLED:
        (tmp_path / "unlabelled" / f"{name}.txt.xz").write_bytes(lzma.compress(f"{name}里没有读过的话\n".encode()))
    done = subprocess.run(
        [sys.executable, str(RUNS / "readings.py"), str(tmp_path), str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for kind in ("news", "boards", "investors"):
        assert re.search(rf"{kind}.csv: 0 of [\d,]+ readings found their text", done.stdout)
        assert rows(tmp_path / "out" / f"{kind}.csv") == []


def test_the_command_joins_the_readings_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "unlabelled").mkdir()
    for name in readings.UNLABELLED:
        (tmp_path / "unlabelled" / f"{name}.txt.xz").write_bytes(lzma.compress("主力又砸盘\n".encode()))
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "boards.valid.csv").write_text(
        f"blake2b,label\n{readings.mark('主力又砸盘')},利空\n", encoding="utf-8"
    )
    command = [sys.executable, str(RUNS / "readings.py"), str(tmp_path), str(tmp_path / "out"), str(tmp_path / "later")]
    subprocess.run(command, capture_output=True, text=True, check=True)
    (row,) = rows(tmp_path / "out" / "boards.valid.csv")
    assert (row["text"], row["label"]) == ("主力又砸盘", "利空")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["boards.valid.csv"]


@pytest.mark.parametrize("kind", ["news", "boards", "investors", "other"])
def test_fresh_readings_are_none_that_a_backbone_learns(kind: str) -> None:
    learnt = {row["blake2b"] for file in (RUNS / "readings").glob("*.csv") for row in rows(file)}
    fresh, valid = (
        {row["blake2b"] for row in rows(RUNS / "readings" / "fresh" / f"{name}.csv")}
        for name in (kind, f"{kind}.valid")
    )
    assert not learnt & (fresh | valid)
    assert not fresh & valid


@pytest.mark.parametrize("kind", ["news", "boards", "investors"])
@pytest.mark.parametrize(("folder", "fewest"), [("readings", 5000), ("readings/fresh", 2000)])
def test_kept_readings_are_hashes_and_classes_and_nothing_else(kind: str, folder: str, fewest: int) -> None:
    kept = rows(RUNS / folder / f"{kind}.csv")
    assert len(kept) > fewest
    assert len({row["blake2b"] for row in kept}) == len(kept)
    assert all(row.keys() == {"blake2b", "label"} and re.fullmatch("[0-9a-f]{12}", row["blake2b"]) for row in kept)
    assert {row["label"] for row in kept} == set(NAMES)


@pytest.mark.parametrize("domain", ["news", "forum"])
def test_written_sentences_are_distinct_and_not_near_the_behavioural_suite(domain: str) -> None:
    written = rows(RUNS / "written" / f"{domain}.csv")
    texts = [normalise(row["text"]) for row in written]
    assert len(set(texts)) == len(texts) > 800
    assert min(Counter(row["label"] for row in written).values()) > len(texts) / 8
    held = [normalise(row["text"]) for row in rows(RUNS / "written" / f"held_{domain}.csv")]
    assert len(set(held)) == len(held) > 250
    suite, apart = HeldOut([text for case in read_cases() for text in case.texts]), HeldOut(held)
    assert [text for text in [*texts, *held] if suite.match(text) is not None] == []
    assert [text for text in texts if apart.match(text) is not None] == [], "these are kept to judge by"


def test_an_expert_s_rows_keep_valid_apart_and_both_labels_of_a_text() -> None:
    long = "公司公告称上半年净利润同比增长三成，超出市场预期"
    train = [
        (long + "！", "利好"),
        ("主力又砸盘", "利空"),
        ("主力又砸盘", "利空"),
        ("主力又砸盘", "利好"),
        ("看不懂", "中性"),
    ]
    found = joined({"train": train, "valid": [(long, "利好"), (long, "中性")]}, judged=["看不懂！"])
    assert found == {"train": [("主力又砸盘", "利空"), ("主力又砸盘", "利好")], "valid": [(long, "利好")]}
