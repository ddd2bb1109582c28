"""Tables of n-grams: keys, the values of a text against the definition, whole files, damaged ones told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data.ngrams import FILE, LONGEST, READ, NGrams, found, text_keys
from finsa_moe.errors import ModelError

TEXTS = ("公司净利润同比下降六成", "股价涨停涨停", "利好", "a涨")


def pieces(text: str) -> Counter[str]:
    return Counter(text[at : at + n] for n in range(1, LONGEST + 1) for at in range(len(text) - n + 1))


def table(*words: str) -> NGrams:
    """Weights 3, 0, -3 for each word, by its length in characters."""
    keys = {int(text_keys(word)[0][place]): word for word in words for place in [whole(word)]}
    order = sorted(keys)
    weights = np.array([[3 * len(keys[key]), 0, -3 * len(keys[key])] for key in order], dtype=np.int8)
    return NGrams(
        np.array(order, dtype=np.uint64), np.full(len(order), 2, np.float32), weights, np.array([0.1], np.float32),
        np.array([0.5, 0, -0.5], np.float32),
    )  # fmt: skip


def whole(word: str) -> int:
    """The place of a word's own key among its n-grams': the one that no shorter part of it has."""
    shorter = {int(key) for part in (word[1:], word[:-1]) for key in text_keys(part)[0]}
    (place,) = (at for at, key in enumerate(text_keys(word)[0]) if int(key) not in shorter)
    return place


def test_each_n_gram_has_a_key_of_its_own_and_its_count() -> None:
    every = Counter[int]()
    for text in TEXTS:
        keys, counts = text_keys(text)
        assert (np.diff(keys.astype(object)) > 0).all()
        assert sorted(counts.tolist()) == sorted(pieces(text).values())
        every.update(keys.tolist())
    assert len(every) == len(set().union(*map(pieces, TEXTS)))


def test_a_character_s_place_does_not_matter_and_its_order_does() -> None:
    assert set(text_keys("涨停")[0]) < set(text_keys("今日涨停了")[0])
    assert not set(text_keys("涨停")[0]) <= set(text_keys("停涨")[0])


def test_only_the_beginning_is_read() -> None:
    long = "".join(chr(0x4E00 + at) for at in range(READ))
    assert all(np.array_equal(a, b) for a, b in zip(text_keys(long), text_keys(long + "跌"), strict=True))


def test_traditional_and_full_width_forms_have_the_same_values() -> None:
    own = table("涨停", "跌")
    assert np.array_equal(own(["漲停", "ａ跌"]), own(["涨停", "a跌"]))


def test_values_are_those_of_the_definition() -> None:
    own = table("涨停", "涨", "跌")
    tf = {"涨停": 1 + np.log(2), "涨": 1 + np.log(2)}  # both stand twice, the third not at all
    norm = np.sqrt(sum((2 * value) ** 2 for value in tf.values()))
    wanted = sum(0.1 * 3 * len(word) * 2 * value / norm for word, value in tf.items())
    np.testing.assert_allclose(own(["涨停涨停"]), [[0.5 + wanted, 0, -0.5 - wanted]], rtol=1e-6)
    np.testing.assert_allclose(own(["无", ""]), [[0.5, 0, -0.5]] * 2)
    assert own([]).shape == (0, 3)


def test_a_key_past_the_last_is_not_found() -> None:
    keys, _ = text_keys("涨")
    assert found(keys[:0], "涨")[0].tolist() == []
    assert found(np.array([0], dtype=np.uint64), "涨")[0].tolist() == []
    assert found(keys, "涨涨")[1].tolist() == [2]


def test_a_file_gives_the_same_table_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    own = table("涨停", "跌")
    assert NGrams.read(tmp_path) is None
    own.write(tmp_path)
    again = NGrams.read(tmp_path)
    assert again is not None
    assert np.array_equal(again(TEXTS), own(TEXTS))
    whole_file = (tmp_path / FILE).read_bytes()
    for content in (whole_file[:-3], b"", NGrams(own.keys[:1], *[getattr(own, n) for n in ("idf", "weights", "scale", "bias")]).content()):  # fmt: skip
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(ModelError, match=f"{FILE}: damaged"):
            NGrams.read(tmp_path)
