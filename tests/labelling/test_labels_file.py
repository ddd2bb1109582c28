"""The file of labels: what was changed in it by hand is not replaced, and where it cannot be written no key is lost."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from itertools import count
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.labelling import journal
from finsa_moe.labelling.desk import Desk
from finsa_moe.labelling.sheet import read_sheet
from tests.labelling.test_desk import labels, opened, sheet

__all__ = ["sheet"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_what_was_changed_by_hand_is_not_replaced(sheet: Path, ending: str) -> None:
    """A label or note that the page never gave stands in the file; what the page gave once and took back does not count."""
    out = sheet.with_name(f"o.{ending}")
    with Desk(sheet, read_sheet(sheet), None, out) as desk:
        desk.act("label", "r0", "利好")
        desk.act("note", "r0", note="  反讽,\n或 否")
        older = out.read_bytes()
        desk.act("label", "r0", "利空")
        desk.act("note", "r0")
        desk.act("label", "r2", "中性")
    kept = out.read_bytes()
    out.write_bytes(older)  # a crash between the journal's line and this file
    with Desk(sheet, read_sheet(sheet), None, out) as desk:
        assert out.read_bytes() == kept
    if ending == "parquet":
        return
    for old, new, says in (
        ("中性", "利好", "label '利好' of row 'r2' was not given on the page"),
        ("r2", "r3", "label '中性' of row 'r3' was not given on the page"),
    ):
        out.write_text(kept.decode().replace(old, new), encoding="utf-8")
        with pytest.raises(DataError, match=rf"o\.{ending}, line \d: {says}; the file would be replaced: rename it"):
            Desk(sheet, read_sheet(sheet), None, out)
        assert new in out.read_text(encoding="utf-8")
    out.write_bytes(kept)
    with Desk(sheet, read_sheet(sheet), None, out) as desk:
        assert desk.labelled == 2


def test_a_note_or_a_line_that_was_changed_by_hand_is_not_replaced(sheet: Path) -> None:
    out = sheet.with_name("batch.labels.csv")
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
    kept = out.read_text(encoding="utf-8")
    head, row = kept.splitlines()
    noted = row.replace("利好,", "利好,再看")
    for line, says in (
        (noted, "line 2: note '再看' of row 'r0' was not given"),
        (f"{row}\nr1,跌停了", "line 3: 2 cells"),
    ):
        out.write_text(f"{head}\n{line}\n", encoding="utf-8")
        with pytest.raises(DataError, match=says):
            opened(sheet)
    out.write_bytes(b"")  # holds nothing that could be lost
    with opened(sheet):
        assert out.read_text(encoding="utf-8") == kept


def test_a_column_or_a_row_that_was_changed_by_hand_is_not_replaced(
    sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row is missed where a later one stands; what a crash left out is put in."""
    seconds = count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 7, 31, 9, 0, next(seconds), tzinfo=tz)

    monkeypatch.setattr(journal, "datetime", Clock)
    out = sheet.with_name("batch.labels.csv")
    with opened(sheet) as desk:
        for row, label in (("r3", "利好"), ("r0", "利空"), ("r1", "中性")):
            desk.act("label", row, label)
    kept = out.read_text(encoding="utf-8")
    head, *lines = kept.splitlines()
    for changed, says in (
        ([f"{head},sector", *(f"{line},银行" for line in lines)], "column 'sector' is none of id, text, label, note"),
        ([head, *lines[:2]], "row 'r3', which has the label 利好, is not there"),
    ):
        out.write_text("\n".join(changed) + "\n", encoding="utf-8")
        with pytest.raises(DataError, match=rf"{out}: {says}.*; the file would be replaced: rename it to keep it"):
            opened(sheet)
        assert out.read_text(encoding="utf-8").splitlines() == changed
    out.write_text("\n".join([head, lines[0], lines[2]]) + "\n", encoding="utf-8")
    with opened(sheet):
        assert out.read_text(encoding="utf-8") == kept


def test_a_key_that_the_journal_took_counts_though_the_labels_cannot_be_written(sheet: Path) -> None:
    with opened(sheet) as desk:
        desk.act("label", "r0", "利好")
        out = desk.out
        desk.out = sheet.with_name("gone") / "batch.labels.csv"
        shown = desk.act("label", "r1", "利空")
        assert (shown["row"], shown["labelled"]) == ("r2", 2)
        says = (
            "there is no folder .*; every key is safe in batch.labels.journal, and the labels are written at the next"
        )
        assert re.search(says, str(shown["warning"]))
        assert desk.act("show", "r0")["warning"] == shown["warning"] == desk.kept
        assert labels(out) == {"r0": "利好"}
        assert len(desk.journal.path.read_bytes().splitlines()) == 2
        desk.out = out
        assert desk.act("skip", "r2")["warning"] == ""
        assert labels(out) == {"r0": "利好", "r1": "利空"}
        assert desk.kept == f"labels in {out}: 2"
