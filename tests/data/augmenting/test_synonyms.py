"""The lexicon holds what it promises; whole words alone are replaced, where the sentence allows it, the same for a seed."""

from __future__ import annotations

import csv
import random
import tomllib
from collections import Counter
from importlib import resources
from itertools import permutations

import pytest

from finsa_moe.data.augmenting.synonyms import groups, replaced, segmenter
from finsa_moe.data.samples import path as sample

LEXICON = tomllib.loads(
    resources.files("finsa_moe.data.augmenting").joinpath("synonyms.toml").read_text(encoding="utf-8")
)
GROUPS = [group for part in LEXICON["groups"].values() for group in part]


def wordings(text: str, seeds: int = 100) -> set[str]:
    """The text and all that was made of it, with a word changed and with all of them."""
    made = {replaced(text, random.Random(seed), share) for seed in range(seeds) for share in (0.0, 1.0)}
    return {text} | {new for new in made if new is not None}


def test_a_lexicon_of_groups_each_word_in_one() -> None:
    assert set(LEXICON["groups"]) == {"bullish", "neutral", "bearish"}
    counts = Counter(word for group in GROUPS for word in group)
    assert len(GROUPS) >= 250
    assert max(counts.values()) == 1
    assert all(len(group) >= 2 for group in GROUPS)
    assert not [word for word in counts if any(character.isdigit() for character in word)]
    assert all(groups()[word] == groups()[other] for group in GROUPS for word, other in permutations(group, 2))


def test_no_word_holds_another_of_its_group() -> None:
    """Else 冻结 would become 被冻结 after a 被, and a text would grow whenever it was augmented again."""
    assert not [pair for group in GROUPS for pair in permutations(group, 2) if pair[0] in pair[1]]


def test_guards_keep_what_stands_in_them() -> None:
    assert len(set(LEXICON["guards"])) == len(LEXICON["guards"])
    assert not [(guard, word) for guard in LEXICON["guards"] for word in groups() if guard in word]
    for guard in LEXICON["guards"]:
        assert all(guard in new for new in wordings(f"说到{guard}的事", 2)), guard


@pytest.mark.parametrize(
    ("text", "stays", "never"),
    [
        ("控股股东所持股份被司法冻结", "控股股东所持股份被司法冻结|控股股东所持股份遭司法冻结", "拿着|被冻结|实际控制股东"),
        ("公司每10股派发现金红利2元", "现金红利", "政策红利"),
        ("这位基金经理今日表示看好后市", "基金经理", "产品经理"),
        ("公司公告称终止重大资产重组", "终止重大资产重组", "中止"),
        ("公司因违规担保被立案调查", "违规担保", "违法违规"),
        ("法院受理公司破产重整", "破产重整", "资不抵债"),
        ("大股东拟减持不超过2%", "大股东", "第一大股东"),
        ("前三季度亏损扩大至5亿元", "亏损", "出现亏损"),
        ("公司明天召开股东大会", "股东大会", "持股人"),
        ("放量突破前高", "放量突破", "站上"),
        ("嘉实稳健今天净值上涨", "嘉实稳健", "稳固"),
        ("信息披露义务人拟增持", "信息披露", "信息公布"),
    ],
)  # fmt: skip
def test_terms_are_not_put_in_other_words(text: str, stays: str, never: str) -> None:
    for new in wordings(text):
        assert any(kept in new for kept in stays.split("|")), new
        assert not [word for word in never.split("|") if word in new], new


@pytest.mark.parametrize(
    "name",
    [
        "嘉实稳健混合", "易方达平稳增长", "兴全趋势投资", "华夏成长", "银华优质增长", "南方稳健成长", "汇添富均衡增长", "富国天惠精选成长",
        "工银红利优享", "景顺长城新兴成长", "博时主题行业", "中欧价值发现", "今天国际", "今日头条", "稳健医疗", "龙头股份", "建设银行", "东方财富",
        "国泰君安证券公司", "第一创业", "明天控股", "分众传媒", "港股通红利基金", "平安银行",
    ],
)  # fmt: skip
def test_names_stay(name: str) -> None:
    new = wordings(f"{name}昨日公告称,投资者关注的年报将于月底披露", 20)
    assert len(new) > 1
    assert all(one.startswith(name) for one in new)


def test_titles_tickers_and_users_stay() -> None:
    for kept in ("《年度报告准则》", "$今天股份(SZ300000)$", "#今日股价#", "@今天追高了", "[赶紧]"):
        text = f"{kept} 昨天发的"
        assert {new.partition(" ")[0] for new in wordings(text, 20)} == {kept}
        assert len(wordings(text, 20)) > 1


@pytest.mark.parametrize(
    "text",
    ["公司公告称实控人拟减持", "股价今日小幅下跌,散户割肉", "营收同比增长30.5%,不及预期", "600000今天触底反弹了"],
)
def test_only_known_whole_words_change(text: str) -> None:
    before = list(segmenter().cut(text))
    for seed in range(20):
        new = replaced(text, random.Random(seed), share=1.0)
        assert new is not None
        assert new != text
        left = new
        for word in before:  # walk along: each word stands, or one of its group does
            options = groups().get(word, (word,))
            found = next(option for option in sorted(options, key=len, reverse=True) if left.startswith(option))
            assert found != word or word not in groups()
            left = left.removeprefix(found)
        assert not left


@pytest.mark.parametrize(
    "text", ["团伙头目前往外地", "该公司担当前行", "公司法修订草案", "以前高息揽储的事", "综合计划处"]
)
def test_no_word_across_others_or_within_a_longer_one(text: str) -> None:
    """目前, 当前, 前高 and 合计 have synonyms."""
    assert wordings(text, 20) == {text}


@pytest.mark.parametrize("text", ["楼市市场", "房地产楼市", "高管人员"])
def test_no_word_says_its_neighbour_again(text: str) -> None:
    assert replaced(text, random.Random(1)) is None


def test_a_text_does_not_grow_however_often_it_is_put_in_other_words() -> None:
    """No text of the sample gets longer than by the longest word of each group, in ten turns."""
    for domain in ("news", "forum"):
        with sample(domain).open(encoding="utf-8", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        for text in texts[::4]:
            most = sum(max(map(len, groups().get(word, (word,)))) for word in segmenter().cut(text))
            new = text
            for turn in range(10):
                new = replaced(new, random.Random(turn), share=1.0) or new
                assert len(new) <= most, (text, new)


def test_numbers_and_marks_stay() -> None:
    new = replaced("公司营收同比增长30.5%,不及预期!!", random.Random(1), share=1.0)
    assert new is not None
    assert "30.5%," in new
    assert new.endswith("!!")


def test_a_seed_is_a_wording_and_texts_without_words_have_none() -> None:
    text = "实控人公告称拟减持,股价今日小幅下跌,散户割肉"
    assert replaced(text, random.Random(3)) == replaced(text, random.Random(3))
    assert len({replaced(text, random.Random(seed)) for seed in range(30)}) > 5
    for nothing in ("", "!!!", "hello", "😀"):
        assert replaced(nothing, random.Random(1)) is None
