from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.scale.index import Index, Rules, make_index
from finsa_moe.scale.pictures import heat_map, lines
from tests.scale.test_index import made, saved, scored

image = pytest.importorskip("matplotlib.image", reason="the extra data is not installed")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return make_index([saved(made(400), tmp_path / "a.parquet")], "ticker", "date", Rules(min_count=2))


def test_lines_have_a_panel_each(index: Index) -> None:
    all_, one = (image.imread(io.BytesIO(lines(index, names))) for names in (None, ["600519"]))
    assert all_.shape[0] > 1.5 * one.shape[0]
    assert all_.shape[1] == one.shape[1] == 1440


def test_a_day_kept_between_thin_ones_leaves_ink(tmp_path: Path) -> None:
    """No line leads to it or from it."""
    rows = [scored(date=f"2025-03-0{day}") for day in (3, 4, 4, 5)]
    index = make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date", Rules(min_count=2))
    drawn = image.imread(io.BytesIO(lines(index)))[..., :3]
    assert (np.abs(drawn - np.array([0x2B, 0x5F, 0xB3]) / 255).max(axis=2) < 0.05).any(), "the first ticker's colour"


def test_the_heat_map_is_red_where_bullish(tmp_path: Path) -> None:
    """As on a Chinese quote board; a third ticker's empty days stay white."""
    rows = [row | {"bullish": 0.9, "bearish": 0.05} for row in made(400) if row["ticker"] == "000001"]
    rising = image.imread(io.BytesIO(heat_map(make_index([saved(rows, tmp_path / "a.parquet")], "ticker", "date"))))
    rows = [row | {"bullish": 0.05, "bearish": 0.9} for row in rows]
    falling = image.imread(io.BytesIO(heat_map(make_index([saved(rows, tmp_path / "b.parquet")], "ticker", "date"))))
    body = np.s_[rising.shape[0] // 4 : rising.shape[0] // 2, 200:1000]
    assert rising[body][..., 0].mean() > rising[body][..., 1].mean()
    assert falling[body][..., 1].mean() > falling[body][..., 0].mean()


@pytest.mark.parametrize("name", ["$ST_$", "a$b", r"\$x_$^"])
def test_a_dollar_is_drawn_as_one(name: str, tmp_path: Path) -> None:
    """Two of them would be read as a formula, and most names are no formula."""
    index = make_index([saved([scored(ticker=name)], tmp_path / "a.parquet")], "ticker", "date", Rules(min_count=1))
    assert all(draw(index).startswith(b"\x89PNG") for draw in (lines, heat_map))
