"""Tables of n-grams: keys, the values of a text against the definition, whole files, damaged ones told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data.ngrams import EXPERT_TABLE, IDF, LONGEST, PART, READ, NGrams, found, text_keys
from finsa_moe.errors import ModelError

TEXTS = ("公司净利润同比下降六成", "股价涨停涨停", "利好", "a涨")


def pieces(text: str) -> Counter[str]:
    return Counter(text[at : at + n] for n in range(1, LONGEST + 1) for at in range(len(text) - n + 1))


def keys_of(text: str) -> Counter[int]:
    keys, of = text_keys([text])
    assert not of.any()
    return Counter(keys.tolist())


def whole(word: str) -> int:
    """A word's own key among its n-grams': the one that no shorter part of it has."""
    (key,) = keys_of(word).keys() - keys_of(word[1:]).keys() - keys_of(word[:-1]).keys()
    return key


def table(*words: str) -> NGrams:
    """Weights 3/8, 0, -3/8 for each word, by its length in characters."""
    order = sorted(words, key=whole)
    weights = np.array([[3 * len(word), 0, -3 * len(word)] for word in order], dtype=np.int8)
    return NGrams(
        np.array([whole(word) for word in order], dtype=np.uint32), np.full(len(order), 32, np.uint8), weights,
        np.array(1 / 8, np.float32), np.array([0.5, 0, -0.5], np.float32),
    )  # fmt: skip


def test_each_n_gram_has_a_key_of_its_own_and_its_count() -> None:
    every = Counter[int]()
    for text in TEXTS:
        own = keys_of(text)
        assert sorted(own.values()) == sorted(pieces(text).values())
        every.update(own.keys())
    assert len(every) == len(set().union(*map(pieces, TEXTS)))


def test_texts_side_by_side_have_the_keys_they_have_alone() -> None:
    keys, of = text_keys(["", *TEXTS, "涨"])
    for at, text in enumerate(["", *TEXTS, "涨"]):
        assert Counter(keys[of == at].tolist()) == keys_of(text)
    assert [part.tolist() for part in text_keys([])] == [[], []]


def test_a_character_s_place_does_not_matter_and_its_order_does() -> None:
    assert keys_of("涨停").keys() < keys_of("今日涨停了").keys()
    assert not keys_of("停涨").keys() <= keys_of("涨停").keys()


def test_only_the_beginning_is_read() -> None:
    long = "".join(chr(0x4E00 + at) for at in range(READ))
    assert keys_of(long) == keys_of(long + "跌")


def test_traditional_and_full_width_forms_have_the_same_values() -> None:
    own = table("涨停", "跌")
    assert np.array_equal(own(["漲停", "ａ跌"]), own(["涨停", "a跌"]))


def test_values_are_those_of_the_definition() -> None:
    own = table("涨停", "涨", "跌")
    tf = {"涨停": 1 + np.log(2), "涨": 1 + np.log(2)}  # both stand twice, the third not at all
    norm = np.sqrt(sum((2 * value) ** 2 for value in tf.values()))
    wanted = sum(3 / 8 * len(word) * 2 * value / norm for word, value in tf.items())
    np.testing.assert_allclose(own(["涨停涨停"]), [[0.5 + wanted, 0, -0.5 - wanted]], rtol=1e-6)
    np.testing.assert_allclose(own(["无", ""]), [[0.5, 0, -0.5]] * 2)
    assert own([]).shape == (0, 3)


def test_a_first_look_loses_nothing() -> None:
    rng = np.random.default_rng(4)
    texts = ["".join(map(chr, rng.integers(0x4E00, 0x4F00, 40))) for _ in range(60)]
    keys = np.unique(text_keys(texts[:30])[0])
    own = NGrams.rounded(keys, np.ones(len(keys)), rng.normal(size=(len(keys), 3)), np.zeros(3))
    for one, two in zip(found(keys, texts), found(keys, texts, own._there), strict=True):
        assert np.array_equal(one, two)
    assert len(found(keys, texts)[0]) > 1000


def test_values_do_not_hang_on_what_stands_beside_a_text() -> None:
    own = table("涨停", "涨", "跌")
    many = [TEXTS[at % len(TEXTS)] for at in range(PART + 3)]
    assert np.array_equal(own(many), np.concatenate([own([text]) for text in many]))


def test_half_an_emoji_is_a_character_like_any_other() -> None:
    own = table("涨停")
    assert np.array_equal(own(["涨停\ud83d"]), own(["涨停x"]))


def test_a_key_past_the_last_is_not_found() -> None:
    keys = np.unique(text_keys(["涨"])[0])
    for none in (keys[:0], np.array([0], dtype=np.uint32)):
        assert all(part.tolist() == [] for part in found(none, ["涨"]))
    assert [part.tolist() for part in found(keys, ["跌", "涨涨"])] == [[1], [0], [2]]


def test_columns_are_taken_out_and_those_of_unknown_classes_put_in() -> None:
    own = table("涨停", "跌")
    other = own.columns([2, None, 0])
    values = other(TEXTS)
    assert np.array_equal(values[:, [2, 0]], own(TEXTS)[:, [0, 2]])
    assert np.isnan(values[:, 1]).all()


def test_rounding_keeps_idf_and_weights_to_half_a_step() -> None:
    rng = np.random.default_rng(3)
    keys, idf, weights = np.arange(50, dtype=np.uint32), rng.uniform(1, 15, 50), rng.normal(size=(50, 3))
    own = NGrams.rounded(keys, idf, weights, np.zeros(3))
    np.testing.assert_allclose(own.idf * IDF, idf, atol=float(IDF) / 2 + 1e-6)
    np.testing.assert_allclose(own.weights * own.scale, weights, atol=float(own.scale) / 2 + 1e-6)
    np.testing.assert_allclose(own.scaled(4)(TEXTS), 4 * own(TEXTS), rtol=1e-6)


def test_a_file_gives_the_same_table_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    own, path = table("涨停", "跌"), tmp_path / EXPERT_TABLE
    assert NGrams.read(path, 3) is None
    own.write(path)
    again = NGrams.read(path, 3)
    assert again is not None
    assert np.array_equal(again(TEXTS), own(TEXTS))
    with pytest.raises(ModelError, match=f"{EXPERT_TABLE}: damaged .* 2 classes"):
        NGrams.read(path, 2)
    shorter = replace(own, keys=own.keys[:1])
    for content in (path.read_bytes()[:-3], b"", shorter.content()):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=f"{EXPERT_TABLE}: damaged"):
            NGrams.read(path, 3)
