"""A file of answers: what was written is found again, what a kill cut off is mended, what is no such file is left alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.files import hold
from finsa_moe.llm.answers import AnswerFile
from finsa_moe.llm.endpoint import Answer

ONE, TWO = Answer("涨\n了\u2028😀", 7, 3), Answer("", 0, 0, cut=True)


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    answers = AnswerFile(path)
    answers.keep("a", ONE)
    answers.keep("b", TWO)
    again = AnswerFile(path)
    assert (again.get("a"), again.get("b"), again.get("c"), len(again)) == (ONE, TWO, None, 2)


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of lines are written, and no power is lost."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.usefixtures("no_waiting_for_the_disk")
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    answers = AnswerFile(path)
    answers.keep("a", ONE)
    first = len(path.read_bytes())
    answers.keep("b", TWO)
    content = path.read_bytes()
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        mended = AnswerFile(path)
        assert (mended.get("a") == ONE, mended.get("b") == TWO) == (end >= first - 1, end >= len(content) - 1), end
        mended.keep("c", ONE)  # the next line stands on its own
        assert AnswerFile(path).get("c") == ONE


@pytest.mark.usefixtures("no_waiting_for_the_disk")
def test_a_line_cut_off_while_another_run_writes_costs_itself_alone(tmp_path: Path) -> None:
    """Two runs share a file; the one that is killed leaves half a line, behind which the other goes on."""
    path = tmp_path / "answers.jsonl"
    answers = AnswerFile(path)
    answers.keep("a", ONE)
    half = path.read_bytes().replace(b'"a"', b'"b"')
    for end in range(1, len(half)):
        path.write_bytes(half.replace(b'"b"', b'"a"') + half[:end])
        answers.keep("c", TWO)
        before = path.read_bytes()
        again = AnswerFile(path)
        lost = None if end < len(half) - 1 else ONE
        assert (again.get("a"), again.get("b"), again.get("c")) == (ONE, lost, TWO), end
        assert path.read_bytes() == before
        again.keep("b", ONE)
        assert AnswerFile(path).get("b") == ONE


@pytest.mark.parametrize("content", ["id,text\n1,涨\n", "s3cret", "{}", '{"request": 1}\n', "[1]\n", "5", "\n"])
def test_another_file_is_not_touched(content: str, tmp_path: Path) -> None:
    path = tmp_path / "named by mistake"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="not a file of answers; name another"):
        AnswerFile(path)
    assert path.read_text(encoding="utf-8") == content


def test_an_answer_that_is_kept_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was paid for: no loss of power may take it."""
    path, synced = tmp_path / "answers.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda place: synced.append(os.fstat(place).st_size))
    answers = AnswerFile(path)
    for name in ("a", "b"):
        answers.keep(name, ONE)
        assert path.stat().st_size in synced


def test_a_full_disk_leaves_no_half_an_answer(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limit on a file's size")
    path = tmp_path / "answers.jsonl"
    answers = AnswerFile(path)
    answers.keep("a", ONE)
    content, before = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 20, before[1]))
    try:
        with pytest.raises(ConfigError, match="an answer cannot be written"):
            answers.keep("b", TWO)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == content


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a file of answers"):
        AnswerFile(tmp_path)


def test_a_run_that_opens_a_file_waits_for_the_line_of_another(tmp_path: Path) -> None:
    """Without that it would take the half line away that the other is still writing."""
    path = tmp_path / "answers.jsonl"
    AnswerFile(path).keep("a", ONE)
    line = path.read_bytes()
    opened: list[AnswerFile] = []
    reader = threading.Thread(target=lambda: opened.append(AnswerFile(path)))
    with path.open("ab", buffering=0) as file:
        hold(file, wait=True)
        file.write(line[:20])
        reader.start()
        reader.join(0.5)
        assert not opened
        file.write(line[20:])
    reader.join(60)
    assert path.read_bytes() == line * 2
    assert len(opened) == 1
