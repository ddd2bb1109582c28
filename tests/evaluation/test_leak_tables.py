"""The audit as tables on the screen: numbers by hand, and what is said beside them."""

from __future__ import annotations

import dataclasses
import io

import polars as pl
from rich.console import Console
from rich.table import Table

from finsa_moe.data.duplicates.leakage import audit
from finsa_moe.evaluation.leak.tables import audit_tables, remarks, verdict
from tests.evaluation.audited import alone, audited


def rows(table: Table) -> list[list[str]]:
    """Head and rows as printed, cells told apart by two blanks."""
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.getvalue().splitlines()]


def test_tables_of_two_splits() -> None:
    splits, repeats, conflicts, shared, scores = audit_tables(*audited())
    assert rows(splits)[1][:5] == ["train", "51", "25", "0", "26"]
    assert rows(repeats)[1:] == [["train", "0", "0", "0"], ["test", "0", "0", "0"], ["all together", "2", "2", "2"]]
    assert rows(conflicts)[3] == ["all together", "1", "1", "1"]
    assert rows(shared)[1] == ["test", "train", "2 (50.0 %)", "2 (50.0 %)", "2 (50.0 %)"]
    assert rows(scores)[0][0] == "from train to test"
    assert ["look-up, leaked rows", "2", "2", "50.0"] in [line[:4] for line in rows(scores)]


def test_tables_of_one_split_and_of_no_labels() -> None:
    assert [rows(table)[0][0] for table in audit_tables(alone(), [])] == ["split", "repeats", "label conflicts"]
    plain = audit({"a": pl.DataFrame({"text": ["涨", "涨"]})})
    assert [rows(table)[0][0] for table in audit_tables(plain, [])] == ["split", "repeats"]


def test_which_splits_leak_and_how() -> None:
    report, _ = audited()
    assert verdict(report) == [
        "test leaks from train: 2 word for word, 2 but for marks, 2 equal or near, of 4 rows (50.0 %)"
    ]
    assert verdict(report, allowed=0.5) == []
    assert verdict(alone()) == []


def test_a_model_that_saw_a_part_is_told_of() -> None:
    report, (harm,) = audited()
    assert remarks(report, []) == ["near: Jaccard of character 4-grams ≥ 0.95"]
    assert [line.partition(":")[0] for line in remarks(report, [harm])] == ["near", "95 %", "like classes"]
    assert "drawing clusters of near texts, not rows" in remarks(report, [harm])[1]
    part = dataclasses.replace(harm, learnt=40)
    assert remarks(report, [part])[3:] == ["TF-IDF learnt from 40 of 51 rows of train: those that leak, the rest drawn"]
