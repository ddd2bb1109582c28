"""What splits share, against counts by hand and by plain dictionaries; FinFE's published counts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.duplicates.leakage import LeakReport, Shared, audit
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError, DataError

FINFE = Path(__file__).parents[4] / "shared" / "data" / "audit"
LONG = "公司拟向大股东发行股份购买资产并募集配套资金,本次交易构成关联交易但不构成重组上市"


def frame(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"text": pl.String, "label": pl.String}, orient="row")


@pytest.fixture
def report() -> LeakReport:
    train = frame(
        ("涨停!", "利好"), ("涨停!", "利空"), ("涨停", "利好"), (LONG, "中性"), ("跌了", "利空"), ("横盘", None)
    )
    test = frame(("涨停!", "利好"), ("涨停。", "利好"), (LONG + "了", "利好"), ("全新的内容", "中性"))
    return audit({"train": train, "test": test})


def test_counts_by_hand(report: LeakReport) -> None:
    assert [report.shared("train", "test", notion) for notion in ("raw", "normalised", "near")] == [
        Shared(1, 4, 1), Shared(2, 4, 1), Shared(3, 4, 2),
    ]  # fmt: skip
    assert report.shared("test", "train", "raw") == Shared(2, 6, 1)
    assert report.shared("train", "test").share == 0.75
    assert [report.duplicates("train", notion) for notion in ("raw", "normalised", "near")] == [1, 2, 2]
    assert [report.conflicts("train", notion) for notion in ("raw", "normalised", "near")] == [1, 1, 1]
    assert report.conflicts("test", "near") == 0
    assert report.balance("train") == {"利空": 2, "中性": 1, "利好": 2, "": 1}
    assert report.lengths("train") == (2, 3, 3)
    assert report.labelled
    assert report.pairs() == [("train", "test")]


def test_whether_it_leaks(report: LeakReport) -> None:
    assert report.leaks()
    assert report.leaks("raw", allowed=0.2)
    assert not report.leaks("raw", allowed=0.25)
    assert not audit({"a": frame(("涨", "利好")), "b": frame(("跌", "利空"))}).leaks()
    assert not audit({"a": frame(("涨", "利好"), ("涨", "利好"))}).leaks()


def test_the_worst_first(report: LeakReport) -> None:
    first, second = report.worst(2)
    assert (first.splits, first.labels) == (2, 2)
    assert {row["text"] for row in first.rows} == {"涨停!", "涨停", "涨停。"}
    assert (second.splits, second.labels) == (2, 2)
    assert {row["text"] for row in second.rows} == {LONG, LONG + "了"}
    assert len(report.worst(10)) == 2


def test_a_missing_label_is_none_when_the_worst_are_ordered() -> None:
    """A large cluster that bears one label and a missing one does less harm than a small one of two labels."""
    one = audit({"a": frame(("涨", "利好"), ("涨", None), ("涨", None)), "b": frame(("涨", "利好"))})
    assert one.worst(1)[0].labels == 1
    rows = frame(("涨", "利好"), ("涨", None), ("涨", None), ("跌", "利空"))
    both = audit({"a": rows, "b": frame(("涨", "利好"), ("跌", "中性"))})
    assert [example.labels for example in both.worst(2)] == [2, 1]


def test_all_splits_together(report: LeakReport) -> None:
    assert [report.duplicates(notion=notion) for notion in ("raw", "normalised", "near")] == [2, 4, 5]
    assert [report.conflicts(notion=notion) for notion in ("raw", "normalised", "near")] == [1, 1, 2]


def test_which_pairs_leak() -> None:
    splits = {"train": frame(("涨了", "利好"), ("跌了", "利空")), "valid": frame(("平了", "中性")), "test": frame(("跌了", "利空"), ("新的", None))}  # fmt: skip
    assert audit(splits).leaking() == [("train", "test")]
    assert audit(splits).leaking(allowed=0.5) == []


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda report: report.shared("trian", "test"), "split 'trian': there are train, test; did you mean 'train'"),
        (lambda report: report.shared("train", "eval"), "split 'eval': there are train, test"),
        (lambda report: report.balance("all"), "split 'all'"),
        (lambda report: report.leaks("normalized"), "did you mean 'normalised'"),
        (lambda report: report.duplicates("train", "exact"), "notion 'exact': there are raw, normalised, near"),
        (lambda report: report.conflicts(notion="exact"), "notion 'exact'"),
    ],
)
def test_no_count_of_what_is_not_there(report: LeakReport, ask: Callable[[LeakReport], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ask(report)


def test_rows_made_of_one_that_no_split_holds_are_tied() -> None:
    splits = {
        "train": pl.DataFrame({"id": ["a", "o-s1"], "text": ["涨", "公告一出"], "source_id": [None, "77"]}),
        "test": pl.DataFrame({"id": ["o-s2", "b"], "text": ["另说一遍", "平"], "source_id": ["77", "78"]}),
    }
    report = audit(splits)
    assert report.shared("train", "test", "made").rows == report.shared("test", "train", "made").rows == 1
    assert report.leaks()
    assert report.orphans == 3


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"content": ["涨"]}, "split 'a': no column 'text'; columns found: content"),
        ({"text": ["涨", None]}, "split 'a': 1 rows have no text"),
        ({"text": ["涨", "跌"], "label": ["positive", None]}, "label 'positive' is none of 利空, 中性, 利好 \\(1 rows"),
        ({"text": ["涨"], "label": [2]}, "label '2' is none of"),
    ],
)
def test_rows_it_cannot_audit(rows: dict[str, list[object]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        audit({"a": pl.DataFrame(rows)})


def test_a_higher_bar(report: LeakReport) -> None:
    assert report.rethreshold(1.0).shared("train", "test").rows == 2
    assert report.rethreshold(1.0).shared("train", "test", "raw") == report.shared("train", "test", "raw")
    with pytest.raises(ConfigError, match=r"compared from 0\.7"):
        report.rethreshold(0.5)


def test_no_labels_and_no_rows() -> None:
    plain = audit({"train": pl.DataFrame({"text": ["涨", "涨"]}), "test": pl.DataFrame({"text": ["涨"]})})
    assert not plain.labelled
    assert plain.shared("train", "test").rows == 1
    assert plain.conflicts("train") == 0
    for nothing in ({"train": frame()}, {}):
        with pytest.raises(DataError, match="no row to audit"):
            audit(nothing)


def test_everything_as_plain_numbers(report: LeakReport) -> None:
    content = report.as_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["shared"][0] == {
        "from": "train",
        "to": "test",
        "notion": "raw",
        "rows": 1,
        "of": 4,
        "share": 0.25,
        "texts": 1,
    }
    assert content["splits"]["train"]["label_conflicts"] == {"raw": 1, "normalised": 1, "near": 1}
    assert content["label_conflicts"] == {"raw": 1, "normalised": 1, "near": 2}
    assert "涨停" not in json.dumps(content, ensure_ascii=False)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["涨", "涨!", "跌", "跌 ", "平"]), st.sampled_from(["利好", "利空", None])), min_size=1, max_size=30))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_against_dictionaries(cells: list[tuple[str, str, str | None]]) -> None:
    splits = {name: frame(*((text, label) for split, text, label in cells if split == name)) for name in "abc"}
    report = audit(splits)
    for notion, key in (("raw", str), ("normalised", duplicate_key)):
        texts: dict[str, list[str]] = {name: [key(t) for s, t, _ in cells if s == name] for name in "abc"}
        for a, b in report.pairs():
            inside = [text for text in texts[b] if text in texts[a]]
            assert report.shared(a, b, notion) == Shared(len(inside), len(texts[b]), len(set(inside)))
        for name in "abc":
            labels = defaultdict(set)
            for split, text, label in cells:
                if split == name and label:
                    labels[key(text)].add(label)
            assert report.conflicts(name, notion) == sum(len(found) > 1 for found in labels.values())
            assert report.duplicates(name, notion) == len(texts[name]) - len(set(texts[name]))


@pytest.mark.skipif(not FINFE.is_dir(), reason="../shared/data is not there")
def test_finfe_as_it_was_published() -> None:
    """The two counts that started it, by the report and by plain sets."""
    rows = {
        name: json.loads((FINFE / f"finfe_v2_{name}.json").read_text(encoding="utf-8")) for name in ("train", "eval")
    }
    names = {0: "利空", 1: "中性", 2: "利好"}
    report = audit({name: frame(*((text, names[int(label)]) for text, label in found)) for name, found in rows.items()})
    known = {text for text, _ in rows["train"]}
    labels = defaultdict(set)
    for text, label in rows["train"]:
        labels[text].add(label)
    assert report.shared("train", "eval", "raw").rows == sum(text in known for text, _ in rows["eval"]) == 1097
    assert report.shared("train", "eval", "raw").of == 2020
    assert report.conflicts("train", "raw") == sum(len(found) > 1 for found in labels.values()) == 773
    counts = [report.shared("train", "eval", notion).rows for notion in ("raw", "normalised", "near")]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3
