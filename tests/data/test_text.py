"""Normalisation is the same text once or twice over, and keys meet for equal texts only."""

from __future__ import annotations

import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.text import LINK, USER, duplicate_key, normalise

PIECES = ["@", "@甲乙", "哈" * 22, "[哈哈哈哈哈哈哈哈哈]", "SH600000.SH", "$e(SH600000)$", "t.cn/", ":", "哈哈", "!!", "[大笑][大笑]", "\ufe0f", "🏽", "乾", "干",
    "$", "(", ")", "SH", "sz", "HK", ".SH", "600000", "00700", "$甲乙股份(SH600000)$", "$ABC$", "http://", "https://a.b/c",
    "www.", "t.cn/Ab1", ".", ",", "，", "。", " ", "\u3000", "\n", "\t", "\x00", "\u200b", "\u200d", "\ufeff", "\ud83d",
    "\udc00", "e", "\u0301", "漲", "乾", "坤", "薴", "麼", "後", "涨", "[大笑]", "😀", "👨\u200d👩", "Ａ", "①", "㈱", "ﬁ", "-", "3.5", "%",
]  # fmt: skip
texts = st.text() | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  大盘　今天\r\n\t涨了 ", "大盘 今天 涨了"),
        ("Ａ股涨３．５％，真的？！", "A股涨3.5%,真的?!"),
        ("颱風過後，個股漲跌互現", "台风过后,个股涨跌互现"),
        ("乾坤未定，乾燥的天氣", "乾坤未定,干燥的天气"),
        ("看这里http://t.cn/A6xyz，速来", f"看这里{LINK},速来"),
        ("公告见 https://example.com/a?b=1&c=2#d。", f"公告见 {LINK}。"),
        ("见www.example.com吧", f"见{LINK}吧"),
        ("$甲乙股份(SH600000)$今天不行", "甲乙股份今天不行"),
        ("$甲乙股份(SH600000)$$丙丁科技(SZ000001)$ 都拿着", "甲乙股份 丙丁科技 都拿着"),
        ("甲乙股份（600000.SH）涨停", "甲乙股份(600000)涨停"),
        ("$-$甲股(SH600000)$(SH600000)$涨", "-甲股涨"),
        ("SH600000和00700.hk，sz.000001", "600000和00700,000001"),
        ("营收SH6000000元", "营收SH6000000元"),
        ("[大笑][大笑]😀 涨", "[大笑][大笑]😀 涨"),
        ("a\x00b\ud83dc\u200bd\ufeffe\x7f", "abcde"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("plain ASCII, 3.5%", "plain ASCII, 3.5%"),
        ("e\ufe0f\u0301", "é"),  # the mark gone, the two make one letter
        ("@哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈:好", "@:好"),  # a name once the run in it is short
        ("回复@老股民2018:说得对", f"回复{USER}:说得对"),
        ("//@某某：//@甲-乙: 转", f"//{USER}://{USER}: 转"),
        ("@甲 @乙 你们看", f"{USER} {USER} 你们看"),
        ("写信到 a@b.com ,成本@3.5元", "写信到 a@b.com ,成本@3.5元"),
        ("@某某你怎么看", "@某某你怎么看"),  # no telling where the name ends
        ("哈哈哈哈哈哈!!!!!", "哈哈哈!!!"),
        ("跌跌跌,涨涨涨涨", "跌跌跌,涨涨涨"),
        ("完了…………。。。。", "完了...。。。"),
        ("1000000元,AAAAA级,66666", "1000000元,AAAAA级,66666"),
        ("😂😂😂😂😂 [大笑][大笑][大笑][大笑][怒]", "😂😂😂 [大笑][大笑][大笑][怒]"),
        ("\u2764\ufe0f 👍🏽 👨\u200d👩\u200d👧", "\u2764 👍 👨\u200d👩\u200d👧"),
        ("乾干干干", "干干干"),  # a run that simplifying makes
        ("\x00\u200b \n", ""),
        ("", ""),
    ],
)
def test_canonical_spelling(text, canonical):
    assert normalise(text) == canonical


@given(texts)
@settings(max_examples=1500, deadline=None)
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    once.encode("utf-8")
    assert once == " ".join(once.split())


def test_every_character_is_stable_and_nfkc():
    for code in (*range(0x33480), *range(0xE0000, 0xE0200), sys.maxunicode):  # the planes between are unassigned
        once = normalise(chr(code))
        assert normalise(once) == once, hex(code)
        assert unicodedata.is_normalized("NFKC", once), hex(code)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_a_key_is_never_empty_for_a_text_and_is_the_canonical_texts_key(text):
    assert bool(duplicate_key(text)) == bool(text)
    if normalise(text):
        assert duplicate_key(normalise(text)) == duplicate_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("今天 大涨！", "今天大涨"),
        ("「利好」来了，ABC股份", "利好来了abc股份"),
        ("Ａ股漲停", "A股涨停。"),
        ("2026-03-01 开盘", "2026 - 03 - 01 开盘!"),
    ],
)
def test_equal_texts_share_a_key(one, other):
    assert duplicate_key(one) == duplicate_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("涨3.2%", "涨32%"),
        ("同比-5%", "同比+5%"),
        ("净利-5", "净利5"),
        ("A股😀", "A股😭"),
        ("指数↑", "指数↓"),
        ("!!!", "??"),
    ],
)
def test_texts_that_differ_in_meaning_keep_apart(one, other):
    assert duplicate_key(one) != duplicate_key(other)


@pytest.mark.parametrize(
    "text",
    ["$-" * 7_000 + "a" + "(S600000)$" * 7_000, "http://" * 14_000, "SH" * 50_000, "薴" * 100_000, "12345." * 16_000, "-" * 100_000],
)  # fmt: skip
def test_hostile_texts_of_100000_characters_cost_little(text):
    began = time.process_time()
    assert duplicate_key(text)
    assert time.process_time() - began < 2


def test_threads_agree():
    words = ["颱風過後個股漲跌互現" + str(number) for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(normalise, words)) == [normalise(word) for word in words]
