"""Amounts of now and then: which pairs are compared, what is said, and that everything else stays as it is."""

from __future__ import annotations

import csv
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.data.amounts import (
    BEAT,
    FELL,
    LARGER,
    LESS,
    MET,
    MISSED,
    MORE,
    SAME,
    SMALLER,
    TURNED,
    WORDS,
    read,
    told,
)  # fmt: skip
from finsa_moe.data.ngrams import text_keys
from finsa_moe.data.samples import path
from finsa_moe.data.text import normalise


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ("净利润1亿元", LESS, ",去年同期2亿元"),
        ("净利润1亿元", MORE, ",去年同期9800万元"),  # by what they are worth, not by their digits
        ("营收1,234.5万元", MORE, "(上年同期为999万元)"),
        ("北屿医药10月交付4.1万辆", MORE, ",去年10月2.6万辆"),
        ("每股收益0.21元", LESS, ",一年前0.66元"),
        ("不良率1.52%", MORE, ",上年末1.31%"),
        ("营收7300万元", LESS, " vs 去年1.05亿元"),
        ("归母净利润为600万元至900万元", MORE, ",上年同期500万元到700万元"),
        ("年初逾期贷款52亿元,年末37亿元", LESS, ""),
        ("逾期贷款由年初的52亿元变为年末的37亿元", LESS, ""),
        ("2023年营收8亿元,2024年营收9亿元", MORE, ""),
        ("2024年营收8亿元", LESS, ",2023年营收9亿元"),
        ("净利润为人民币1.5亿元", LESS, "(2023年:人民币2.1亿元)"),
        ("去年同期营收2亿元,今年1亿元", LESS, ""),
        ("客单价32元/人", LESS, ",去年同期35元/人"),
        ("第四季度净利润35.3亿美元", MISSED, ",市场预期为38亿美元"),
        ("二季度每股收益0.46美元", BEAT, ",分析师预期0.43美元"),
        ("营收948亿美元", BEAT, "(预估890亿美元)"),
        ("预计营收183.5亿美元至190亿美元", MET, ",预估187.5亿美元"),  # by its middle
        ("净亏损3亿元", MISSED, ",预期2亿元"),
        ("分红总额3.15亿元", SAME, ",上年同期3.15亿元"),
        ("一季度盈利4100万元", TURNED, ",上年同期亏损1.3亿元"),
        ("前三季度亏损8600万元", FELL, ",去年同期盈利3200万元"),
        ("净利-1.07亿元", FELL, ",去年同期净利6300万元"),
        ("净亏损4.4亿元", LARGER, ",上年同期1.9亿元"),  # a loss then, as now
        ("净亏损1.9亿元", SMALLER, ",上年同期净亏损4.4亿元"),
        ("经营现金流-2.2亿元", LESS, ",上年同期4.6亿元"),  # no loss, though under nothing
    ],
)
def test_what_is_said_of_two_amounts(before: str, said: str, after: str) -> None:
    assert told(before + after) == before + said + after


@pytest.mark.parametrize(
    "text",
    [
        "净利润1亿元,营收2亿元",  # neither is earlier
        "净利润1亿元,同比增长20%,上年同期增长30%",  # changes, which the text names itself
        "资产总额5919亿元,较年初增加652亿元",
        "目标价由210元下调至200元",
        "注册资本2亿元,去年成立时员工300人",  # of another unit
        "营收8亿元,去年同期研发投入9亿元",  # of another thing
        "9月21日至2025年6月30日,购房每平方米补贴400元,去年为",  # days
        "年产15万吨,2025年目标为20万吨",  # a year still to come, for all that is known
        "2024年营收8亿元,2024年营收9亿元",
        "营收8亿元,公司今天收到了一份来自某某部门的通知,其中提到去年9亿元",  # too far away
        "涨到1300-1040=260,20年后260",
        "美国8月CPI年率3.2%,预期3.1%,前值3.0%",  # good for whom?
        "6月工厂订单环比下降0.3%,预期0.2%,前值1.3%",
        "失业金人数19.7万人,预估为20万人",
        "预计亏损3.5亿元,此前预计亏损1.5亿元",
        "电量从10%充至70%",
        "上半年交付119万辆,上半年海外交付40万辆",
        "",
        "去年",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert told(text) == text


def test_several_pairs_in_one_text() -> None:
    text = "产量3571辆,去年同期3904辆,同比-8.53%;销量3860辆,去年同期3402辆"
    assert told(text) == f"产量3571辆{LESS},去年同期3904辆,同比-8.53%;销量3860辆{MORE},去年同期3402辆"


_PIECES = st.sampled_from(
    [
        *WORDS,
        "净利润",
        "亏损",
        "由",
        "变为",
        "去年同期",
        "年初",
        "今年",
        "2023年",
        "2024年",
        "1亿元",
        "-2亿元",
        "3,000万",
        "5%",
        ",",
        "(",
        "vs",
    ]
)


@given(st.lists(_PIECES, max_size=14).map("".join) | st.text(max_size=60))
def test_nothing_is_lost_and_reading_again_changes_nothing(text: str) -> None:
    once = read(text)
    assert read(once) == once
    bare, plain = once, normalise(text)
    for words in WORDS:
        bare, plain = bare.replace(words, ""), plain.replace(words, "")
    assert bare == plain


def test_wide_forms_and_traditional_characters_are_read_alike() -> None:
    assert (
        read("淨利潤１億元，去年同期２億元") == read("净利润1亿元,去年同期2亿元") == f"净利润1亿元{LESS},去年同期2亿元"
    )


def test_a_table_of_ngrams_sees_what_is_said() -> None:
    more, less = (set(text_keys([f"净利润{n}亿元,去年同期2亿元"])[0].tolist()) for n in (3, 1))
    said = [set(text_keys([words])[0].tolist()) for words in (MORE, LESS)]
    assert said[0] <= more
    assert said[1] <= less


def test_few_texts_of_people_are_touched() -> None:
    """Our own sample, most of whose texts have figures: a pair of now and then is rare, and then it is one."""
    texts = []
    for domain in ("news", "forum"):
        with path(domain).open(encoding="utf-8", newline="") as file:
            texts += [normalise(row["text"]) for row in csv.DictReader(file)]
    touched = [text for text in texts if told(text) != text]
    assert len(touched) < 0.02 * len(texts), touched


@pytest.mark.parametrize(
    "text", ["1亿元,去年" * 20_000, "1" * 100_000 + "去年", "由" + "1-" * 50_000, "去年9," * 30_000]
)
def test_a_hostile_text_takes_no_minutes(text: str) -> None:
    began = time.perf_counter()
    told(text)
    assert time.perf_counter() - began < 10
