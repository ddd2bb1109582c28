"""What a folder of answers tells of its runs: whether they have come to their end, and what they left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.scale import score as score_of
from finsa_moe.scale.manifest import NAME, Standing, read_manifest, standing_of
from tests.scale.test_bad_files import BROKEN
from tests.scale.test_score import score
from tests.scale.texts import answers, frame

pytestmark = pytest.mark.usefixtures("here")


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / NAME).read_text(encoding="utf-8").splitlines()]


def stopped(*sources: Path, out: Path) -> None:
    """A run that is killed when its second shard is there."""
    plain, calls = score_of.commit, []

    def commit(*given: Any) -> None:
        plain(*given)
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(score_of, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            score(*sources, out=out)


def test_a_run_that_ends_says_so_and_the_next_takes_it_back(tmp_path: Path) -> None:
    file, out = tmp_path / "a.parquet", tmp_path / "out"
    frame(60).write_parquet(file)
    stopped(file, out=out)
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(file)])
    score(file, out=out)
    assert standing_of(out / NAME) == Standing(ended=True)
    end = {"kind": "end", "shards": 3, "rows": 60, "answered": 60, "refused": 0, "bad": 0, "unfinished": []}
    assert lines(out)[-1] == end
    (tmp_path / "b").mkdir()
    frame(60, 60).write_csv(tmp_path / "b" / "b.csv")
    stopped(tmp_path / "b", out=out)
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(tmp_path / "b" / "b.csv")])
    assert end not in lines(out)


def test_what_a_killed_run_left_stays_unfinished_until_it_is_named_again(tmp_path: Path) -> None:
    """Files come day by day: the next day's run would pass for the end of the day before."""
    first, second, out = tmp_path / "1.parquet", tmp_path / "2.csv", tmp_path / "out"
    frame(60).write_parquet(first)
    frame(5, 60).write_csv(second)
    stopped(first, out=out)
    assert score(second, out=out).unfinished == [str(first)]
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(first)])
    assert score(first, second, out=out).unfinished == []
    assert standing_of(out / NAME) == Standing(ended=True)
    assert answers(out).height == 65


def test_a_file_of_which_a_shard_is_gone_is_unfinished(tmp_path: Path) -> None:
    first, second, out = tmp_path / "1.parquet", tmp_path / "2.csv", tmp_path / "out"
    frame(60).write_parquet(first)
    frame(5, 60).write_csv(second)
    score(first, out=out)
    min((out / "scores").iterdir()).unlink()
    assert score(second, out=out).unfinished == [str(first)]
    assert standing_of(out / NAME).unfinished == [str(first)]
    assert score(first, second, out=out).answered == 65
    assert standing_of(out / NAME).ended


def test_a_file_whose_disk_is_away_half_done_stays_unfinished(tmp_path: Path) -> None:
    folder, second, out = tmp_path / "in", tmp_path / "2.csv", tmp_path / "out"
    folder.mkdir()
    first = folder / "1.parquet"
    frame(60).write_parquet(first)
    frame(5, 60).write_csv(second)
    stopped(first, out=out)
    folder.rename(tmp_path / "away")
    assert score(second, out=out).gone == [str(first)]
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(first)])
    (tmp_path / "away").rename(folder)
    assert score(second, out=out).unfinished == [str(first)]
    score(first, out=out)
    assert standing_of(out / NAME) == Standing(ended=True)


def test_a_file_that_moved_before_it_had_a_shard_is_not_waited_for(tmp_path: Path) -> None:
    first, second, out = tmp_path / "1.parquet", tmp_path / "2.parquet", tmp_path / "out"
    frame(60).write_parquet(first)
    frame(5, 60).write_parquet(second)
    stopped(first, second, out=out)
    second.rename(tmp_path / "3.parquet")
    score(first, tmp_path / "3.parquet", out=out)
    assert standing_of(out / NAME).ended


def test_bad_files_stand_beside_the_end_until_they_are_mended_or_gone(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    frame(5).write_csv(folder / "a.csv")
    for name in ("b.csv", "c.csv"):
        (folder / name).write_bytes(BROKEN)
    score(folder, out=out, skip_bad_files=True)
    told = standing_of(out / NAME)
    assert (told.ended, sorted(told.bad)) == (True, [str(folder / "b.csv"), str(folder / "c.csv")])
    assert all(reason.startswith("UTF-8 with a broken byte") for reason in told.bad.values())
    (folder / "c.csv").unlink()
    score(folder / "a.csv", out=out)  # b is there and not named
    assert list(standing_of(out / NAME).bad) == [str(folder / "b.csv")]
    (folder / "b.csv").unlink()
    score(folder, out=out)
    assert standing_of(out / NAME) == Standing(ended=True)


def test_a_damaged_part_leaves_its_file_unfinished(tmp_path: Path) -> None:
    path, out = tmp_path / "a.parquet", tmp_path / "out"
    frame(100).write_parquet(path, row_group_size=20, compression="uncompressed")
    frame(5, 100).write_csv(tmp_path / "b.csv")
    content = bytearray(path.read_bytes())
    at = content.find("45号公司".encode())
    content[at - 400 : at + 100] = bytes(500)
    path.write_bytes(content)
    with pytest.raises(DataError, match="rows 41 to 60: cannot be read"):
        score(tmp_path, out=out)
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(path)])
    frame(60).write_parquet(path)
    score(tmp_path, out=out)
    assert standing_of(out / NAME).ended


def test_manifests_of_before_do_not_tell_and_go_on(tmp_path: Path) -> None:
    """Of a file that a later run does not name, only all its shards prove that it is done."""
    out = tmp_path / "out"
    for name in "ac":
        frame(35).write_csv(tmp_path / f"{name}.csv")
    frame(25).write_parquet(tmp_path / "b.parquet")
    score(tmp_path / "a.csv", tmp_path / "c.csv", out=out)
    kept = [line for line in lines(out) if line["kind"] not in ("begin", "end")]
    half = [line for line in kept if not (line.get("source", "").endswith("a.csv") and line["kind"] == "file")]
    last = max(line["shard"] for line in half if line.get("source", "").endswith("a.csv"))
    kept = [line for line in half if line.get("shard") != last]
    (out / "scores" / last).unlink()
    kept[0]["format"] = 2
    (out / NAME).write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    assert standing_of(out / NAME) == Standing(ended=None)
    assert score(tmp_path / "b.parquet", out=out).unfinished == [str(tmp_path / "a.csv")]
    assert standing_of(out / NAME) == Standing(ended=False, unfinished=[str(tmp_path / "a.csv")])
    assert score(tmp_path / "a.csv", out=out).new_rows == 15
    assert standing_of(out / NAME) == Standing(ended=True)


HEAD = json.dumps({"kind": "run", "format": 3}) + "\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"tool": "another"}\n', "no manifest"), ("[1, 2]\n", "no manifest"), (f"{HEAD}[]\n", "line 2 is none"),
     (f'{HEAD}{{"kind": "more"}}\n', "line 2 is none"), (f'{HEAD}{{"source": "a"}}\n', "line 2 is none"),
     (f'{HEAD}{{"kind": "end"}}\n', "line 2 is none"), (f'{HEAD}{{"kind": []}}\n', "line 2 is none"),
     (f"{HEAD}{{\n", "line 2 is damaged")],
)  # fmt: skip
def test_a_manifest_of_another_tool_or_a_damaged_one_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as told:
        read_manifest(path)
    assert "\n" not in str(told.value)
    assert standing_of(path) == standing_of(tmp_path / "none") == Standing()
