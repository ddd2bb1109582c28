from __future__ import annotations

import hashlib
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.config import TrainConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.encode import TextEncoder
from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import DataError
from finsa_moe.model.reading import Reading
from finsa_moe.polarity import LabelMap
from finsa_moe.training.batches import Collator, EncodedRows, LengthGroupedSampler, Rows, read_split, steps_of
from tests.families import tokenizer_for


def split(folder: Path, content: str | bytes, name: str = "train") -> Path:
    (folder / f"{name}.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_a_split_in_order_with_its_counts(tmp_path: Path) -> None:
    rows = read_split(split(tmp_path, "id,text,label\n1,大涨,利好\n2,大跌,利空\n3,又涨,利好\n"), "train")
    assert (rows.texts, rows.labels, rows.counts()) == (["大涨", "大跌", "又涨"], [2, 0, 2], [1, 0, 2])
    assert rows.file == tmp_path / "train.csv"


def test_a_split_of_others_by_their_columns_and_labels(tmp_path: Path) -> None:
    split(tmp_path, "title,body,y\n甲,涨,1\n乙,跌,-1\n", "valid")
    rows = read_split(
        tmp_path, "valid", Reading(Columns(text="title+body", label="y"), LabelMap.parse("-1=利空,1=利好"))
    )
    assert (rows.texts, rows.labels) == (["甲 涨", "乙 跌"], [2, 0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,text,label\n", "no rows; the train split needs at least one"),
        (
            "id,text,label\n1,涨,利好\n2,跌,下雨\n3,平,未知\n",
            r"line 3: .*下雨.* \(2 of 3 rows cannot be used\); mend it or run finsa prepare",
        ),
        ("id,text,label\n1,涨,1\n", r"line 2: "),
        ("id,text,label\n1,,利好\n", r"line 2: .*\(1 of 1 rows cannot be used\)"),
        ("id,words,label\n1,涨,利好\n", "text"),
        ("id,text\n1,涨\n", "label"),
        ("", "train.csv"),
    ],
)
def test_a_split_that_cannot_be_trained_on(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_split(split(tmp_path, content), "train")
    assert "train.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path}/train\.csv: missing; make the folder with: finsa prepare"):
        read_split(tmp_path, "train")
    (tmp_path / "funds.csv").write_text("text,label\n涨,利好\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=rf"funds\.csv: a file, .* finsa prepare {tmp_path}/funds\.csv --domain NAME --out DIR"
    ):
        read_split(tmp_path / "funds.csv", "train")


def test_encoded_rows_stand_one_part_after_another(tmp_path: Path) -> None:
    encoder = TextEncoder(tokenizer_for("bert").backend_tokenizer, max_length=16)
    news = read_split(split(tmp_path, "text,label\n净利翻倍,利好\n业绩大跌,利空\n"), "train")
    forum = read_split(split(tmp_path, f"text,label\n{'又要跌停' * 20},利空\n", "valid"), "valid")
    rows = EncodedRows([(news, 0), (forum, 1)], encoder)
    assert len(rows) == 3
    each = list(rows)
    assert [(row["labels"], row["domains"]) for row in each] == [(2, 0), (0, 0), (0, 1)]
    assert rows[0]["input_ids"].tolist() == encoder(["净利翻倍"])[0].ids
    assert rows.lengths.tolist() == [len(row["input_ids"]) for row in each]
    assert rows.lengths.max() == 16
    digest = hashlib.sha256()  # as runs of before marked them, which go on
    for row in each:
        digest.update(repr([row["input_ids"].tolist(), row["labels"], row["domains"]]).encode())
    assert rows.mark() == digest.hexdigest()[:16]


def test_a_row_takes_little_more_than_four_bytes_a_token() -> None:
    """A split of a million rows and more lies in memory whole."""
    encoder = TextEncoder(tokenizer_for("bert").backend_tokenizer, max_length=64)
    count = 4_000
    rows = Rows(Path("train.csv"), [f"第{at}条" + "主力又在砸盘" * 12 for at in range(count)], [0] * count)
    tracemalloc.start()
    try:
        encoded = EncodedRows([(rows, 0)], encoder)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert encoded.lengths.min() > 30
    utf8 = np.mean([len(text.encode()) for text in rows.texts])  # which Python keeps beside a text once it is asked for
    assert held / count < 4 * encoded.lengths.mean() + utf8 + 60
    assert peak < 2 * held  # beside it there is a portion's


def test_collator_pads_on_the_right_to_eights() -> None:
    rows = [
        {"input_ids": [5, 6, 7], "labels": 2, "domains": 1},
        {"input_ids": list(range(9)), "labels": 0, "domains": 0},
    ]
    batch = Collator(pad_id=99)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, *[99] * 13], [*range(9), *[99] * 7]]
    assert batch["attention_mask"].tolist() == [[1] * 3 + [0] * 13, [1] * 9 + [0] * 7]
    assert batch["labels"].tolist() == [2, 0]
    assert batch["domains"].tolist() == [1, 0]
    assert {str(t.dtype) for t in batch.values()} == {"torch.int64"}
    assert Collator(0)([{"input_ids": [1] * 8, "labels": 0, "domains": 0}])["input_ids"].shape == (1, 8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 99), st.integers(0, 5)
)
def test_an_epoch_is_every_row_once_and_fills_its_last_batch(
    lengths: list[int], batch: int, seed: int, epoch: int
) -> None:
    """All batches are whole: of a short one each process, and each part of a gradient, would have another share."""
    sampler = LengthGroupedSampler(np.array(lengths), batch, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert Counter(order[: len(lengths)]) == Counter(range(len(lengths)))
    assert len(sampler) == len(order) == -(-len(lengths) // batch) * batch
    filled = Counter(order[len(lengths) :])
    assert max(filled.values(), default=0) - min((filled[at] for at in range(len(lengths))), default=0) <= 1
    assert list(sampler) == order, "the order follows from seed and epoch, not from how often it was asked"


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        (["epochs=2"], 14), (["epochs=0.5"], 4), (["epochs=1.1"], 8), (["gradient_accumulation=3"], 9),
        (["max_steps=5", "epochs=9"], 5), (["epochs=0"], 0),
    ],
)  # fmt: skip
def test_steps_of_a_run(asked: list[str], steps: int) -> None:
    """Over 25 rows in batches of 4: seven an epoch."""
    assert steps_of(TrainConfig.load(None, ["batch_size=4", *asked]), 25) == steps


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 200)

    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthGroupedSampler(lengths, 8, seed)
        sampler.set_epoch(epoch)
        np.random.seed(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_neighbours_are_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 4000)
    sampler = LengthGroupedSampler(lengths, 16, 0)
    batches = lengths[np.array(list(sampler))].reshape(-1, 16)
    spread = (batches.max(1) - batches.min(1)).mean()
    assert spread < 25, "random batches of 16 would span about 440"
    means = batches.mean(1)
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.2, "batches are shuffled, not long ones last"


def test_rows_near_to_held_out_texts_are_left_out(tmp_path: Path) -> None:
    split(tmp_path, "text,label\n央行宣布降准五十个基点,利好\n多家上市公司被立案调查,利空\n")
    rows = read_split(tmp_path, "train")
    assert rows.apart(HeldOut([])) is rows
    kept = rows.apart(HeldOut(["央行宣布降准五十个基点！", "别的话"]))
    assert (kept.texts, kept.labels, kept.file) == (["多家上市公司被立案调查"], [0], rows.file)
    with pytest.raises(DataError, match=r"train\.csv: all 2 rows are equal or near to texts of --hold-out"):
        rows.apart(HeldOut(rows.texts))
