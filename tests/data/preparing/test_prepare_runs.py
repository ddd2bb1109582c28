"""`prepare` where other processes are: two runs of one folder, a reader that is killed; and folders of odd names."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from finsa_moe.data.preparing import prepare as room
from finsa_moe.data.preparing import staging
from finsa_moe.data.preparing.prepare import FILES, prepare
from finsa_moe.errors import DataError

LABELS = ["利空", "中性", "利好"]


def written(folder, files=1):
    folder.mkdir()
    for number in range(files):
        rows = "".join(f"{number}第{n}条,{LABELS[n % 3]}\n" for n in range(60))
        (folder / f"{number}.csv").write_text("text,label\n" + rows, encoding="utf-8")
    return folder


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", ["prep[1]", "p*"])
def test_a_folders_name_is_no_pattern(tmp_path, name):
    raw = written(tmp_path / "raw[2]")
    report = prepare([raw], domain="forum", out=tmp_path / name)
    assert report.rows == {"in": 60, "kept": 60, "refused": 0}
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(FILES)


def test_a_killed_reader_is_told_in_one_line(tmp_path, monkeypatch):
    raw = written(tmp_path / "raw", files=4)
    monkeypatch.setattr(staging, "_ALONE", 0)
    monkeypatch.setattr(staging, "_stage", killed)
    with pytest.raises(
        DataError, match=r"one of 2 processes .* was killed, perhaps for want of memory; .* taskset"
    ) as caught:
        prepare([raw], domain="forum", out=tmp_path / "out", processes=2)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_of_two_runs_of_one_folder_the_second_is_refused_and_the_first_ends_well(tmp_path, monkeypatch):
    raw, out, write = written(tmp_path / "raw"), tmp_path / "out", room.write_splits

    def meanwhile(*arguments):
        with pytest.raises(DataError, match=r"--out .*out: another run is preparing it; wait for its end or choose"):
            prepare([raw], domain="news", out=out)
        write(*arguments)

    monkeypatch.setattr(room, "write_splits", meanwhile)
    assert prepare([raw], domain="forum", out=out).rows["kept"] == 60
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]
    assert prepare([raw], domain="news", out=out).domain == "news"


def test_what_a_link_leads_to_is_not_written_over(tmp_path):
    raw, out = written(tmp_path / "raw"), tmp_path / "out"
    (raw / "before").symlink_to(out, target_is_directory=True)
    prepare([raw], domain="forum", out=out)
    with pytest.raises(DataError, match=r"--out .*out: it holds source .*before/test\.csv or lies within it"):
        prepare([raw], domain="forum", out=out)


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="no mount point is known here")
def test_a_mount_point_is_refused_at_the_start(tmp_path):
    raw = written(tmp_path / "raw")
    (tmp_path / "link").symlink_to("/proc")
    for out in (Path("/proc"), tmp_path / "link"):
        with pytest.raises(DataError, match=rf"--out {out}: a mount point, which no folder can replace; name a folder"):
            prepare([raw], domain="forum", out=out)
