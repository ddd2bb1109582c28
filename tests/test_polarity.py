"""The classes and the words for them; a bare number is never guessed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.errors import DataError
from finsa_moe.polarity import NAMES, WORDS, LabelMap, Polarity, parse_word


def test_ids_and_names_are_the_fixed_order():
    assert [int(p) for p in Polarity] == [0, 1, 2]
    assert NAMES == ("利空", "中性", "利好")
    assert [p.english for p in Polarity] == ["bearish", "neutral", "bullish"]


def test_no_word_stands_for_two_classes():
    counts = Counter(word for words in WORDS.values() for word in words)
    assert [word for word, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("word", "polarity"),
    [
        ("利好", 2), (" 看多 ", 2), ("Bullish", 2), ("ＰＯＳＩＴＩＶＥ", 2), ("樂觀", 2), ("利空", 0), ("消极", 0),
        ("負面", 0), ("neg", 0), ("中性", 1), ("NEUTRAL", 1), ("觀望", 1),
    ],
)  # fmt: skip
def test_usual_words(word, polarity):
    assert parse_word(word) == polarity


@pytest.mark.parametrize("value", [None, "", "none", "None", "nan", "N/A", "0", "1", "2", "-1", "4.0", "好", "涨"])
def test_what_is_no_word_is_not_guessed(value):
    assert parse_word(value) is None
    assert LabelMap()(value) is None


@given(st.integers() | st.floats())
def test_numbers_are_never_guessed(number):
    assert LabelMap()(number) is None
    assert LabelMap()(str(number)) is None


def test_map_from_words_preset_mapping_and_file(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("\ufeff-1=利空\n0 = neutral\n1=利好\n", encoding="utf-8")
    assert [LabelMap.parse("0=利空,1=中性,2=利好")(value) for value in ("0", "1", 2, "2.0")] == [0, 1, 2, 2]
    assert [LabelMap.parse("finsa")(value) for value in (0, 1, 2)] == [0, 1, 2]
    assert [LabelMap.parse(str(file))(value) for value in ("-1", "0", "1", "2")] == [0, 1, 2, None]
    assert LabelMap.parse({1: "利空"})("1") == 0
    assert LabelMap.parse(None)("利好") == 2
    assert LabelMap.parse("")("1") is None


def test_own_spelling_goes_before_the_usual_word():
    assert LabelMap.parse("long=利空")("long") == 0
    assert LabelMap.parse("long=利空")("short") == 0


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("4=涨停", "'涨停' is no class"),
        ("4=利好,利空", "'利空' is not value=label"),
        ("1=利好,1=利空", "keep one"),
        ("no-such-file.txt", "neither a readable file nor a preset"),
        ("x" * 5000, "neither a readable file"),
        ("a\x00b", "neither a readable file"),
    ],
)
def test_a_wrong_map_is_one_line_that_says_so(source, says):
    with pytest.raises(DataError, match=says) as caught:
        LabelMap.parse(source)
    assert "\n" not in str(caught.value)


def test_a_map_file_in_another_encoding(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("1=利好\r\n涨=利好\r\n".encode("gb18030"))
    assert [LabelMap.parse(str(file))(value) for value in ("1", "涨")] == [2, 2]
    file.write_bytes("1=利好".encode("gb18030")[:-1])
    with pytest.raises(DataError, match=r"neither UTF-8 nor GB18030 \(fails at byte 4\)"):
        LabelMap.parse(str(file))
