"""The audit's picture: its bars and names for one split, two and three; a PNG each."""

from __future__ import annotations

import struct

import pytest

from finsa_moe import figures
from finsa_moe.data import fonts
from finsa_moe.data.duplicates.leakage import audit
from finsa_moe.evaluation.leak import figure as leak_figure
from finsa_moe.evaluation.leak import harm as leak
from finsa_moe.evaluation.leak.figure import audit_picture
from tests.evaluation.audited import ROWS, alone, audited, frame


def size(png: bytes) -> tuple[int, int]:
    """Width and height out of a PNG's header."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[float]]]:
    """Names and lengths of the bars that were drawn."""
    seen: list[tuple[list[str], list[float]]] = []
    draw = leak_figure._draw_bars

    def watch(axis: object, bars: list[leak_figure._Bar]) -> None:
        seen.append(([bar.name for bar in bars], [bar.share for bar in bars]))
        draw(axis, bars)

    monkeypatch.setattr(leak_figure, "_draw_bars", watch)
    return seen


def test_two_splits(drawn: list[tuple[list[str], list[float]]]) -> None:
    report, harms = audited()
    both, without = size(audit_picture(report, harms)), size(audit_picture(report, []))
    assert both[0] > without[0]
    names, shares = drawn[0]
    assert names == ["word for word: 2 of 4", "but for marks: 2 of 4", "equal or near: 2 of 4"]
    assert shares == [50.0, 50.0, 50.0]


def test_one_split_shows_what_repeats(drawn: list[tuple[list[str], list[float]]]) -> None:
    size(audit_picture(alone(), []))
    size(audit_picture(audit({"all": frame([("涨", "利好"), ("涨", "利空"), ("涨!", "利好"), ("跌", "利空")])}), []))
    assert drawn[0][1] == [0.0, 0.0, 0.0]
    assert drawn[1][0] == ["word for word: 1 of 4", "but for marks: 2 of 4", "equal or near: 2 of 4"]
    assert drawn[1][1] == [25.0, 50.0, 50.0]


def test_more_splits_are_named_and_long_names_cut(drawn: list[tuple[list[str], list[float]]]) -> None:
    splits = {"train": frame(ROWS[:4]), "v" * 40: frame(ROWS[:1]), "test": frame(ROWS[6:8])}
    two = size(audit_picture(audit({"a": splits["train"], "b": splits["test"]}), []))
    three = size(audit_picture(audit(splits), []))
    assert three[1] > two[1]
    names, shares = drawn[1]
    assert len(names) == 9
    assert names[0] == f"{'v' * 12}...{'v' * 9} in train, word for word: 1 of 1"
    assert shares[0] == 100.0
    assert names[3] == "test in train, word for word: 0 of 2"


def test_many_splits_have_names_apart_and_fewer_bars(drawn: list[tuple[list[str], list[float]]]) -> None:
    """Two folders of three splits, then more; their names differ in the end, or not in what there is room for."""
    folders = [f"a_rather_long_name_of_a_data_set_{at}" for at in (1, 2, 3)]
    splits = {f"{folder}/{stem}": frame(ROWS[:3]) for folder in folders for stem in ("train", "valid", "test")}
    two = audit(dict(list(splits.items())[:6]))
    alone, scored = (size(audit_picture(two, harms)) for harms in ([], leak.harms(two, tfidf=False)))
    assert (scored[0], scored[1] > alone[1]) == (alone[0], True), "scores stand below, where there is room"
    names, _ = drawn[0]
    assert len(names) == len(set(names)) == 15
    assert names[0] == "a_rather_lon...t_1/valid in a_rather_lon...t_1/train: 3 of 3"
    last = f"{folders[2]}/test"
    pairs = audit({**splits, last: frame([("哪里都没有的一条", "利好")])})  # 28 share all, the last one's 8 nothing
    size(audit_picture(pairs, []))
    assert len(drawn[2][0]) == leak_figure.MOST == 24
    assert set(drawn[2][1]) == {100.0}


def test_one_split_has_one_number_in_both_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no font has its name: the scores are of the test split, which the bars call #2."""
    for module in (fonts, figures):
        monkeypatch.setattr(module, "chinese_font", lambda: None)
    titles: list[str] = []
    monkeypatch.setattr(leak_figure, "use_font", lambda labels: titles.extend(label.get_text() for label in labels))
    rows, _ = audited()
    renamed = audit({"训练集": rows.of("train"), "测试集": rows.of("test")}, threshold=0.95)
    size(audit_picture(renamed, leak.harms(renamed)))
    assert "rows of #2 that stand in #1, %" in titles
    assert "macro-F1 on #2, 95 % interval over clusters" in titles
