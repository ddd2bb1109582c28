"""Files in folders called ``key=value``, as Hive, Spark and pyarrow lay them out: their columns are in the path."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.scale.index import MARKET, Rules, make_index
from finsa_moe.scale.stores import find_sources
from tests.scale.test_index import saved, scored
from tests.scale.test_score import score
from tests.scale.texts import answers, frame, stored


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """Three rows of each of two days and two tickers, neither of which is in a file."""
    top, first = tmp_path / "posts", 0
    for day in ("2026-08-03", "2026-08-04"):
        for ticker in ("000001", "600519%2ESH"):
            folder = top / f"date={day}" / f"ticker={ticker}"
            folder.mkdir(parents=True)
            rows = frame(3, first).drop("date")
            if ticker == "000001":
                rows.write_parquet(folder / "part-0.parquet")
            else:
                rows.write_csv(folder / "part-0.csv")
            first += 3
    return top


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("url", [str, Path.as_uri, stored])
def test_parts_of_the_path_are_columns_of_the_answers(posts: Path, url: Callable[[Path], str], tmp_path: Path) -> None:
    score(url(posts), out=tmp_path / "out")
    found = answers(tmp_path / "out").with_columns(pl.col("key").cast(pl.Int64)).sort("key")
    assert found["ticker"].to_list() == (["000001"] * 3 + ["600519.SH"] * 3) * 2
    assert found["date"].to_list() == ["2026-08-03"] * 6 + ["2026-08-04"] * 6
    index = make_index([tmp_path / "out"], "ticker", "date", Rules(1))
    assert index.frame.select("ticker", "day", "texts").rows() == [
        (name, date(2026, 8, day), count)
        for name, count in (("000001", 3), ("600519.SH", 3), (MARKET, 6))
        for day in (3, 4)
    ]


@pytest.mark.usefixtures("here")
def test_a_files_own_columns_stand_and_no_part_is_the_text(tmp_path: Path) -> None:
    folder = (
        tmp_path
        / "in"
        / "date=2020-01-01"
        / "content=x"
        / "id=7"
        / "sentiment=利好"
        / "price=__HIVE_DEFAULT_PARTITION__"
    )
    folder.mkdir(parents=True)
    frame(2).drop("price").write_parquet(folder / "a.parquet")
    score(tmp_path / "in", out=tmp_path / "out")
    found = answers(tmp_path / "out")
    assert found["date"].to_list() == frame(2)["date"].to_list()
    assert found["content"].to_list() == ["x"] * 2
    assert found["id"].n_unique() == 2
    assert found["sentiment"].to_list() == ["利好"] * 2
    assert found["price"].to_list() == [None] * 2
    assert "predicted_sentiment" in found.columns


def parts(*names: object) -> dict[str, dict[str, str | None]]:
    """Columns of the folders of each file that is found, by its place below the folder of posts."""
    found, _ = find_sources([str(name) for name in names], Path("/out"))
    return {source.path.partition("/posts/")[2]: dict(source.parts) for source in found}


def test_a_file_has_the_same_columns_whichever_folder_is_named(posts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's glob names the parts of a tree (`posts/date=*`)."""
    whole = parts(posts)
    assert whole["date=2026-08-03/ticker=000001/part-0.parquet"] == {"date": "2026-08-03", "ticker": "000001"}
    for pattern in ("date=*", "date=*/*", "*/*/*"):
        assert parts(*posts.glob(pattern)) == whole
    assert parts(*map(stored, posts.glob("date=*"))) == whole
    one = posts / "date=2026-08-03" / "ticker=000001"
    for names in ((posts, one), (one, posts), (one / "part-0.parquet", posts), (posts / "date=2026-08-03", posts)):
        assert parts(*names) == whole
    monkeypatch.chdir(one.parent)
    assert parts(".") == {name: found for name, found in whole.items() if "08-03" in name}
    monkeypatch.chdir(one)
    assert parts("..") == parts(one.parent)


def test_folders_above_the_named_one_end_at_one_that_is_no_column(tmp_path: Path) -> None:
    inner = tmp_path / "run=3" / "posts" / "date=1" / "x" / "ticker=2"
    inner.mkdir(parents=True)
    frame(2).write_csv(inner / "a.csv")
    posts = tmp_path / "run=3" / "posts"
    whole = [{"date": "1", "ticker": "2"}]
    assert list(parts(posts).values()) == whole
    assert list(parts(inner).values()) == [{"ticker": "2"}]
    for names in ((posts, inner), (inner, posts)):  # the file that two names lead to has all that either gives
        assert list(parts(*names).values()) == whole


def test_links_that_give_a_file_other_columns_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "posts" / "date=1"
    folder.mkdir(parents=True)
    frame(2).write_csv(folder / "a.csv")
    (tmp_path / "latest").symlink_to(folder)
    (tmp_path / "date=2").symlink_to(folder)
    for names in ((folder, tmp_path / "latest"), (tmp_path / "latest", folder)):
        assert list(parts(*names).values()) == [{"date": "1"}]
    with pytest.raises(DataError, match=r"a\.csv: is named twice, in folders date=1 and date=2, by a link") as told:
        parts(folder, tmp_path / "date=2")
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("here")
def test_a_file_keeps_the_columns_of_its_folders_that_it_was_begun_with(posts: Path, tmp_path: Path) -> None:
    """Also where an earlier version, or a folder further down, has given fewer; one more is for new files."""
    (tmp_path / "all").mkdir()
    top = (posts / "date=2026-08-03").rename(tmp_path / "all" / "date=2026-08-03")
    out, day = tmp_path / "out", top / "morning"  # within which nothing tells the date
    day.mkdir()
    for folder in top.glob("ticker=*"):
        folder.rename(day / folder.name)
    score(day, out=out)
    before = answers(out)
    file = day / "ticker=000001" / "part-0.parquet"
    old = [str(path) for path in day.glob("*/*")]
    frame(2, 100).drop("date").write_csv(day / "new.csv")
    assert score(top, out=out).fewer_parts == {path: ["date"] for path in old}
    found = answers(out).with_columns(pl.col("key").cast(pl.Int64))
    assert found.filter(pl.col("date").is_not_null())["key"].to_list() == [100, 101]
    assert found.height == before.height + 2
    (day / "new.csv").unlink()
    assert score(day, out=out).fewer_parts == {}
    score(tmp_path / "all", out=tmp_path / "other")
    with pytest.raises(ConfigError) as told:
        score(day, out=tmp_path / "other")
    assert str(told.value) == (
        f"{tmp_path / 'other'}: its answers to {file} have date, ticker of the file's folders, now they would have "
        "ticker; name the folder that was named before, or another --out"
    )
    score(day, out=out)
    frame(5).write_parquet(file)  # scored anew in any case
    (day / "ticker=600519%2ESH" / "part-0.csv").unlink()
    score(top, out=out)
    assert answers(out).filter(pl.col("ticker") == "000001")["date"].null_count() == 0


@pytest.mark.usefixtures("here")
def test_answers_of_the_first_format_have_no_columns_of_folders(posts: Path, tmp_path: Path) -> None:
    score(posts, out=tmp_path / "out")
    file = tmp_path / "out" / "manifest.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.pop("parts", None)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert set(map(tuple, score(posts, out=tmp_path / "out").fewer_parts.values())) == {("date", "ticker")}


@pytest.mark.usefixtures("here")
def test_a_file_that_an_earlier_version_knew_by_its_url_is_not_scored_twice(tmp_path: Path) -> None:
    file, out = tmp_path / "a.csv", tmp_path / "out"
    frame(2).write_csv(file)
    score(file, out=out)
    manifest = out / "manifest.jsonl"
    before = manifest.read_text(encoding="utf-8").replace(f'"{file}"', f'"{file.as_uri()}"')
    manifest.write_text(before, encoding="utf-8")
    for name in (file, file.as_uri()):
        with pytest.raises(ConfigError, match=rf"holds the answers to {file.as_uri()}, by an earlier version") as told:
            score(name, out=out)
        assert "\n" not in str(told.value)
    assert manifest.read_text(encoding="utf-8") == before


def test_answers_in_deep_folders_are_found(tmp_path: Path) -> None:
    """As `finsa score` finds its files: to the bottom, hidden ones left out, each once."""
    top = tmp_path / "ans"

    def put(place: str, **more: Any) -> None:
        (top / place).parent.mkdir(parents=True, exist_ok=True)
        saved([scored(**more)], top / place)

    put("a.parquet")
    put("date=2026-03-03/b.parquet", date="2026-03-03")
    put("x/.old/c.parquet")
    put("x/out/scores/d.parquet")  # a folder of `finsa score` within: its shards alone
    put("x/out/rejects/e.parquet")
    (top / "x" / "out" / "manifest.jsonl").write_text('{"kind": "run"}\n')
    (top / "round").symlink_to(top)
    index = make_index([top], "ticker", "date", Rules(1))
    assert index.market["texts"].to_list() == [2, 1]
    assert index.daily.skipped == {}
