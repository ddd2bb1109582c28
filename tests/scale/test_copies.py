"""Copies of a text: each counts, unless they are asked to count once; then what is a copy is said by the text answered."""

from __future__ import annotations

import json
from datetime import date, time
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.errors import DataError
from finsa_moe.scale.index import MARKET
from finsa_moe.scale.scored import open_scored
from tests.scale.test_index import saved, scored
from tests.scale.test_scored import REFUSED, counts, index_of, lines


def test_copies_count_once_where_that_is_asked_for(tmp_path: Path) -> None:
    """Three rows of a text are one; on another day, of another ticker or source, or after the close it is another."""
    bear = {"sentiment": "利空", "bearish": 0.9, "bullish": 0.05}
    rows = [
        *[scored(text="a", date=f"2026-03-31 {hour}:30", **bear) for hour in (9, 10, 14)],
        scored(text="b", date="2026-03-31 9:31"),
        *[scored(text="a", date="2026-03-31 15:00", **bear)] * 2,
        scored(text="a", date="2026-04-01", **bear),
        scored(text="a", ticker="x", date="2026-03-31", **bear),
        scored(text="a", expert="forum", date="2026-03-31", **bear),
        *[{**scored(text="a"), **REFUSED}] * 2,
    ]
    source = saved(rows, tmp_path / "a.parquet")
    every, once = (index_of(source, close=time(15), once=once) for once in (False, True))
    assert [(i.daily.rows, i.daily.copies, i.daily.unanswered) for i in (every, once)] == [(9, 0, 2), (6, 3, 2)]
    day = pl.col("ticker").eq("a") & pl.col("day").eq(date(2026, 3, 31))
    shown = ("texts", "bull", "bear", "score")
    assert every.frame.filter(day).select(shown).rows() == [(5, 1, 4, pytest.approx((0.85 - 4 * 0.85) / 5))]
    assert once.frame.filter(day).select(shown).rows() == [(3, 1, 2, pytest.approx(-0.85 / 3))]


@pytest.mark.parametrize("lists", [False, True])
def test_what_is_no_copy_counts_as_it_did(lists: bool, tmp_path: Path) -> None:
    """Over files of several kinds, some without a text: once or not, there is nothing to leave out."""
    rows = [scored(body=f"{at % 7}", date=f"2026-03-{1 + at // 7:02d}") for at in range(60)]
    if lists:
        rows = [{**row, "ticker": [row["ticker"]]} for row in rows]
    saved(rows[:30], tmp_path / "a.parquet")
    lines(rows[30:], tmp_path / "b.jsonl")
    every, once = (index_of(tmp_path, once=once) for once in (False, True))
    assert (every.daily.copies, once.daily.copies) == (0, 0)
    assert counts(every) == counts(once) == {"a": 60, MARKET: 60}
    assert once.market["score"].to_list() == pytest.approx(every.market["score"].to_list())
    named = index_of(tmp_path, once=True, text="expert")
    assert (named.daily.rows, named.daily.copies) == (9, 51)
    saved([scored()] * 2, tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet: no text column; columns found: .*; name it by --text COL"):
        index_of(tmp_path, once=True)


def test_the_text_that_counts_once_is_what_was_answered(tmp_path: Path) -> None:
    """Not the column that has a text's usual name, here empty; each folder has its own, an empty text has no copy."""
    for name, told in (("a", "title+content"), ("b", "title"), ("c", None)):
        (tmp_path / name / "scores").mkdir(parents=True)
        header = {"kind": "run", "format": 3, "text": told}
        (tmp_path / name / "manifest.jsonl").write_text(json.dumps(header) + "\n", encoding="utf-8")
        rows = [scored(title=f"{at // 2}", content=f"{at}", ticker=name) for at in range(4)]
        if name == "a":
            rows = [scored(title=f"{at}", content=None, ticker=name) for at in range(4)]
        saved(rows, tmp_path / name / "scores" / "s.parquet")
    index = index_of(tmp_path, once=True)
    assert counts(index) == {"a": 4, "b": 2, "c": 4, MARKET: 10}
    assert index.daily.copies == 2
    assert index_of(tmp_path / "b", once=True, text="content").daily.copies == 0
    empty = [scored(text=cell) for cell in (None, None, " ", "")]
    index = index_of(saved([*empty, {**scored(text="x"), **REFUSED}], tmp_path / "d.parquet"), once=True)
    assert (index.daily.rows, index.daily.copies, index.daily.unanswered) == (4, 0, 1)


def test_no_text_is_read_unless_each_counts_once(tmp_path: Path) -> None:
    source = saved([scored(text="x")], tmp_path / "a.parquet")
    for once in (False, True):
        found = open_scored(
            [source], "ticker", "date", source=None, split=None, close=None, zone="UTC", text=None, need_text=once
        )
        assert ("text" in found.rows.collect_schema(), '"text"' in found.rows.explain()) == (once, once)
