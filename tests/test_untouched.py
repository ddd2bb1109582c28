"""Judging what ships on readings that it has not learnt, once more without the texts that it has met (`runs/untouched.py`)."""

from __future__ import annotations

import csv
import json
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest

RUNS = Path(__file__).parents[1] / "runs"
sys.path.insert(0, str(RUNS))
import pool  # noqa: E402
import readings  # noqa: E402
import untouched  # noqa: E402

WORDS = (
    "股价大涨",
    "业绩下滑",
    "今日开会",
    "董事辞职",
    "的债券于周五兑付本息共三亿",
    "收入增长",
    "的债券于周五兑付本息共三亿元",
)


def test_a_model_that_is_right_more_often_is_ahead_and_the_interval_says_how_surely() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 600)
    good, poor = (np.where(rng.random(600) < right, truth, (truth + 1) % 3) for right in (0.9, 0.6))
    shares = {"finsa": np.eye(3)[good], "tfidf given": np.eye(3)[poor], "tfidf learnt": np.eye(3)[good]}
    found = untouched.compared(truth, shares, np.arange(600))
    assert found["finsa"]["macro_f1"] == pytest.approx(100 * np.mean(good == truth), abs=2)
    value, low, high = found["tfidf given"]["behind"]
    assert low < value < high
    assert value == pytest.approx(found["finsa"]["macro_f1"] - found["tfidf given"]["macro_f1"], abs=0.02)
    assert low > 20
    assert found["finsa"]["behind"] == found["tfidf learnt"]["behind"] == [0, 0, 0]


def test_rows_to_judge_by_are_never_among_those_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {kind: [f"{kind}{word}" for word in WORDS] for kind in untouched.KINDS}
    parts = (
        ("readings", "", slice(0, 2)),
        ("readings/fresh", "", slice(2, 5)),
        ("readings/fresh", ".valid", slice(5, 7)),
    )
    for folder, part, chosen in parts:
        (tmp_path / folder).mkdir(exist_ok=True)
        for kind, lines in texts.items():
            with (tmp_path / folder / f"{kind}{part}.csv").open("w", encoding="utf-8", newline="") as file:
                rows = [[readings.mark(text), "利好"] for text in lines[chosen]]
                csv.writer(file).writerows([["blake2b", "label"], *rows])
    (tmp_path / "unlabelled").mkdir()
    every = "\n".join(text for lines in texts.values() for text in lines)
    for name in readings.UNLABELLED:
        (tmp_path / "unlabelled" / f"{name}.txt.xz").write_bytes(lzma.compress(every.encode()))
    monkeypatch.setattr(untouched, "READINGS", tmp_path / "readings")
    monkeypatch.setattr(untouched, "FRESH", tmp_path / "readings" / "fresh")
    learnt, judge = untouched.read(tmp_path)
    for kind, lines in texts.items():
        assert judge[kind][0] == lines[5:]
        if kind != "other":  # a kind of news: none of its own to learn
            more = texts["other"][2:4] if kind == "news" else []
            assert learnt[kind][0] == [*lines[:4], *more]  # the fifth is near to the last


def test_what_was_met_stands_in_a_labelled_file_or_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("news", "forum", "other", "unlabelled"):
        (tmp_path / place).mkdir()
    tables = {
        "news/dev": "开发集里的一条快讯",
        "other/tags": "标签文件里的一条公告",
        "forum/extra_stocksentcn": "另一套标注里的帖子",
    }
    for name, text in tables.items():
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text", "label"], [text, "利好"]])
    for name in readings.UNLABELLED:
        lines = [f"{name}里没有标注的第{at}条文本" for at in range(6)]
        (tmp_path / "unlabelled" / f"{name}.txt.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    monkeypatch.setattr(untouched, "POOLS", {"boards": 9, "investors": 2, "wire": 1})
    monkeypatch.setattr(untouched, "EARLIER", {"investors": 3})
    found = untouched.met(tmp_path)
    posts = [readings.mark(text) for text in pool.drawn(tmp_path, "investors", 6)[0]]
    assert [mark in found["apart"] for mark in posts] == [True] * 2 + [False] * 4
    assert [mark in found["far"] for mark in posts] == [True] * 5 + [False]
    assert [readings.mark(text) in found["apart"] for text in tables.values()] == [False, True, True]
    assert len(found["apart"]) == 2 + 2 + 1  # and a line of the wire


def test_what_is_kept_holds_every_kind_and_model() -> None:
    kept = json.loads((RUNS.parent / untouched.TARGET).read_text(encoding="utf-8"))
    assert list(kept) == list(untouched.KINDS)
    for kind, models in kept.items():
        assert {one["n"] for one in models.values()} == {524 if kind == "other" else 900}
        for part in ("apart", "far"):
            assert len({one[part]["n"] for one in models.values()}) == 1
        assert all(one["n"] > one["apart"]["n"] >= one["far"]["n"] > 0 for one in models.values())
