"""The standard streams as they come: closed, full, in another encoding, half of them a terminal."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe import cli
from finsa_moe.files import working_folder
from tests.cli.test_predict import DRIVER, ROOT, start

SHELL = """
driver=$1; redirection=$2; shift 2
eval 'exec "$PYTHON" -c "$driver" predict "$@"' "$redirection"
"""


def run(redirection: str, *arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    """`finsa predict` over the fake model, with its streams redirected by a shell."""
    return subprocess.run(
        ["sh", "-c", SHELL, "sh", DRIVER, redirection, *arguments], cwd=ROOT, capture_output=True, check=False,
        stdin=subprocess.DEVNULL, timeout=120,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONIOENCODING": f"{encoding}:strict"},
    )  # fmt: skip


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("text\n涨\n跌\n", encoding="utf-8")
    return tmp_path / "in.csv"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("as_file", [True, False])
def test_a_full_disk_behind_stdout_is_one_line(posts: Path, as_file: bool) -> None:
    done = run(">/dev/full", *(["--input", str(posts), "--output", "-"] if as_file else ["涨停"]))
    assert done.stderr.decode() == (
        "finsa: what is printed cannot be written: No space left on device; make room, or let it go elsewhere\n"
    )
    assert done.returncode == 2


def test_a_full_disk_elsewhere_is_told_as_such_and_what_was_printed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb(arguments: list[str] | None) -> int:
        print("four experts kept")
        with working_folder(tmp_path / "moe"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "_run", verb)
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == "four experts kept\n"
    told = f"{tmp_path / 'moe'} cannot be written: No space left on device; make room, or let it go elsewhere"
    assert err == f"finsa: {told}\n"


def test_closed_streams_are_empty_ones(posts: Path) -> None:
    done = run("<&-")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"finsa: no text: the pipe is empty")
    done = run(">&-", "--input", str(posts), "--output", str(posts.with_name("out.csv")))
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert posts.with_name("out.csv").read_text(encoding="utf-8").count("\n") == 3


def test_json_on_a_stream_without_chinese_is_escaped() -> None:
    done = run("", "涨🚀", "--json", encoding="latin-1")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["text"] == "涨🚀"
    assert run("", "涨", encoding="latin-1").stdout.endswith(b"\tforum\t?\n")


def test_answers_to_a_terminal_that_go_to_a_file_have_no_prompts_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a line that is not in the terminal's encoding is told, and asked for again."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    ours, theirs = pty.openpty()
    with (tmp_path / "out.txt").open("wb") as out:
        process = start(stdin=theirs, stdout=out, stderr=subprocess.PIPE)
    os.close(theirs)
    os.write(ours, "公告涨停\n".encode() + "跌".encode("gbk") + "\n跌\nquit\n".encode())
    try:
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
        os.close(ours)
    assert process.returncode == 0, told
    assert told.count(b"> ") == 4
    assert b"that line is not in UTF-8; type it anew, or quit" in told
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines] == ["利好", "利空"]
