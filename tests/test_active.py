"""The simulation of sampling: its one-shot way is `finsa sample` itself, on rows small enough to look through."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from benchmarks import active
from finsa_moe.data.duplicates.held_out import jaccard, ngrams
from finsa_moe.labelling.sample import SampleSettings, sample
from finsa_moe.runtime.distinct import read_pool
from tests.fakes import StateEngine, fake_finsa

WORDS = "锂电券商地产半导体白酒航运光伏银行煤炭钢铁医药游戏传媒军工农业"
LABELS = ("利空", "中性", "利好")


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> active.Rows:
    """Ninety labelled rows as the simulation reads them: every third nearly equal to the one before, every tenth equal."""
    rng = np.random.default_rng(1)
    texts: list[str] = []
    for at in range(90):
        fresh = "".join(rng.choice(list(WORDS), 24)) + ("跌", "", "涨")[at % 3] * int(rng.integers(1, 3))
        texts.append(texts[-1] if at % 10 == 9 else texts[-1][:-1] + "呢" if at % 3 == 2 else fresh)
    with (tmp_path / "made.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([text, LABELS[at % 3]] for at, text in enumerate(texts))])
    monkeypatch.setattr(active, "DATA", tmp_path)
    monkeypatch.setattr(active, "load", lambda: fake_finsa(StateEngine()))
    monkeypatch.setattr(active, "FILES", {"made": ("made",)})
    monkeypatch.setattr(active, "BUDGETS", (6, 12))
    monkeypatch.setattr(active, "JUDGED", (12,))
    monkeypatch.setattr(active, "SPLITS", {"states": 2, "tfidf": 2})
    return active.read(("made",))


def test_one_shot_gives_the_commands_own_rows(rows: active.Rows, tmp_path: Path) -> None:
    """The same texts in the same order as `finsa sample` chooses from a file of them, answers and states made anew."""
    left = np.random.default_rng(2).permutation(90)[:60]
    found = [rows.texts[left[at]] for at in active.one_shot(rows, left, 10, 7)]
    lines = [rows.texts[at] for at in left]
    (tmp_path / "half.csv").write_text("\n".join(["text", *lines]) + "\n", encoding="utf-8")
    pool = read_pool(rows.predictor, tmp_path / "half.csv")
    assert len(pool) < 60, "no text stands twice: the test shows nothing"
    assert found == [row["text"] for row in sample(rows.predictor, pool, SampleSettings(10, seed=7))]
    assert max(jaccard(ngrams(one), ngrams(other)) for one, other in combinations(found, 2)) < 0.7


def test_it_stands_beside_the_other_ways_when_asked(rows: active.Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"12": {"share": 0.5, "low": 0.4, "high": None}}
    monkeypatch.setattr(active, "needed", lambda random, other: dict(needed))  # a thousand draws, none of them for this
    found = active.simulated("made", [3], (active.ONE_SHOT,))
    for kind, ways in (("states", active.WAYS), ("tfidf", active.WAYS[:2])):
        assert list(found[kind]["curves"]) == [*ways, active.ONE_SHOT]
        assert found[kind][active.ONE_SHOT] == needed
        for way in (*ways, active.ONE_SHOT):
            mean = np.mean([active.curve(rows, way, kind, seed) for seed in (3000, 3001)], axis=0)
            np.testing.assert_allclose(found[kind]["curves"][way]["mean"], mean, atol=1e-4)
    assert active.ONE_SHOT not in active.simulated("made", [3])["states"]["curves"]
