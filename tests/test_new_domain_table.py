"""The study's tables against numbers worked out by scipy and by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture
def study() -> ModuleType:
    """The script, from a folder that is no package."""
    spec = importlib.util.spec_from_file_location("new_domain_table", RUNS / "new_domain_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell(seed: int, expert: float, svm: float, moved: float = 0.0, rows: int = 1000) -> dict[str, Any]:
    return {
        "domain": "posts", "rows": rows, "seed": seed, "expert": expert, "start": 60.0, "tfidf-lr": svm - 5,
        "tfidf-svm": svm, "seconds": 10.0 * seed, "moved-news": moved, "moved-forum": 0.0,
    }  # fmt: skip


def joined(seed: int, what: str, posts: float, forum: float) -> dict[str, Any]:
    return {"old": "forum", "joined": what, "seed": seed, "scores": {"posts": posts, "forum": forum}}


def test_the_interval_is_the_paired_t_tests(study: ModuleType) -> None:
    first, second = np.array([70.0, 72.0, 69.5, 71.0, 73.0]), np.array([68.0, 69.0, 69.0, 70.5, 69.0])
    told = stats.ttest_rel(first, second).confidence_interval(0.95)
    value, low, high = study.gap(list(zip(first, second, strict=True)))
    assert (value, low, high) == pytest.approx(((first - second).mean(), told.low, told.high))


def test_a_new_expert_beside_the_better_tfidf(study: ModuleType) -> None:
    cells = [cell(1, 72.0, 70.0, 0.1), cell(2, 73.0, 71.5, -0.25), cell(3, 71.0, 69.0)]
    line = study.beside_tfidf(cells).splitlines()[-1]
    value, low, high = study.gap([(72.0, 70.0), (73.0, 71.5), (71.0, 69.0)])
    assert low > 0
    assert f"| **{value:+.1f}** ({low:+.1f} to {high:+.1f}) | -0.25 | 20 |" in line
    assert "| posts | 1,000 | 70.2 ± 1.3 | 60.0 ± 0.0 | 72.0 ± 1.0 |" in line


def test_an_unsure_lead_is_not_bold(study: ModuleType) -> None:
    assert "**" not in study.beside_tfidf([cell(1, 72.0, 70.0), cell(2, 69.0, 70.0)]).splitlines()[-1]


def test_only_the_same_seeds_are_paired(study: ModuleType) -> None:
    cells = [cell(1, 72.0, 70.0), cell(2, 74.0, 70.0), cell(9, 0.0, 70.0), cell(1, 10.0, 70.0, rows=100)]
    lines = [joined(s, "nothing", 60.0 + s, 80.0) for s in (1, 2, 3)] + [
        joined(s, "posts", 70.0, 79.0) for s in (1, 2, 3)
    ]
    table = study.beside_joined(cells, lines, 1000).splitlines()
    assert len(table) == 3
    assert "| posts | forum | 61.5 ± 0.7 | 70.0 ± 0.0 | 73.0 ± 1.4 | +3.0" in table[-1]
    assert table[-1].endswith("| 80.0 ± 0.0 | 79.0 ± 0.0 |")


def test_the_picture_is_drawn(study: ModuleType, tmp_path: Path) -> None:
    cells = [cell(s, 72.0, 70.0, rows=n) for s in (1, 2) for n in (100, 1000)]
    study.picture(cells, [joined(1, "posts", 70.0, 79.0)], 1000, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
