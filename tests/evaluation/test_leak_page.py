"""The audit's page: what stands on it, what it escapes, that it fetches nothing."""

from __future__ import annotations

import re

from finsa_moe.evaluation.leak.page import audit_page
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
