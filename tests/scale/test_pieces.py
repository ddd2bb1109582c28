from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.errors import DataError
from finsa_moe.scale.pieces import LINE, RAW, REASON, parquet_groups, parquet_pieces, staged_pieces
from finsa_moe.scale.score import score
from finsa_moe.scale.stores import Source, find_sources
from tests.scale.texts import frame

NOWHERE = Source("/a.parquet", "", "/a.parquet", 1, "1")


def one(path: Path) -> Source:
    return find_sources([str(path)], path.parent / "out")[0][0]


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 12))
def test_pieces_of_row_groups_cover_every_row_once(groups: list[int], most: int) -> None:
    starts = [sum(groups[:at]) for at in range(len(groups) + 1)]
    covered: list[int] = []
    for number, piece in enumerate(parquet_pieces(NOWHERE, groups, most)):
        assert piece.number == number
        assert 0 < piece.rows <= most
        assert piece.groups is not None
        assert starts[piece.groups[0]] + piece.skip == piece.first
        assert piece.first + piece.rows <= starts[piece.groups[1]]
        covered += range(piece.first, piece.first + piece.rows)
    assert covered == list(range(sum(groups)))


def test_row_groups_are_counted_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(50).write_parquet(path, row_group_size=20)
    assert parquet_groups(one(path), None, None) == [20, 20, 10]
    with pytest.raises(DataError, match=r"no column 'txt'.*did you mean 'text'"):
        parquet_groups(one(path), "txt", None)


def test_a_damaged_footer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(50).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        parquet_groups(one(path), None, None)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Parquet allows them; by name neither can be told from the other."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["涨"])] * 3, names=["text", "price", "price"]), path)
    with pytest.raises(DataError, match=r"a\.parquet: two columns are called 'price'; rename one") as told:
        parquet_groups(one(path), None, None)
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="two columns are called 'price'"):
        score([path], tmp_path / "out", engine="onnxruntime")
    assert not (tmp_path / "out").exists()


def test_text_files_are_staged_with_lines_and_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,n\n涨,1\n跌,2,3\n"两\n行",4\n平,5\n', encoding="utf-8")
    pieces = list(staged_pieces(one(path), path, 2, tmp_path, lambda name: True))
    assert [(piece.first, piece.rows) for piece in pieces] == [(0, 2), (2, 2)]
    rows = pl.concat([pl.read_parquet(piece.staged, glob=False) for piece in pieces])  # type: ignore[arg-type]
    assert rows[LINE].to_list() == [2, 3, 4, 6]
    assert rows["text"].to_list() == ["涨", None, "两\n行", "平"]
    assert rows[REASON].null_count() == 3
    assert rows[RAW].to_list() == [None, "跌,2,3", None, None]


def test_only_wanted_pieces_are_staged_and_the_cut_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    frame(10).write_ndjson(path)
    every = list(staged_pieces(one(path), path, 4, tmp_path, lambda name: True))
    for piece in every:
        assert piece.staged is not None
        piece.staged.unlink()
    some = list(staged_pieces(one(path), path, 4, tmp_path, lambda name: name == every[1].name))
    assert [(piece.name, piece.first, piece.rows) for piece in some] == [
        (piece.name, piece.first, piece.rows) for piece in every
    ]
    assert [piece.staged is not None for piece in some] == [False, True, False]


def test_arrow_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    frame(5).write_ipc(path)
    (piece,) = staged_pieces(one(path), path, 10, tmp_path, lambda name: True)
    assert piece.staged is not None
    assert pl.read_parquet(piece.staged, glob=False).schema["price"] == pl.Float64
