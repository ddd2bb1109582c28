"""The keys of many texts, against those of one text at a time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.keys import duplicate_keys
from finsa_moe.data.text import duplicate_key

MARKS = st.text(st.sampled_from("-.0 9aZ％，。!…涨\n\u3000\uffff😀𠮷\u200bß$()"), max_size=12)


@given(st.lists(MARKS | st.text(max_size=8), max_size=12))
@settings(max_examples=500, deadline=None)
def test_equal_to_one_at_a_time(texts):
    assert duplicate_keys(texts) == [duplicate_key(text) for text in texts]


def test_signs_and_points_by_hand():
    texts = ["涨 3.2%", "涨32%。", "+5%", "-5%", "T-1日", "2026-03-01", "...", "A.B", "。", ""]
    assert duplicate_keys(texts) == ["涨3.2", "涨32", "+5", "-5", "t1日", "20260301", "...", "ab", "。", ""]
