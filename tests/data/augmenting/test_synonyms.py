"""The lexicon holds what it promises; whole words alone are replaced, the same for a seed."""

from __future__ import annotations

import random
import tomllib
from collections import Counter
from importlib import resources

import pytest

from finsa_moe.data.augmenting.synonyms import groups, replaced, segmenter


def test_a_lexicon_of_groups_each_word_in_one() -> None:
    content = tomllib.loads(
        resources.files("finsa_moe.data.augmenting").joinpath("synonyms.toml").read_text(encoding="utf-8")
    )
    assert set(content) == {"bullish", "neutral", "bearish"}
    lists = [group for parts in content.values() for some in parts.values() for group in some]
    counts = Counter(word for group in lists for word in group)
    assert len(lists) >= 250
    assert max(counts.values()) == 1
    assert all(len(group) >= 2 for group in lists)
    assert all(not any(character.isdigit() for character in word) for word in counts)
    assert all(word in groups()[word] for word in counts)


@pytest.mark.parametrize(
    "text", ["公司公告大股东减持", "股价下跌,散户割肉", "净利润同比增长30.5%,不及预期", "600000涨停了"]
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


def test_no_word_within_a_longer_one() -> None:
    """公司 has a synonym, 公司法 is another word; 涨停板 holds 涨停."""
    for text in ("公司法修订草案", "明天又是一个涨停板"):
        for seed in range(20):
            new = replaced(text, random.Random(seed), share=1.0)
            assert new is None or "公司法" in new or "涨停板" in new


def test_numbers_and_marks_stay() -> None:
    new = replaced("公司净利润同比增长30.5%,不及预期!!", random.Random(1), share=1.0)
    assert new is not None
    assert "30.5%," in new
    assert new.endswith("!!")


def test_a_seed_is_a_wording_and_texts_without_words_have_none() -> None:
    text = "大股东公告减持,股价下跌,散户割肉"
    assert replaced(text, random.Random(3)) == replaced(text, random.Random(3))
    assert len({replaced(text, random.Random(seed)) for seed in range(30)}) > 5
    for nothing in ("", "!!!", "hello", "😀"):
        assert replaced(nothing, random.Random(1)) is None
