"""Lengths, repeats and days of sets, by hand."""

from __future__ import annotations

from datetime import date

import polars as pl

from finsa_moe.data.preparing.profile import SCHEMA, profile

LONG = "公司拟向大股东发行股份购买资产并募集配套资金,本次交易构成关联交易但不构成重组上市"


def test_by_hand() -> None:
    texts = ["涨", "涨!", "跌了", LONG, LONG + "了", "下周开会吧"]
    dates = ["2026-03-01", "2026年1月5日", "昨天", None, "", "2026/12/31 09:30"]
    frames = {"a/train": pl.DataFrame({"text": texts, "date": dates}), "a/test": pl.DataFrame({"text": ["平"]})}
    table = profile(frames)
    assert table.schema == SCHEMA
    assert table.row(0) == (
        "a/train", 1, 2, 5, len(LONG), len(LONG) + 1, 1, 2, date(2026, 1, 5), date(2026, 12, 31),
    )  # fmt: skip
    assert table.row(1) == ("a/test", 1, 1, 1, 1, 1, 0, 0, None, None)
    plain = profile(frames, near=False)
    assert plain["near"].to_list() == [None, None]
    assert plain["equal"].to_list() == [1, 0]


def test_of_no_row() -> None:
    empty = pl.DataFrame({"text": []}, schema={"text": pl.String})
    assert profile({"a/valid": empty}).row(0) == ("a/valid", None, None, None, None, None, 0, 0, None, None)
