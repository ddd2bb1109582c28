from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finsa_moe.explain.words import segment

pytest.importorskip("rjieba", reason="the extra explain is not installed")

KINDS = st.sampled_from(
    list("涨跌停板公司 \t\n,，。！!?…%％+-−.0123１２ABst裡臺漲$()[]@:/\u200d\ufe0f\u200b\u0301\ud800😂👍🏽🇨🇳‰℃㎡𠮷あ한")
)


def words(text: str, *known: str) -> list[str]:
    return [word.word for word in segment(text, known)]


@settings(max_examples=400, deadline=None)
@given(st.text(KINDS, max_size=40) | st.text(max_size=40))
@example("\ufeff ")
@example("薴①ﬃ㍿")
def test_the_slices_joined_are_the_text(text: str) -> None:
    cut = segment(text)
    assert "".join(text[word.start : word.end] for word in cut) == text
    assert [word.start for word in cut[1:]] == [word.end for word in cut[:-1]]
    for word in cut:
        assert word.word
        assert text[word.at : word.at + len(word.word)] == word.word
        assert word.start <= word.at < word.end
        assert word.key


@pytest.mark.parametrize(
    "whole",
    [
        "62.5%", "+3.2%", "-3.5个百分点", "１２．５％", "1,234.5亿元", "1.2万亿元", "2026年", "10:30", "2026-03-05", "3连板", "15bp",
        "600519.SH", "SZ000001", "$贵州茅台(SH600519)$", "https://t.cn/abc?x=1", "AT&T", "COVID-19", "5G", "A股", "K线", "*ST",
        "👨‍👩‍👧", "🇨🇳", "👍🏽", "❤️", "[大笑]", "！！！", "isn't",
    ],
)  # fmt: skip
def test_what_stays_whole(whole: str) -> None:
    text = f"今天 {whole}海马"
    assert whole in words(text)


def test_a_hyphen_between_numbers_is_no_sign() -> None:
    assert words("1-2月 涨-3%") == ["1", "2月", "涨", "-3%"]


def test_words_of_finance_and_of_a_list() -> None:
    assert words("主力砸盘,游资接盘") == ["主力", "砸盘", "游资", "接盘"]
    assert "天雷滚滚涨" not in words("看天雷滚滚涨吧")
    assert "天雷滚滚涨" in words("看天雷滚滚涨吧", "天雷滾滾漲")  # a list in another script meets the same word


def test_traditional_is_cut_as_simplified_and_keeps_its_spelling() -> None:
    traditional = segment("這隻股票漲停，主力護盤")
    simplified = segment("这只股票涨停，主力护盘")
    assert [w.word for w in traditional] == ["這", "隻", "股票", "漲停", "主力", "護盤"]
    assert [w.key for w in traditional] == [w.word for w in simplified]


def test_separators_go_along_with_the_word_before() -> None:
    first, second = segment("《涨停》, 好")
    assert (first.start, first.at, first.end, first.word) == (0, 1, 6, "涨停")
    assert (second.start, second.end) == (6, 7)


def test_texts_without_a_word() -> None:
    assert segment("") == []
    assert words("。。。") == ["。。。"]
    assert words("?!") == ["?", "!"]
    assert words("😂😂") == ["😂", "😂"]
    assert words("↑3% = 好") == ["↑", "3%", "好"]


def test_the_list_of_words_is_plain() -> None:
    import finsa_moe.explain.words as room

    lines = (Path(room.__file__).parent / "finance_words.txt").read_text(encoding="utf-8").splitlines()
    listed = [word for line in lines if not line.startswith("#") for word in line.split()]
    assert len(listed) == len(set(listed)), {word for word in listed if listed.count(word) > 1}
