"""Cohen's kappa against scikit-learn, and two people's files compared."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import DataError
from finsa_moe.labelling.agreement import Labelled, cohens_kappa, compare, read_labels
from finsa_moe.polarity import LabelMap, Polarity

PAIRS = st.lists(st.tuples(st.sampled_from(Polarity), st.sampled_from(Polarity)), min_size=1, max_size=60)


def people(pairs: list[tuple[Polarity, Polarity]]) -> list[dict[str, Labelled]]:
    return [{str(at): Labelled(f"文{at}", pair[which]) for at, pair in enumerate(pairs)} for which in (0, 1)]


@given(PAIRS)
@settings(deadline=None)  # the first call loads scikit-learn
@pytest.mark.filterwarnings("ignore")
def test_kappa_is_scikit_learns(pairs: list[tuple[Polarity, Polarity]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = compare(*people(pairs))
    theirs = metrics.cohen_kappa_score([int(a) for a, _ in pairs], [int(b) for _, b in pairs])
    if np.isnan(theirs):
        assert found.kappa is None
        assert found.interval() is None
    else:
        assert found.kappa == pytest.approx(theirs, abs=1e-12)
    assert found.share == pytest.approx(np.mean([a is b for a, b in pairs]))
    assert len(found.apart) == sum(a is not b for a, b in pairs)


def test_a_worked_case() -> None:
    """Of 50 rows 20 and 15 alike, 5 and 10 apart: 0.7 alike, 0.5 by chance, kappa 0.4 (the textbook's table)."""
    counts = np.array([[[20, 0, 5], [0, 0, 0], [10, 0, 15]]])
    assert cohens_kappa(counts)[0] == pytest.approx(0.4)


def test_the_interval_holds_what_it_should() -> None:
    """Of 200 samples of 150 rows the intervals of about 95 % hold the kappa of the whole."""
    rng = np.random.default_rng(7)
    table = np.array([[0.25, 0.05, 0.03], [0.04, 0.28, 0.04], [0.02, 0.06, 0.23]])
    truth = cohens_kappa((table * 1e9).round().astype(np.int64)[None])[0]
    held = 0
    for _ in range(200):
        cells = rng.choice(9, size=150, p=table.ravel())
        low, high = compare(*people([(Polarity(c // 3), Polarity(c % 3)) for c in cells])).interval(draws=400) or (1, 0)
        held += low <= truth <= high
    assert 180 <= held <= 199


def test_few_rows_all_alike_are_not_surely_so() -> None:
    """Of five rows all alike at least 0.566 are, says Wilson's interval; against 0.36 by chance this is 0.321."""
    alike = [Polarity.BULLISH] * 2 + [Polarity.BEARISH] * 2 + [Polarity.NEUTRAL]
    low, high = compare(*people([(one, one) for one in alike])).interval() or (0, 0)
    assert low == pytest.approx((5 / (5 + 1.959964**2) - 0.36) / 0.64)
    assert high == pytest.approx(1)
    low, high = compare(*people([(one, one) for one in alike * 200])).interval() or (0, 0)
    assert low > 0.99
    lopsided = [(Polarity.BULLISH, Polarity.BULLISH)] * 4 + [(Polarity.BULLISH, Polarity.BEARISH)]
    assert compare(*people(lopsided)).interval() == (-1, pytest.approx(0.819, abs=1e-3))
    parted = [(Polarity.BULLISH, Polarity.BEARISH), (Polarity.BEARISH, Polarity.BULLISH)] * 3
    low, high = compare(*people(parted)).interval() or (0, 0)
    assert low == pytest.approx(-1)
    assert high > -0.5


def write(path: Path, rows: list[list[str]], head: tuple[str, ...] = ("id", "text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def read(path: Path) -> dict[str, Labelled]:
    return read_labels(path, Columns(), LabelMap())


def test_files_are_matched_by_id(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", [["1", "涨", "利好"], ["2", "跌", "利空"], ["3", "平", ""], ["4", "等", "中性"]])
    second = write(tmp_path / "b.csv", [["4", "等!", "中性"], ["2", "跌", "中性"], ["9", "新", "利好"]])
    found = compare(read(first), read(second))
    assert found.counts.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert [(one.id, one.first, one.second) for one in found.apart] == [("2", "利空", "中性")]
    assert (found.only_first, found.only_second) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["1", "涨", "看好"]], "line 2: '看好' is no label"),
        ([["1", "涨", "利好"], ["1", "跌", "利空"]], "line 3: id '1' stands twice"),
        ([["", "涨", "利好"], ["", "跌", "利空"]], "line 2: the id is empty; fill it, or name another column by --id"),
        ([["7", "涨", "利好"]], "no id stands in both files"),
        ([["1", "另一条", "利好"]], "id '1' is '涨' in one file and '另一条' in the other"),
    ],
)
def test_files_that_cannot_be_compared(tmp_path: Path, rows: list[list[str]], says: str) -> None:
    first = read(write(tmp_path / "a.csv", [["1", "涨", "利好"]]))
    with pytest.raises(DataError, match=says):
        compare(first, read(write(tmp_path / "b.csv", rows)))


def test_a_file_without_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no id column"):
        read(write(tmp_path / "a.csv", [["涨", "利好"]], ("text", "label")))
