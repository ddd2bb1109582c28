"""`prepare` with a day after which all is test: what was written later is neither learnt nor chooses what is."""

from __future__ import annotations

from datetime import date

import pytest

from finsa_moe.data.preparing.prepare import prepare
from finsa_moe.errors import DataError
from tests.data.preparing.test_prepare import LABELS, load, sides, write

HEADER = ("id", "text", "label", "date")


def test_the_test_is_what_came_later(tmp_path):
    rows = [(n, f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], f"2026-0{1 + n // 50}-05 09:30") for n in range(200)]
    rows += [(900, rows[10][1] + "!", LABELS[1], "2026/4/9"), (901, "没有日期的一条", "利好", "昨天")]
    raw = write(tmp_path / "raw.csv", rows, ("id", "text", "label", "发布时间"))
    report = prepare([raw], domain="forum", out=tmp_path / "out", test_after=date(2026, 3, 5), ratios=(80, 20, 0))
    where = sides(tmp_path / "out")
    assert {where[str(n)] for n in range(150)} == {"train", "valid"}
    assert {where[str(n)] for n in range(150, 200)} == {"test"}
    assert [report.splits[name]["rows"] for name in ("train", "valid", "test")] == [120, 30, 50]
    reasons = {row["id"]: row["reason"] for row in load(tmp_path / "out" / "rejects.csv")}
    assert reasons == {
        "900": "after 2026-03-05 but equal or near to a text up to then",
        "901": "no date that can be read",
    }
    assert report.test_after == "2026-03-05"


def test_late_rows_of_an_early_event_are_told_apart_from_repeated_texts(tmp_path):
    header = ("id", "text", "label", "date", "event")
    rows = [
        (n, f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], f"2026-0{1 + n // 50}-05", f"e{n % 90}")
        for n in range(100)
    ]
    rows += [(900, rows[10][1] + "!", LABELS[1], "2026-02-09", "e900")]
    raw = write(tmp_path / "raw.csv", rows, header)
    prepare([raw], domain="forum", out=tmp_path / "out", by="event", test_after=date(2026, 1, 31))
    reasons = {row["id"]: row["reason"] for row in load(tmp_path / "out" / "rejects.csv")}
    assert reasons == {
        **{str(n): "after 2026-01-31 but kept by 'event' with a row up to then" for n in range(90, 100)},
        "900": "after 2026-01-31 but equal or near to a text up to then",
    }
    one = write(tmp_path / "one.csv", [(*row[:4], "e") for row in rows], header)
    with pytest.raises(
        DataError, match="no row is later that is not near to an earlier one or kept with one by 'event'"
    ):
        prepare([one], domain="forum", out=tmp_path / "none", by="event", test_after=date(2026, 1, 31))


def test_later_labels_do_not_choose_what_is_learnt(tmp_path):
    """The vote over equal texts is that of their own side of the cut; a text from before never comes as a new one."""
    rows = [(n, f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], f"2026-0{1 + n // 50}-05") for n in range(100)]
    said = {
        "outvoted later": ([0], [2, 2]),
        "a tie that a later row would break": ([0, 1], [0]),
        "disputed later alone": ([], [1, 1, 2]),
    }
    named = []
    for at, (text, (before, after)) in enumerate(said.items()):
        for when, labels in (("2026-01-09", before), ("2026-02-09", after)):
            for label in labels:
                rows.append((f"{text}, {len(named)}", f"{text} 这句话{at * 7727}", LABELS[label], when))
                named.append(rows[-1][0])
    raw = write(tmp_path / "raw.csv", rows, HEADER)
    report = prepare([raw], domain="forum", out=tmp_path / "out", test_after=date(2026, 1, 31), ratios=(80, 20, 0))
    where = sides(tmp_path / "out")
    kept = {name: "test" if where[name] == "test" else "before" for name in named if name in where}
    assert kept == {
        "outvoted later, 0": "before", "disputed later alone, 6": "test", "disputed later alone, 7": "test",
    }  # fmt: skip
    assert (report.conflicts["clusters"], report.conflicts["rows"]) == (2, 3)


def test_a_side_of_nothing_but_conflicts_is_told(tmp_path):
    rows = [(n, f"第{n}条各不相同的内容{n * 7919}", LABELS[n % 3], "2026-01-05") for n in range(30)]
    rows += [(n, "有人说好有人说坏", LABELS[n % 3], "2026-02-05") for n in range(30, 33)]
    raw = write(tmp_path / "raw.csv", rows, HEADER)
    with pytest.raises(DataError, match="all 3 rows from 2026-02-05 to 2026-02-05 are refused, as equal texts bear"):
        prepare([raw], domain="forum", out=tmp_path / "out", test_after=date(2026, 1, 31))
    assert not (tmp_path / "out").exists()
