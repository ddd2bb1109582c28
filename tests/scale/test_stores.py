from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from finsa_moe.data.reading.formats import read_batches
from finsa_moe.errors import DataError
from finsa_moe.scale.stores import find_sources, is_gone
from tests.scale.texts import stored


def test_local_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.csv", "deep/a.jsonl", "notes.md", "scored/scores/x.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n涨\n", encoding="utf-8")
    found, skipped = find_sources([str(tmp_path / "in")], (tmp_path / "in" / "scored").resolve())
    assert [source.path.rpartition("/in/")[2] for source in found] == ["b.csv", "deep/a.jsonl"]
    assert [Path(name).name for name in skipped] == ["notes.md"]
    with found[0].open() as stream:
        assert stream.read().decode() == "text\n涨\n"


def test_a_changed_file_has_another_stamp_and_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n涨\n", encoding="utf-8")
    (before,), _ = find_sources([str(path)], tmp_path / "out")
    path.write_text("text\n涨了\n", encoding="utf-8")
    (after,), _ = find_sources([str(path)], tmp_path / "out")
    assert before.key == after.key
    assert before.stamp != after.stamp


def test_equal_stems_have_different_keys(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.csv").write_text("text\n涨\n", encoding="utf-8")
    found, _ = find_sources([str(tmp_path)], tmp_path / "out")
    assert len({source.key for source in found}) == 2


def test_a_url_of_a_local_file_is_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "a b%"
    folder.mkdir()
    (folder / "文.csv").write_text("text\n涨\n", encoding="utf-8")
    found, _ = find_sources([str(folder), folder.as_uri(), (folder / "文.csv").as_uri()], tmp_path / "out")
    assert [(source.name, source.root) for source in found] == [(str(folder / "文.csv"), "")]
    assert not is_gone((folder / "文.csv").as_uri(), [])
    assert is_gone((folder / "b.csv").as_uri(), [])


def test_a_store(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n涨\n", encoding="utf-8")
    (tmp_path / ".hidden.csv").write_text("text\n跌\n", encoding="utf-8")
    found, _ = find_sources([stored(tmp_path)], tmp_path / "out")
    assert [source.name for source in found] == [f"{stored(tmp_path)}/a.csv"]
    (tmp_path / "copies").mkdir()
    copy = found[0].fetched(tmp_path / "copies")
    assert copy.read_text(encoding="utf-8") == "text\n涨\n"


def test_packed_files_of_a_store_keep_both_endings(tmp_path: Path) -> None:
    for name in ("posts.csv.gz", "notes.gz"):
        (tmp_path / name).write_bytes(gzip.compress("text\n涨\n".encode()))
    (found,), skipped = find_sources([stored(tmp_path)], tmp_path / "out")
    assert found.ending == ".csv"
    assert skipped == {f"{stored(tmp_path)}/notes.gz": "unknown ending"}
    (tmp_path / "copies").mkdir()
    (batch,) = read_batches(found.fetched(tmp_path / "copies"))
    assert batch.rows == [["涨"]]


def test_answers_are_no_sources_by_a_url_either(tmp_path: Path) -> None:
    for name in ("a.csv", "out/scores/a-0.parquet", "out/rejects/a-0.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n涨\n", encoding="utf-8")
    found, skipped = find_sources([tmp_path.as_uri()], (tmp_path / "out").resolve())
    assert [source.name for source in found] == [str(tmp_path / "a.csv")]
    assert skipped == {}


def test_a_store_of_fsspec(tmp_path: Path) -> None:
    """pyarrow knows no zip; fsspec does."""
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("inner/a.csv", "text\n跌了\n")
    url = f"zip://inner/a.csv::file://{tmp_path / 'texts.zip'}"
    (found,), _ = find_sources([url], tmp_path / "out")
    assert (found.name, found.ending) == (url, ".csv")
    assert found.fetched(tmp_path).read_text(encoding="utf-8") == "text\n跌了\n"


def test_what_is_gone_is_known_of_places_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    assert not is_gone(str(tmp_path / "a.csv"), [])
    assert is_gone(str(tmp_path / "b.csv"), [])
    assert is_gone("s3://bucket/day/b.csv", ["s3://bucket/day/"])
    assert not is_gone("s3://bucket/days/b.csv", ["s3://bucket/day"])


@pytest.mark.parametrize("name", ["absent.csv", "file:///absent/absent.csv", "nosuchstore://a/b.csv"])
def test_what_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent|nosuchstore") as told:
        find_sources([name], tmp_path)
    assert "\n" not in str(told.value)
