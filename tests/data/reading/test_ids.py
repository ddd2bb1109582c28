"""Every row has an id of its own, and the order of the files leaves no trace in it."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.data.reading.ids import name_rows

SCHEMA = {"id": pl.String, "domain": pl.String, "file": pl.String, "row": pl.Int64}


def named(rows):
    frame, counts = name_rows(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    return frame["id"].to_list(), counts


def test_missing_ids_are_made_of_domain_file_and_row():
    ids, counts = named([(None, "news", "d/600000.csv", 1), (" ", "news", "d/600000.csv", 2), ("x1", None, "a.csv", 3)])
    assert ids == ["news-600000-1", "news-600000-2", "x1"]
    assert counts == {"made": 2, "changed": 0}


def test_ids_counted_from_one_in_every_file_get_the_files_name():
    ids, counts = named([("1", "news", "d/a.csv", 1), ("2", "news", "d/a.csv", 2), ("1", "news", "d/b.csv", 1)])
    assert ids == ["news-a-1", "2", "news-b-1"]
    assert counts == {"made": 0, "changed": 2}


def test_files_of_one_name_are_numbered_past_the_ids_there_are():
    ids, _ = named([("1", "n", "x/a.csv", 1), ("1", "n", "y/a.csv", 1), ("n-a-1-1-2", "n", "b.csv", 1)])
    assert ids == ["n-a-1-1", "n-a-1-1-3", "n-a-1-1-2"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "1", "2", "n-a-1", "n-a-1-1"]), st.sampled_from(["x/a.csv", "y/a.csv", "b.csv"])), max_size=14
    ),
    st.randoms(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_ids_are_unique_whatever_the_order_of_files(cells, chance):
    rows = [(name, "n", file, row) for row, (name, file) in enumerate(cells, 1)]
    ids, _ = named(rows)
    assert len(set(ids)) == len(rows)
    shuffled = random.Random(chance.random()).sample(rows, len(rows))
    again, _ = named(shuffled)
    assert dict(zip(rows, ids, strict=True)) == dict(zip(shuffled, again, strict=True))


def test_many_rows_of_one_id_take_no_time():
    ids, _ = named([("1", "n", "a.csv", 1)] * 30_000)
    assert len(set(ids)) == 30_000


def test_a_source_is_named_by_its_new_id():
    """In the own file where that has the id, else in the first that has; one that is nowhere stays as it is."""
    rows = [
        ("1", "n", "a.csv", 1, None), ("2", "n", "a.csv", 2, " 1 "), ("1", "n", "b.csv", 1, "9"), ("2", "n", "b.csv", 2, "1"),
        ("x", "n", "c.csv", 1, "2"), ("", "n", "c.csv", 2, "x"), ("y", "n", "c.csv", 3, ""), ("z", "n", "c.csv", 4, None),
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={**SCHEMA, "source_id": pl.String}, orient="row")
    for some in (frame, frame.reverse()):
        found, _ = name_rows(some)
        named = dict(zip(found["id"].to_list(), found["source_id"].to_list(), strict=True))
        assert named == {
            "n-a-1": None, "n-a-2": "n-a-1", "n-b-1": "9", "n-b-2": "n-b-1", "x": "n-a-2", "n-c-2": "x", "y": "", "z": None,
        }  # fmt: skip
