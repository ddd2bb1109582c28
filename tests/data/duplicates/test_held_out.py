"""Texts near to held-out ones, against the definition computed naively over every pair."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.duplicates.held_out import HeldOut, jaccard, ngrams

words = st.lists(st.sampled_from(["净利润", "增长", "下跌", "公司", "公告", "主力", "12", "跑了", "。"]), max_size=9)
texts = st.lists(words.map("".join), max_size=12)


@given(texts, texts, st.sampled_from([0.3, 0.6, 0.8, 1.0]), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_equals_every_pair_compared(held: list[str], stream: list[str], threshold: float, n: int) -> None:
    index = HeldOut(held, threshold, n)
    for text in stream:
        each = [jaccard(ngrams(text, n), ngrams(other, n)) for other in held]
        best = max(each, default=0.0)
        match = index.match(text)
        if best < threshold:
            assert match is None
        else:
            assert match is not None
            assert (match.position, match.similarity) == (each.index(best), best)


def test_jaccard_by_hand() -> None:
    """净利润增长 has the 4-grams 净利润增, 利润增长; 净利润增加 shares the first of three."""
    assert ngrams("净利润增长") == {"净利润增", "利润增长"}
    assert jaccard(ngrams("净利润增长"), ngrams("净利润增加")) == pytest.approx(1 / 3)
    assert ngrams("涨") == {"涨"}


def test_spelling_does_not_hide_a_text() -> None:
    """White space, punctuation, wide and traditional forms are no difference."""
    held = HeldOut(["公司净利润同比增长，超出市场预期"])
    for text in (
        "公司淨利潤同比增長 超出市場預期",
        "公司净利润同比增长,超出市场预期!",
        "公司净利润同比增长，超出市场的预期",
    ):
        assert held.match(text) is not None
    assert held.match("公司净亏损同比扩大，低于市场预期") is None


def test_without_keeps_the_order_and_says_what_went() -> None:
    held, dropped = HeldOut(["主力今天又在砸盘，散户全部被套"]), []
    stream = ["今天没有消息", "主力今天又在砸盘，散户全被套", "大盘横着走"]
    assert list(held.without(stream, dropped)) == [stream[0], stream[2]]
    assert dropped == [stream[1]]
    assert list(itertools.islice(HeldOut([]).without(stream), 3)) == stream
