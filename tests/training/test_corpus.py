from __future__ import annotations

import bz2
import gzip
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.lines import normalised_lines
from finsa_moe.errors import DataError
from finsa_moe.training.corpus import CLS, SEP, SPECIAL, Corpus, equal_length_batches, train_tokenizer
from tests.families import made_rows

TEXTS = [text for text, _ in made_rows("news", 300)] + ["ABC shares up 3.5% in Q3"] * 3


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return train_tokenizer(TEXTS, vocab_size=300)


def test_lines_of_every_packing(tmp_path: Path) -> None:
    content = "\ufeff大涨\n\n  \n又跌  了\r\n最后一行无换行".encode()
    (tmp_path / "a.txt").write_bytes(content)
    for suffix, pack in ((".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)):
        (tmp_path / f"a.txt{suffix}").write_bytes(pack(content))
    expected = ["大涨", "又跌 了", "最后一行无换行"]
    for name in ("a.txt", "a.txt.gz", "a.txt.xz", "a.txt.bz2"):
        assert list(normalised_lines([tmp_path / name])) == expected
    assert list(normalised_lines([tmp_path / "a.txt", tmp_path / "a.txt"])) == expected * 2


def test_lines_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        list(normalised_lines([tmp_path / "none.txt"]))
    (tmp_path / "gb.txt").write_bytes("好\n".encode() + "大涨".encode("gb18030"))
    with pytest.raises(DataError, match=r"gb\.txt: after line \d: not UTF-8"):
        list(normalised_lines([tmp_path / "gb.txt"]))


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
@pytest.mark.parametrize("kind", ["cut", "not packed"])
def test_a_damaged_packing_is_one_line(suffix: str, kind: str, tmp_path: Path) -> None:
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}[suffix]
    content = pack("\n".join(TEXTS * 20).encode())
    (tmp_path / f"a{suffix}").write_bytes(content[: len(content) // 2] if kind == "cut" else b"plain text\n")
    with pytest.raises(DataError, match=rf"a\{suffix}") as caught:
        list(normalised_lines([tmp_path / f"a{suffix}"]))
    assert "\n" not in str(caught.value)


def test_digits_and_punctuation_stand_one_by_one(tokenizer) -> None:  # type: ignore[no-untyped-def]
    vocabulary = tokenizer.get_vocab()
    assert {vocabulary[token] for token in SPECIAL} == set(range(5))
    digits = [token for token in vocabulary if any(c.isdigit() for c in token)]
    assert digits
    assert all(len(token) == 1 for token in digits)
    tokens = tokenizer.encode("成交2024亿，上涨3.5%").tokens
    for run in (["2", "0", "2", "4"], ["3", ".", "5", "%"], [","]):
        assert any(tokens[i : i + len(run)] == run for i in range(len(tokens))), (run, tokens)
    assert max(len(t) for t in vocabulary if t not in SPECIAL) <= 6
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"


def test_the_tokenizer_is_trained_the_same_each_time(tokenizer) -> None:  # type: ignore[no-untyped-def]
    assert train_tokenizer(TEXTS, vocab_size=300).to_str() == tokenizer.to_str()


@pytest.mark.parametrize("longest", [8, 1000])
def test_a_corpus_holds_every_token_in_order(longest: int, tmp_path: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    texts = [*TEXTS, "涨", "净利翻倍" * 30]
    Corpus.write(iter(texts), tokenizer, tmp_path / "c", longest=longest, chunk=64)
    corpus = Corpus.open(tmp_path / "c")
    kept = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False) if len(e.ids) >= 4]
    assert corpus.ids.tolist() == [i for ids in kept for i in ids]
    assert corpus.lengths.max() <= longest
    assert corpus.lengths.min() >= 2
    if longest == 1000:
        assert corpus.lengths.tolist() == [len(ids) for ids in kept]
    else:  # cut into equal parts: none is a stub of a token or two
        cut = [len(ids) for ids in kept if len(ids) > longest]
        assert cut
        assert sum(-(-n // longest) for n in cut) + sum(len(ids) <= longest for ids in kept) == len(corpus)
    assert not list(tmp_path.glob("*tmp*"))


def test_no_text_is_an_error_and_leaves_nothing(tmp_path: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="no text of four tokens or more"):
        Corpus.write(["涨", "跌"], tokenizer, tmp_path / "c", longest=8)
    assert not (tmp_path / "c").exists()
    Corpus.write(TEXTS, tokenizer, tmp_path / "c", longest=8)  # and the next attempt is not in its way
    assert len(Corpus.open(tmp_path / "c"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=400), st.integers(1, 300), st.integers(0, 9))
def test_batches_hold_every_document_once_at_one_length(lengths: list[int], tokens: int, seed: int) -> None:
    array = np.array(lengths)
    batches = equal_length_batches(array, tokens=tokens, rng=np.random.default_rng(seed))
    assert Counter(int(d) for batch in batches for d in batch) == Counter(range(len(lengths)))
    for batch in batches:
        width = set(array[batch])
        assert len(width) == 1
        assert len(batch) == 1 or len(batch) * (width.pop() + 2) <= tokens


def test_batches_differ_from_epoch_to_epoch_only_by_their_generator() -> None:
    lengths = np.random.default_rng(0).integers(4, 9, 200)
    first, second, other = (
        [b.tolist() for b in equal_length_batches(lengths, tokens=80, rng=np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_special_tokens_frame_every_text(tokenizer) -> None:  # type: ignore[no-untyped-def]
    assert tokenizer.encode("大涨").ids[0] == CLS
    assert tokenizer.encode("大涨").ids[-1] == SEP
