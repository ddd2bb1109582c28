"""A small audit that the tests of its page, its picture and its tables share."""

from __future__ import annotations

import polars as pl

from finsa_moe.data.duplicates.leakage import LeakReport, audit
from finsa_moe.evaluation.leak.harm import Harm, harms

UP, DOWN = "净利润大幅增长", "遭到立案调查"
BOTH = "这条消息两边都有"
ROWS = [(f"甲公司第{n * 7919}号公告:{UP if n % 2 else DOWN}", "利好" if n % 2 else "利空") for n in range(50)]


def frame(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")


def audited() -> tuple[LeakReport, list[Harm]]:
    """Training of 51 rows; of 4 test rows 2 stand there word for word, one with another label."""
    test = [(BOTH, "利空"), ROWS[3], ("全新的内容之一", "利好"), ("另外一条没见过的", "利空")]
    report = audit({"train": frame([*ROWS, (BOTH, "利好")]), "test": frame(test)}, threshold=0.95)
    return report, harms(report)


def alone() -> LeakReport:
    return audit({"all": frame([("涨", "利好"), ("跌", "利空")])})
