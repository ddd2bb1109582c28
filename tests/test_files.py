"""Files that are whole or not there, whoever writes them, files that one run holds, and files that only grow."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from finsa_moe.errors import DataError, ModelError
from finsa_moe.files import append, hold, read_json, read_json_and_sha256, whole_file, working_folder, write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_words_are_utf_8_and_half_an_emoji_a_question_mark(tmp_path: Path) -> None:
    write(tmp_path / "a.html", "涨\ud83d\n")
    assert (tmp_path / "a.html").read_bytes() == "涨?\n".encode()
    assert names(tmp_path) == ["a.html"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "a", b"old")
    began = whole_file(tmp_path / "a")
    began.__enter__().write(b"new")
    assert len(names(tmp_path)) == 2
    began.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["folder", "none/a", "file/a", "长" * 90])
def test_what_cannot_be_written_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = names(tmp_path)
    with pytest.raises(DataError, match=r"cannot be written: .*; make room there, or name another file") as told:
        write(tmp_path / name, "x")
    assert str(told.value).startswith(str(tmp_path / name))
    assert "\n" not in str(told.value)
    assert names(tmp_path) == before


def test_a_name_as_long_as_may_be(tmp_path: Path) -> None:
    write(tmp_path / ("长" * 85), "x")  # 255 bytes: no room for an ending
    assert names(tmp_path) == ["长" * 85]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/a")
    for content in ("1", "2"):  # where it leads nowhere as well
        write(tmp_path / "link", content)
        assert (tmp_path / "real" / "a").read_text(encoding="utf-8") == content
    assert (tmp_path / "link").is_symlink()


def test_the_file_may_be_read_by_whom_any_new_file_may(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write(tmp_path / "whole", "x")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def run(mark: bytes) -> None:
        with whole_file(tmp_path / "a") as file:
            for _ in range(3):
                both.wait(10)
                file.write(mark)
                file.flush()

    threads = [threading.Thread(target=run, args=(mark,)) for mark in (b"1", b"2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in (b"111", b"222")
    assert names(tmp_path) == ["a"]


def test_where_a_file_system_knows_no_locks_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks on Windows")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with (tmp_path / "lock").open("wb") as file:
        assert hold(file)


def test_one_holds_a_file_until_it_is_closed(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first, second = (tmp_path / "a").open("ab"), (tmp_path / "a").open("ab")
    assert hold(first)
    assert not hold(second)
    first.close()
    assert hold(second)
    second.close()


def test_a_folder_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with working_folder(tmp_path / "new" / "a") as working:
        (working / "part").touch()
        assert not (tmp_path / "new" / "a").exists()
        working.rename(tmp_path / "new" / "a")
    assert names(tmp_path / "new" / "a") == ["part"]
    began = working_folder(tmp_path / "new" / "b")
    (began.__enter__() / "part").touch()
    assert len(names(tmp_path / "new")) == 2
    began.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert names(tmp_path / "new") == ["a"]


def test_an_error_that_names_no_file_names_the_folder_to_come(tmp_path: Path) -> None:
    """As the system's are of a write for which there is no room."""
    for error, named in (
        (OSError(errno.ENOSPC, "full"), str(tmp_path / "a")),
        (FileNotFoundError(errno.ENOENT, "none", "b"), "b"),
    ):
        with pytest.raises(OSError, match=r"full|none") as told, working_folder(tmp_path / "a"):
            raise error
        assert told.value.filename == named
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "a[1]", "长" * 85])
def test_what_a_killed_run_left_goes_and_what_a_live_one_fills_stays(name: str, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    theirs = [f".{name[:40]}.temporary", ".a1.tmp77", ".other.tmp77"]
    for other in (f".{name[:40]}.tmp4711", *theirs):
        (tmp_path / other).mkdir()
        (tmp_path / other / "part").touch()
    with working_folder(tmp_path / name) as first:
        (first / "part").touch()
        assert names(tmp_path) == sorted([first.name, *theirs])
        with working_folder(tmp_path / name) as second:
            assert first != second
            second.rename(tmp_path / name)
        assert names(first) == ["part"]
        assert names(tmp_path / name) == []
    assert names(tmp_path) == sorted([name, *theirs])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "missing"),
        (b"", "damaged"),
        (b"[1]", "damaged, no JSON object but a list"),
        (b"\xff\xfe{", "damaged"),
        (b'{"a"', r"damaged, no JSON object \(.*column 5"),
    ],
)
def test_json_that_is_none(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"x.json: {says}.*; mend it"):
        read_json(path, "mend it", error=DataError)
    if content is None:
        assert read_json(path, absent={"a": 1}) == {"a": 1}
    else:
        with pytest.raises(ModelError, match="restore it"):
            read_json(path, absent={})


def test_a_checksum_is_of_the_bytes_that_were_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content, plain = tmp_path / "config.json", b'{"a": 1}\r\n', json.loads
    path.write_bytes(content)

    def replaced(said: str) -> object:
        path.write_bytes(b'{"a": 2}')
        return plain(said)

    monkeypatch.setattr(json, "loads", replaced)
    assert read_json_and_sha256(path, "mend it") == ({"a": 1}, hashlib.sha256(content).hexdigest())


def test_what_is_appended_is_on_disk_and_with_the_first_line_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fsync", lambda place: synced.append((os.fstat(place).st_ino, os.fstat(place).st_size)))
    path, folder = tmp_path / "a", tmp_path.stat()
    with path.open("ab") as file:
        append(file, b"one\n")
        assert synced == [(path.stat().st_ino, 4), (folder.st_ino, tmp_path.stat().st_size)]
        append(file, b"two\n")
    assert synced[2:] == [(path.stat().st_ino, 8)]
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_disk_that_takes_a_part_of_a_line_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, full = os.write, [False]

    def nearly_full(place: int, content: memoryview) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        full[0] = len(content) > 4
        return plain(place, content[:3])

    monkeypatch.setattr(os, "write", nearly_full)
    with (tmp_path / "a").open("ab") as file:
        append(file, b"one\n")  # in two parts
        with pytest.raises(OSError, match="No space"):
            append(file, b"a long line\n")
        full[0] = False
        append(file, b"two\n")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"
