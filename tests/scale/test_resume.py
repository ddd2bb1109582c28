"""What a second run does: only what is missing, whatever ended the first, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.scale import manifest as manifest_of
from finsa_moe.scale import score as score_of
from finsa_moe.scale.stores import Source
from tests.scale.test_score import score
from tests.scale.texts import answers, frame, left_behind

pytestmark = pytest.mark.usefixtures("here")


def test_a_second_run_does_only_what_is_missing(tmp_path: Path, counted: list[str]) -> None:
    frame(50).write_parquet(tmp_path / "a.parquet")
    frame(50, 50).write_csv(tmp_path / "b.csv")
    score(tmp_path / "a.parquet", tmp_path / "b.csv", out=tmp_path / "out")
    assert len(counted) == 6
    gone = sorted((tmp_path / "out" / "scores").iterdir())[1:5:3]
    for shard in gone:
        shard.unlink()
    counted.clear()
    frame(10, 100).write_csv(tmp_path / "c.csv")  # and a new file
    report = score(tmp_path, out=tmp_path / "out")
    assert [f"{name}.parquet" for name in counted[:2]] == [shard.name for shard in gone]
    assert len(counted) == 3
    assert (report.kept, report.shards, report.new_rows) == (4, 7, 20 + 20 + 10)
    assert sorted(answers(tmp_path / "out")["key"].cast(pl.Int64)) == list(range(110))
    counted.clear()
    score(tmp_path, out=tmp_path / "out", shard_rows=7)  # the folder keeps its own cut
    assert counted == []


def test_verify_finds_a_changed_byte(tmp_path: Path, counted: list[str]) -> None:
    frame(40).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    shard = min((tmp_path / "out" / "scores").iterdir())
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    counted.clear()
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    assert counted == []
    score(tmp_path / "a.parquet", out=tmp_path / "out", verify=True)
    assert [f"{name}.parquet" for name in counted] == [shard.name]


def test_a_changed_file_is_scored_again_and_no_old_row_stays(tmp_path: Path) -> None:
    frame(60).write_csv(tmp_path / "a.csv")
    score(tmp_path / "a.csv", out=tmp_path / "out")
    frame(25, 1000).write_csv(tmp_path / "a.csv")
    report = score(tmp_path / "a.csv", out=tmp_path / "out")
    assert report.changed == 1
    assert sorted(answers(tmp_path / "out")["key"].cast(pl.Int64)) == list(range(1000, 1025))


def test_a_torn_last_line_costs_one_shard(tmp_path: Path, counted: list[str]) -> None:
    frame(60).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.jsonl"
    shards = manifest.read_bytes().splitlines(keepends=True)[:-1]  # without the end of the run
    manifest.write_bytes(b"".join(shards)[:-30])
    counted.clear()
    report = score(tmp_path / "a.parquet", out=tmp_path / "out")
    assert len(counted) == 1
    assert report.answered == 60


@pytest.mark.parametrize("line", [1, 3])
@pytest.mark.parametrize("step", ["record", "name"])
def test_a_stop_around_record_and_name_leaves_no_shard_without_record(
    tmp_path: Path, line: int, step: str, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As signal 9 would stop it: nothing tidies up between the two."""
    frame(60).write_parquet(tmp_path / "a.parquet")
    owner, name = (manifest_of.Manifest, "add") if step == "record" else (score_of, "commit")
    plain, calls = getattr(owner, name), []

    def stopped(*given: Any) -> None:
        calls.append(given)
        if len(calls) == line:
            raise KeyboardInterrupt
        plain(*given)

    monkeypatch.setattr(owner, name, stopped)
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "a.parquet", out=tmp_path / "out")
    monkeypatch.setattr(owner, name, plain)
    assert left_behind(tmp_path / "out") == []
    assert len(list((tmp_path / "out" / "scores").iterdir())) == line - 1
    counted.clear()
    assert score(tmp_path / "a.parquet", out=tmp_path / "out").answered == 60
    assert len(counted) == 4 - line
    assert sorted(answers(tmp_path / "out")["key"]) == list(range(60))


def test_a_damaged_shard_is_gone_before_its_successor_is_recorded(tmp_path: Path) -> None:
    """Else a kill right after the record would leave the damaged one under a sound record."""
    frame(40).write_parquet(tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    shard = min((tmp_path / "out" / "scores").iterdir())
    shard.write_bytes(bytes(shard.stat().st_size))
    (tmp_path / "b").mkdir()
    frame(5, 100).write_parquet(tmp_path / "b" / "b.parquet")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(score_of, "commit", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            score(tmp_path / "a.parquet", out=tmp_path / "out", verify=True)
    assert not shard.exists()
    score(tmp_path / "b", out=tmp_path / "out")  # the record without a shard is dropped, and nothing else
    assert sorted(answers(tmp_path / "out")["key"]) == [*range(20, 40), *range(100, 105)]


def _interrupt(*given: Any) -> None:
    raise KeyboardInterrupt


def test_a_moved_file_is_told_and_not_counted_twice(tmp_path: Path) -> None:
    posts, out = tmp_path / "posts", tmp_path / "out"
    for folder in "xy":
        (posts / folder).mkdir(parents=True)
    frame(3).write_csv(posts / "x" / "a.csv")
    frame(2, 3).write_parquet(posts / "y" / "b.parquet")
    score(posts, out=out)
    before = (out / "manifest.jsonl").read_bytes()
    (posts / "x").rename(posts / "z")
    with pytest.raises(
        ConfigError, match=r"holds the answers to .*posts/x/a\.csv, which is now .*posts/z/a\.csv"
    ) as told:
        score(posts, out=out)
    assert "\n" not in str(told.value)
    assert (out / "manifest.jsonl").read_bytes() == before
    assert answers(out).height == 5
    (posts / "z").rename(posts / "x")
    assert score(posts, out=out).new_rows == 0


def test_files_put_away_are_named_and_files_not_named_are_not(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 10), ("c", 20)):
        frame(5, first).write_csv(tmp_path / f"{name}.csv")
    out = tmp_path / "out"
    score(tmp_path / "a.csv", tmp_path / "b.csv", out=out)
    (tmp_path / "a.csv").unlink()
    report = score(tmp_path / "c.csv", out=out)  # b is not named, and is there
    assert report.gone == [str(tmp_path / "a.csv")]
    assert (report.changed, report.answered, report.new_rows) == (0, 15, 5)
    assert sorted(answers(out)["key"].cast(pl.Int64)) == [*range(5), *range(10, 15), *range(20, 25)]


def test_files_whose_shards_would_have_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that meet, which takes too many files for a test."""
    monkeypatch.setattr(Source, "key", property(lambda self: self.stem))
    for folder in "xy":
        (tmp_path / folder).mkdir()
        frame(3).write_csv(tmp_path / folder / "a.csv")
    with pytest.raises(ConfigError, match=r"y/a\.csv: its shards would be called as those of .*x/a\.csv; rename"):
        score(tmp_path / "x", tmp_path / "y", out=tmp_path / "out")
    score(tmp_path / "x", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="its shards would be called as those of"):
        score(tmp_path / "y", out=tmp_path / "out")


def test_ids_of_files_of_one_name_differ_and_stay(tmp_path: Path) -> None:
    """As the parts of a data set cut by day are called."""
    for day in ("day=1", "day=2"):
        (tmp_path / day).mkdir()
        frame(30).write_parquet(tmp_path / day / "part-0.parquet")
        frame(30).write_csv(tmp_path / day / "p.csv")
    out = tmp_path / "out"
    score(tmp_path, out=out)
    found = answers(out)
    assert found["id"].n_unique() == found.height == 120
    min((out / "scores").iterdir()).unlink()
    score(tmp_path, out=out)
    assert sorted(answers(out)["id"]) == sorted(found["id"])


def test_a_record_is_written_before_its_shard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame(60).write_parquet(tmp_path / "a.parquet")
    plain, seen = score_of.commit, []

    def looked(temporary: Path, entry: Any, job: Any) -> None:
        last = (tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        seen.append(json.loads(last)["shard"] == entry["shard"] and not (job.scores / entry["shard"]).exists())
        plain(temporary, entry, job)

    monkeypatch.setattr(score_of, "commit", looked)
    score(tmp_path / "a.parquet", out=tmp_path / "out")
    assert seen == [True] * 3


@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_shard_of_a_file_that_is_not_named_is_told(tmp_path: Path, verify: bool) -> None:
    """Without a record nothing would tell that its rows are there: its file, moved and named anew, would count twice."""
    out = tmp_path / "out"
    for name, first in (("a", 0), ("b", 100)):
        frame(40, first).write_parquet(tmp_path / f"{name}.parquet")
        score(tmp_path / f"{name}.parquet", out=out)
    for shard in sorted((out / "scores").iterdir())[1::2]:  # the last of each
        shard.write_bytes(bytes(shard.stat().st_size) if verify else b"short")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.suffix}
    with pytest.raises(DataError, match=r"scores/a-\w+-00001\.parquet: is damaged; name .*/a\.parquet again") as told:
        score(tmp_path / "b.parquet", out=out, verify=verify)
    assert "\n" not in str(told.value)
    assert {path: path.read_bytes() for path in before} == before
    report = score(tmp_path / "a.parquet", tmp_path / "b.parquet", out=out, verify=verify)
    assert (report.kept, report.new_rows) == (2, 40)
    assert sorted(answers(out)["key"]) == [*range(40), *range(100, 140)]


def test_a_first_start_that_left_no_manifest_is_no_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame(5).write_parquet(tmp_path / "a.parquet")
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(manifest_of.Manifest, "save", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            score(tmp_path / "a.parquet", out=out)
    (out / f".{manifest_of.NAME}.0123abcd.part").write_bytes(b'{"kind": "run"')  # as a kill leaves it
    assert score(tmp_path / "a.parquet", out=out).answered == 5
    assert left_behind(out) == []
    (tmp_path / "mine" / "scores").mkdir(parents=True)
    (tmp_path / "mine" / "scores" / "bach.pdf").touch()
    with pytest.raises(ConfigError, match="holds scores and no manifest"):
        score(tmp_path / "a.parquet", out=tmp_path / "mine")
