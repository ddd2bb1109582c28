"""Rows of a shard: settled file by file, when its first shard is made, and kept from then on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.scale import pieces
from finsa_moe.scale.job import make_job
from finsa_moe.scale.plan import look_at
from finsa_moe.scale.stores import find_sources
from tests.scale.test_score import score
from tests.scale.texts import answers, frame

pytestmark = pytest.mark.usefixtures("here")


def sizes(out: Path) -> dict[str, int]:
    """Shards by the first letter of the file's name."""
    names = [path.name[0] for path in (out / "scores").iterdir()]
    return {name: names.count(name) for name in names}


def test_a_folder_begun_with_small_shards_takes_larger_ones_for_new_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    frame(60).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=out, shard_rows=10)
    frame(60, 100).write_parquet(tmp_path / "b.parquet")
    frame(60, 200).write_csv(tmp_path / "c.csv")
    min((out / "scores").iterdir()).unlink()  # it is made again as it was
    report = score(tmp_path, out=out, shard_rows=30)
    assert report.cut_before == {str(tmp_path / "a.parquet"): 10}
    assert sizes(out) == {"a": 6, "b": 2, "c": 2}
    frame(50, 300).write_csv(tmp_path / "d.csv")
    for shard in (out / "scores").glob("[bc]-*-00001.parquet"):
        shard.unlink()
    report = score(tmp_path, out=out, shard_rows=50)
    assert sizes(out) == {"a": 6, "b": 2, "c": 2, "d": 1}
    assert len(report.cut_before) == 3
    assert score(tmp_path, out=out, shard_rows=None).cut_before == {}
    keys = [*range(60), *range(100, 160), *range(200, 260), *range(300, 350)]
    assert sorted(answers(out)["key"].cast(pl.Int64)) == keys


def test_a_changed_file_is_cut_anew(tmp_path: Path) -> None:
    frame(40).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out", shard_rows=10)
    frame(60).write_parquet(tmp_path / "a.parquet")
    assert score(tmp_path / "a.parquet", out=tmp_path / "out", shard_rows=30).cut_before == {}
    assert sizes(tmp_path / "out") == {"a": 2}


def test_a_folder_of_the_first_format_goes_on(tmp_path: Path, counted: list[str]) -> None:
    """There the header alone says how many rows a shard has."""
    out = tmp_path / "out"
    frame(60).write_parquet(tmp_path / "a.parquet")
    frame(60, 100).write_csv(tmp_path / "b.csv")
    score(tmp_path, out=out, shard_rows=20)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["kind"] not in ("begin", "end")]
    for line in lines[1:]:
        del line["shard_rows"]
    lines[0]["format"] = 1
    (out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for shard in (out / "scores").glob("*-00001.parquet"):
        shard.unlink()
    counted.clear()
    report = score(tmp_path, out=out, shard_rows=7)
    assert [name[-5:] for name in counted] == ["00001"] * 2
    assert set(report.cut_before.values()) == {20}
    assert sorted(answers(out)["key"].cast(pl.Int64)) == [*range(60), *range(100, 160)]


def test_an_unchanged_second_run_reads_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, first in (("a.csv", 0), ("b.jsonl", 30)):
        rows = frame(30, first)
        (rows.write_csv if name.endswith("csv") else rows.write_ndjson)(tmp_path / name)
    score(tmp_path, out=tmp_path / "out")
    plain, read = pieces.read_batches, []
    monkeypatch.setattr(pieces, "read_batches", lambda path: read.append(path.name) or plain(path))
    told: list[tuple[int, int, int]] = []
    report = score(tmp_path, out=tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert (report.new_rows, read, told) == (0, [], [(60, 60, 60)])
    min((tmp_path / "out" / "scores").iterdir()).unlink()
    assert score(tmp_path, out=tmp_path / "out").new_rows == 20
    assert set(read) == {"a.csv"}
    read.clear()
    frame(10, 90).write_csv(tmp_path / "a.csv")  # a changed file is looked at
    assert score(tmp_path, out=tmp_path / "out").new_rows == 10
    assert set(read) == {"a.csv"}


def test_progress_is_of_the_files_of_this_run(tmp_path: Path) -> None:
    frame(50).write_parquet(tmp_path / "a.parquet")
    frame(30, 50).write_parquet(tmp_path / "b.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    told: list[tuple[int, int, int]] = []
    report = score(tmp_path / "b.parquet", out=tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert told == [(0, 30, 0), (20, 30, 0), (30, 30, 0)]
    assert report.rows == 80


@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_text_are_estimated_from_the_first_ones(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    content = frame(20_000).write_csv().encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    found, _ = find_sources([str(path)], tmp_path / "out")
    look = look_at(found, make_job(tmp_path / "out"), skip_bad=False)
    assert 14_000 < look.rows < 28_000
