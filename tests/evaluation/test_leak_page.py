"""The audit's page: what stands on it, what it escapes, that it fetches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.evaluation.leak_page import audit_page, write
from tests.evaluation.audited import BOTH, alone, audited


def test_the_page_says_what_the_report_says() -> None:
    report, harms = audited()
    page = audit_page(report, harms, "finsa audit <train> & test")
    assert "train, test · leaks" in page
    assert "50.0 %" in page
    assert "look-up, leaked rows" in page
    assert "draw clusters of near texts, not rows" in page
    assert "finsa audit &lt;train&gt; &amp; test" in page
    assert BOTH in page
    assert "all together" in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "<script" not in page


def test_one_split_without_a_leak() -> None:
    page = audit_page(alone(), [])
    assert "nothing to share with" in page
    assert "No text repeats." in page
    assert "What the leak does" not in page
    assert "<img" in page


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write(tmp_path / "a.html", "<p>涨</p>")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "<p>涨</p>"
    (tmp_path / "b.html").mkdir()
    with pytest.raises(DataError, match=r"b\.html: cannot be written"):
        write(tmp_path / "b.html", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]
