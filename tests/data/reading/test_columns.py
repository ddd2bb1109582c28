"""Columns are found by the user's names first, then by the usual ones; what is not there is an error."""

from __future__ import annotations

import pytest

from finsa_moe.data.reading.columns import Columns, find_column, find_text, resolve
from finsa_moe.errors import DataError


def test_usual_names_whatever_their_case_and_width():
    found = resolve(["ＩＤ", " 评论内容 ", "Sentiment", "发布时间", "领域"], Columns(), "f.csv")
    assert (found.id, found.text, found.label, found.date, found.domain) == (0, (1,), 2, 3, 4)


def test_a_content_is_preferred_to_a_title():
    assert find_text(["title", "content"], None, "f.csv") == (1,)
    assert find_text(["标题"], None, "f.csv") == (0,)


def test_own_names_and_joined_columns():
    names = ["a+b", "Title", "body", "情感"]
    assert find_text(names, "title+body", "f.csv") == (1, 2)
    for nothing in ("+", " + "):
        with pytest.raises(DataError, match="no column"):
            find_text(names, nothing, "f.csv")
    assert find_text(names, "a+b", "f.csv") == (0,)
    assert find_column(names, "label", "情感", "f.csv") == 3
    assert find_column(["X", "x"], "id", "x", "f.csv") == 1


def test_a_missing_column_names_file_columns_and_option():
    with pytest.raises(DataError, match=r"f\.csv: no label column; columns found: text, mark; name it by --label COL"):
        resolve(["text", "mark"], Columns(), "f.csv")
    with pytest.raises(DataError, match=r"no column 'txet'; did you mean 'text'\?; columns found: text, label"):
        resolve(["text", "label"], Columns(text="txet"), "f.csv")
    with pytest.raises(DataError, match="no column 'when'"):
        resolve(["text", "label"], Columns(date="when"), "f.csv")


def test_without_need_a_label_may_be_missing():
    assert resolve(["text"], Columns(), "f.csv", need_label=False).label is None


def test_a_headerless_file_does_not_flood_the_screen():
    with pytest.raises(DataError) as caught:
        resolve(["这是一句很长的话" * 50] * 40, Columns(), "f.csv")
    assert len(str(caught.value)) < 600


def test_a_file_beside_falls_back_to_the_usual_names():
    loose = Columns(text="headline", label="mark", loose=True)
    assert resolve(["headline", "text", "mark"], loose, "f.csv").text == (0,)
    found = resolve(["id", "text", "label"], loose, "f.csv")
    assert (found.text, found.label) == ((1,), 2)
    with pytest.raises(DataError, match="no column 'headline'; columns found: words, label"):
        resolve(["words", "label"], loose, "f.csv")
    joined = Columns(text="title+body", loose=True)
    assert resolve(["title", "body"], joined, "f.csv", need_label=False).text == (0, 1)
    assert resolve(["title", "text"], joined, "f.csv", need_label=False).text == (1,), "never half of what was named"
    with pytest.raises(DataError, match="no column 'headline'"):
        resolve(["text", "label"], Columns(text="headline"), "f.csv")
