"""Splits by the names users give them: files, NAME=FILE, folders; which one is the training split."""

from __future__ import annotations

from pathlib import Path

import pytest

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.sets import named_splits, overlooked, read_splits, splits_of
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.polarity import LabelMap


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two prepared sets, one in other formats, and files by other names."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "news/train.csv", "news/valid.csv", "news/test.csv", "news/rejects.csv",
        "hub/train.jsonl", "hub/validation.parquet", "raw/000001.csv", "raw/000002.csv",
        "finfe_train.json", "finfe_eval.json", "retrain.csv", "test.csv", "a=b.csv",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text,label\n涨停,利好\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["finfe_train.json", "finfe_eval.json"], ["finfe_train", "finfe_eval"]),
        (["finfe_eval.json", "finfe_train.json"], ["finfe_train", "finfe_eval"]),
        (["test.csv", "Train=finfe_eval.json"], ["Train", "test"]),
        (["test.csv", "retrain.csv"], ["test", "retrain"]),
        (["test.csv", "a_train=retrain.csv", "b_train=finfe_eval.json"], ["test", "a_train", "b_train"]),
        (["news"], ["train", "valid", "test"]),
        (["n=news"], ["n/train", "n/valid", "n/test"]),
        (["test.csv", "news"], ["news/train", "test", "news/valid", "news/test"]),
        (["news", "hub"], ["news/train", "news/valid", "news/test", "hub/train", "hub/validation"]),
        (["raw"], ["raw"]),
        (["a=b.csv"], ["a=b"]),
        (["=test.csv"], ["test"]),
    ],
)
def test_names_and_their_order(given: list[str], names: list[str]) -> None:
    assert list(named_splits(given)) == names


def test_names_lead_to_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named_splits(["x=test.csv", "raw"]) == {"x": (Path("test.csv"),), "raw": (Path("raw"),)}
    assert named_splits(["hub"])["validation"] == (Path("hub/validation.parquet"),)
    monkeypatch.chdir(folder / "news")
    assert named_splits(["."]) == {name: (Path(f"{name}.csv"),) for name in ("train", "valid", "test")}
    monkeypatch.chdir(folder / "raw")
    assert list(named_splits(["."])) == ["raw"]


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text,label\n{name},利好\n", encoding="utf-8")
    return folder


def test_splits_in_capitals_and_in_shards() -> None:
    assert splits_of(made(Path("a"), "Train.csv", "TEST.CSV")) == {
        "train": (Path("a/Train.csv"),), "test": (Path("a/TEST.CSV"),)
    }  # fmt: skip
    shards = ["train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001-0a1b2c3d4e5f6071.csv"]
    hub = made(Path("shards"), *shards)
    assert named_splits(["shards"]) == {"train": tuple(hub / name for name in shards[:2]), "test": (hub / shards[2],)}
    frames, _ = read_splits(["shards"], Columns(), LabelMap())
    assert frames["train"]["text"].to_list() == shards[:2]
    assert splits_of(Path("test.csv")) == splits_of(Path("raw")) == {}


def test_files_of_a_folder_that_are_no_split_by_their_names_are_told() -> None:
    """Of two forms of a split the first counts; what ``finsa prepare`` writes beside its splits is no file of rows."""
    called = "as a folder's splits are called train, valid, validation, val, dev, eval, test"
    assert overlooked(["news", "hub", "raw", "test.csv"]) == []
    made(Path("a"), "train.csv", "valid.csv", "test_2024.csv")
    remedy = "name each file that is one, as in test_2024=a/test_2024.csv"
    assert overlooked(["x=a"]) == [f"a: test_2024.csv: not read, {called}; {remedy}"]
    made(Path("b"), "train.csv", "heldout.csv")
    assert overlooked(["b"]) == [
        f"b: heldout.csv: read with train.csv as one split, {called}; name each file that is one, as in "
        "heldout=b/heldout.csv"
    ]
    made(Path("c"), "train.csv", "train.jsonl", "train-00000-of-00001.csv", "test.csv", "old/more.csv")
    strange, second = overlooked(["c"])
    assert "c: old/more.csv: not read, as a folder's splits are called" in strange
    assert second == (
        "c: train-00000-of-00001.csv, train.jsonl: not read, a second form of a split that is there, as train.csv is; "
        "move one of the two out of the folder"
    )


@pytest.mark.parametrize("beside", ["test.csv", ""])
def test_a_file_that_is_named_for_itself_is_no_part_of_its_folder(beside: str) -> None:
    """What `overlooked` advises, where the folder has several splits and where it is one."""
    made(Path("d"), *filter(None, ["train.csv", "heldout.csv", beside]))
    (line,) = overlooked(["d"])
    given = ["d", line.rpartition("as in ")[2]]
    assert overlooked(given) == []
    frames, _ = read_splits(given, Columns(), LabelMap())
    read = {name: frame["text"].to_list() for name, frame in frames.items()}
    train = {"d/train": ["train.csv"], "d/test": ["test.csv"]} if beside else {"d": ["train.csv"]}
    assert read == {**train, "heldout": ["heldout.csv"]}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (["test.csv", "test.csv"], ConfigError, "two splits are called 'test'; name them, as in train=test.csv"),
        (["x=test.csv", "x=retrain.csv"], ConfigError, "two splits are called 'x'"),
        (["news", "none.csv"], DataError, "none.csv: no such file"),
        (["test=none.csv"], DataError, "none.csv: no such file"),
        (["raw", "raw/000001.csv", "raw/000002.csv"], ConfigError, "raw: each of its files is named for itself, too"),
    ],
)
def test_mistakes(given: list[str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        named_splits(given)


def test_what_was_left_out_is_told(folder: Path) -> None:
    (folder / "odd.csv").write_text("text,label\n涨停,利好\n跌停,0\n,利空\n", encoding="utf-8")
    steps: list[tuple[str, int, int]] = []
    frames, told = read_splits(["test.csv", "odd.csv"], Columns(), LabelMap(), lambda *step: steps.append(step))
    assert {name: frame.height for name, frame in frames.items()} == {"test": 1, "odd": 2}
    assert frames["odd"]["label"].to_list() == ["利好", None]
    assert len(told) == 2
    assert told[0].startswith("odd.csv, line 4: ")
    assert told[0].endswith("(and the like: 1 of 3 rows of odd are left out)")
    assert told[1].startswith(
        "odd.csv: 1 of 2 rows bear no label that is known; name its column by --label, or spell it by --labels"
    )
    assert steps == [("reading test", 1, 1), ("reading odd", 1, 1)]
