"""A row group of more rows than a shard, in a store: fetched once, whatever it is cut into."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finsa_moe.errors import DataError
from finsa_moe.scale.pieces import copied_pieces, parquet_groups, parquet_pieces
from finsa_moe.scale.stores import Source, find_sources
from tests.scale.test_score import score, write_bytes
from tests.scale.texts import answers, frame, left_behind, stored

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each reading through `Source.open`."""
    counts: list[int] = []

    class Counting(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            counts.append(len(content := super().read(-1 if size is None else size) or b""))
            return content

    monkeypatch.setattr(Source, "open", lambda self: pa.PythonFile(Counting(self.path), mode="r"))
    return counts


def test_a_group_of_a_store_is_fetched_once(tmp_path: Path, fetched: list[int], counted: list[str]) -> None:
    path, out = tmp_path / "a.parquet", tmp_path / "out"
    noise = [random.Random(at).randbytes(5_000) for at in range(400)]  # a footer is read as 64 KiB, at the least
    text = pl.when(pl.col("key") % 50 == 0).then("text")  # few to answer
    frame(400).with_columns(text=text, noise=pl.Series(noise)).write_parquet(path, row_group_size=400)
    size = path.stat().st_size
    report = score(stored(path), out=out, shard_rows=50)
    assert (report.shards, report.answered, report.refused) == (8, 8, 392)
    assert sum(fetched) < 2 * size
    assert left_behind(out) == []
    for shard in sorted((out / "scores").iterdir())[1:6:2]:
        shard.unlink()
    fetched.clear()
    counted.clear()
    report = score(stored(path), out=out, shard_rows=50)
    assert [int(name[-5:]) for name in counted] == [1, 3, 5]
    assert sum(fetched) < 2 * size
    assert sorted(answers(out)["key"]) == list(range(0, 400, 50))


@pytest.mark.parametrize("most", [20, 33, 69])
def test_staged_rows_are_those_of_the_file(most: int, tmp_path: Path) -> None:
    rows, sizes, start = frame(9_155), (9_070, 15, 5, 64, 1), 0
    rows = rows.with_columns(date=pl.col("date").str.to_datetime(), tags=pl.concat_list("text"))
    with pq.ParquetWriter(tmp_path / "a.parquet", rows.to_arrow().schema) as writer:
        for size in sizes:
            writer.write_table(rows[start : start + size].to_arrow(), row_group_size=size)
            start += size
    (source,), _ = find_sources([stored(tmp_path / "a.parquet")], tmp_path / "out")
    pieces = list(parquet_pieces(source, parquet_groups(source, None, None), most))
    some = [piece for piece in pieces if piece.groups == (0, 1) and piece.number % 3]
    copied = list(copied_pieces(some, tmp_path))
    assert [piece.number for piece in copied] == [piece.number for piece in some]
    for piece in copied:
        assert piece.staged is not None
        assert pl.read_parquet(piece.staged, glob=False).equals(rows[piece.first : piece.first + piece.rows])


def test_a_group_answers_alike_from_here_and_from_a_store(tmp_path: Path) -> None:
    frame(41).write_parquet(tmp_path / "a.parquet")
    for name, source in (("near", tmp_path / "a.parquet"), ("far", stored(tmp_path / "a.parquet"))):
        score(source, out=tmp_path / name)
    near, far = (answers(tmp_path / name).sort("key") for name in ("near", "far"))
    assert far.drop("id").equals(near.drop("id"))
    assert [name.rpartition("-")[2] for name in far["id"]] == [name.rpartition("-")[2] for name in near["id"]]


def test_a_string_that_is_not_utf8_costs_its_row_there_too(tmp_path: Path) -> None:
    good, gbk = "净利润同比增长".encode(), "净利润".encode("gbk")
    write_bytes(tmp_path / "a.parquet", key=list(range(45)), text=[gbk if at == 30 else good for at in range(45)])
    report = score(stored(tmp_path / "a.parquet"), out=tmp_path / "out")
    assert (report.answered, report.refused) == (44, 1)
    (file,) = (tmp_path / "out" / "rejects").iterdir()
    assert ",31,column 'text' is not UTF-8" in file.read_text(encoding="utf-8")


def test_a_group_that_cannot_be_read_is_left_to_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame(50).write_parquet(tmp_path / "a.parquet")
    (source,), _ = find_sources([stored(tmp_path / "a.parquet")], tmp_path / "out")
    pieces = list(parquet_pieces(source, parquet_groups(source, None, None), 20))

    def broken(self: Any) -> Any:
        raise DataError("a.parquet: cannot be read: reset by peer")

    monkeypatch.setattr(Source, "open", broken)
    assert list(copied_pieces(pieces, tmp_path)) == pieces
