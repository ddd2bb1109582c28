"""An output folder is whole or absent, and what others put into it survives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe.data.preparing.folder import written_whole
from finsa_moe.errors import DataError

OURS = ("a.txt", "b.txt")


def write(out, words):
    with written_whole(out, OURS.__contains__) as folder:
        (folder / "a.txt").write_text(words, encoding="utf-8")


def content(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


def test_a_new_folder_appears_at_the_end(tmp_path):
    out = tmp_path / "deep" / "out"
    with written_whole(out, OURS.__contains__) as folder:
        (folder / "a.txt").write_text("1", encoding="utf-8")
        assert not out.exists()
    assert content(out) == {"a.txt": "1"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_old_files_go_and_foreign_ones_stay(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in (*OURS, "notes.md"):
        (out / name).write_text("old", encoding="utf-8")
    (out / "model").mkdir()
    write(out, "new")
    assert content(out) == {"a.txt": "new", "notes.md": "old"}
    assert (out / "model").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_output(tmp_path, error):
    out = tmp_path / "out"
    write(out, "old")

    def failing():
        with written_whole(out, OURS.__contains__) as folder:
            (folder / "a.txt").write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        failing()
    assert content(out) == {"a.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("step", [2, 3])
def test_a_rename_that_fails_leaves_nothing_half_done(tmp_path, monkeypatch, step):
    """At the second the old folder comes back; at the third the new one stands, and the next run carries over the rest."""
    out, replace, renames = tmp_path / "out", Path.replace, []
    write(out, "old")
    (out / "notes.md").write_text("mine", encoding="utf-8")

    def failing(self, target):
        renames.append(target)
        if len(renames) == step:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    says = "nothing was replaced" if step == 2 else r"the next run ends what stands in .*\.out\.old"
    with pytest.raises(DataError, match=rf"out: cannot be written: Input/output error; {says}"):
        write(out, "new")
    monkeypatch.undo()
    assert content(out) == ({"a.txt": "old", "notes.md": "mine"} if step == 2 else {"a.txt": "new"})
    write(out, "newer")
    assert content(out) == {"a.txt": "newer", "notes.md": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_killed_between_any_two_renames_nothing_is_lost(tmp_path, step):
    out = tmp_path / "out"
    write(out, "old")
    (out / "notes.md").write_text("mine", encoding="utf-8")
    code = f"""
import os
from pathlib import Path
from finsa_moe.data.preparing.folder import written_whole
renames, replace = [], Path.replace
def dying(self, target):
    if len(renames) == {step - 1}:
        os._exit(9)
    renames.append(target)
    return replace(self, target)
Path.replace = dying
with written_whole(Path({str(out)!r}), {OURS}.__contains__) as folder:
    (folder / "a.txt").write_text("new", encoding="utf-8")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    if out.exists():
        assert content(out)["a.txt"] in ("old", "new")
    write(out, "newer")
    assert content(out) == {"a.txt": "newer", "notes.md": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "file" / "out", "x")
