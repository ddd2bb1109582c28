"""What cannot be written is told in one line before anything is read: by the check, and by every verb."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.cli.targets import check_targets
from finsa_moe.errors import ConfigError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.csv", "folder.jsonl", "folder.png", "a.rejects.csv", "out/comparison.md"):
        Path(name).mkdir(parents=True)
    Path("file").touch()


def test_what_can_be_written() -> None:
    check_targets(None, Path("new.json"), Path("file"), Path("folder/new.json"), None)
    assert not Path("new.json").exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("folder", "folder: is a folder; name a file in it"),
        (".", "is a folder"),
        ("none/f.json", "none/f.json: there is no folder none; make it first or name another"),
        ("file/f.json", "file/f.json: there is no folder file"),
        ("pipe", "pipe: is a device or a pipe; name a file"),
        ("长" * 90, "cannot be a file: File name too long"),
    ],
)
def test_what_cannot(path: str, says: str) -> None:
    os.mkfifo("pipe")
    with pytest.raises(ConfigError) as told:
        check_targets(Path("fine.json"), Path(path))
    assert says in str(told.value)


def test_a_folder_that_may_not_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("folder") or not mode & os.W_OK)
    with pytest.raises(ConfigError, match=r"^folder/f: the folder folder may not be written to; name a file in"):
        check_targets(Path("folder/f"))


def test_one_file_for_two_outputs() -> None:
    with pytest.raises(ConfigError, match=r"^folder/\.\./f: is named for two outputs, which need a file each"):
        check_targets(Path("f"), Path("folder/../f"))


@pytest.mark.parametrize(
    "words",
    [
        "evaluate none none.csv --json folder",
        "evaluate none none.csv --html folder",
        "audit none.csv --json folder",
        "drift none.csv none.csv --json folder",
        "drift none.csv none.csv --plot folder.png",
        "explain x --html folder",
        "explain --input none.csv --output folder.jsonl",
        "explain x --table folder.csv",
        "index none.csv --by a --date b --out folder.csv",
        "index none.csv --by a --date b --out i.csv --heatmap folder.png",
        "predict --model none --input none.csv --output folder.csv",
        "sample none.csv --n 3 --out folder.csv",
        "label none.csv --out folder.csv",
        "augment none.csv --out folder.csv",
        "augment none.csv --out a.csv",
        "stats none --plot folder.png",
        "stats none --csv folder.csv",
        "compare --model majority --train news=none.csv --test news=none.csv --out out",
    ],
)
def test_every_verb_tells_before_it_looks_for_its_inputs(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert ": is a folder; name a file in it" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("answers", ["./b.csv", "b.rejects.csv"])
def test_the_answers_of_a_language_model_are_not_written_over(answers: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = "--endpoint http://127.0.0.1:9 --model-name m"
    assert main(f"augment none.csv --out b.csv --answers {answers} {asked}".split()) == 2
    assert "is named for two outputs, which need a file each" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "pretrain none.txt",
        "adapt none --task a=none.csv",
        "train-expert news none",
        "merge --expert news=none",
        "train-joint none --data news=none",
        "add-domain none more none",
        "remove-domain none more",
        "export none",
    ],
)
@pytest.mark.parametrize(
    ("out", "says"), [("file", "is no folder"), ("file/in/it", "is no folder"), ("长" * 90, "too long")]
)
def test_every_verb_that_writes_a_folder_tells_before_any_work(
    words: str, out: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--out", out]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"finsa: {out}: cannot be")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", ["evaluate none file --json file", "explain --input file --table ./file"])
def test_no_verb_writes_over_what_it_reads(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").rename("file.csv")
    words = words.replace("file", "file.csv")
    assert main(words.split()) == 2
    assert "is a file that is read here, and would be lost; name another" in capsys.readouterr().err
