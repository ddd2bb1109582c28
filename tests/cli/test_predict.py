from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from finsa_moe.runtime import bulk
from tests.fakes import fake_finsa

ROOT = Path(__file__).parents[2]
# The command as a user runs it, over the fake model.
DRIVER = """
import sys
from finsa_moe import face
from tests.fakes import fake_finsa
face.load = lambda path=None, **settings: fake_finsa()
from finsa_moe.cli import main
from finsa_moe.runtime import bulk
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path | None = None, *, abstain_below: float = 0.0, **_: object) -> face.FinSA:
        return fake_finsa(abstain_below=abstain_below)

    monkeypatch.setattr(face, "load", load)


class Piped(io.TextIOWrapper):
    """Bytes on stdin, no terminal."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")


def start(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DRIVER, "predict", *arguments]
    return subprocess.Popen(command, cwd=ROOT, **streams)  # type: ignore[call-overload,no-any-return]


def test_texts_as_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "公告 涨\n停", "跌"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], *line[2:]) for line in lines] == [("利好", "news", "公告 涨 停"), ("利空", "forum", "跌")]
    assert all(0 < float(line[1]) < 1 for line in lines)


def test_a_file_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "posts.csv").write_text("text\n涨\n", encoding="utf-8")
    for verb in ("predict", "explain"):
        assert main([verb, str(tmp_path / "posts.csv")]) == 2
        assert f"posts.csv is a file; write finsa {verb} --input " in capsys.readouterr().err
    assert main(["predict", "涨", *[str(tmp_path / "posts.csv")] * 2]) == 2
    assert "--output answers.csv, and so for each file" in capsys.readouterr().err


def test_a_dash_is_the_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Piped("涨\n跌\n".encode()))
    assert main(["predict", "-"]) == 0
    assert [line.split("\t")[-1] for line in capsys.readouterr().out.splitlines()] == ["涨", "跌"]


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--json", "--domain", "news", "--abstain-below", "0.99", "涨", "跌"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(first) == [
        "text", "sentiment", "confidence", "scores", "expert", "expert_weights", "novelty", "truncated", "uncertain",
        "seconds",
    ]  # fmt: skip
    assert (first["text"], first["sentiment"], first["expert"], first["uncertain"]) == ("涨", "利好", "news", True)
    assert second["scores"]["bearish"] == second["confidence"]


def test_uncertain_answers_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    main(["predict", "涨", "--abstain-below", "0.99"])
    assert capsys.readouterr().out.startswith("利好?\t")


def test_a_file_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("key,words\na,涨\nb,\n", encoding="utf-8")
    arguments = ["--input", str(source), "--output", str(target), "--text", "words", "--id", "key"]
    assert main(["predict", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1 of 2 rows answered by column words" in shown.err
    assert "column words (fake)" in shown.err  # a rate of two rows would tell of the start
    assert "1 row refused, with the reason, in" in shown.err
    (row,) = map(json.loads, target.read_text(encoding="utf-8").splitlines())
    assert (row["key"], row["words"], row["sentiment"]) == ("a", "涨", "利好")
    assert Path(f"{target}.rejects.csv").read_text(encoding="utf-8").splitlines()[1] == f"{source},3,empty text,b,"


@pytest.mark.parametrize("lines", [False, True])
def test_a_file_onto_stdout(
    tmp_path: Path, lines: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_bytes("key,text\na,涨\nb,\nc,跌\n".encode("gbk"))
    assert main(["predict", "--input", "in.csv", "--output", "-", *(["--json"] if lines else [])]) == 0
    shown = capsys.readouterr()
    rows = (
        [json.loads(line) for line in shown.out.splitlines()] if lines else list(csv.DictReader(shown.out.splitlines()))
    )
    assert [(row["key"], row["text"], row["sentiment"]) for row in rows] == [("a", "涨", "利好"), ("c", "跌", "利空")]
    assert shown.err.splitlines() == [
        "in.csv: 2 of 3 rows answered by column text (fake)",
        "in.csv was read as GB18030: it is not in UTF-8",
        "1 row refused, the first in line 3: empty text",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_reader_that_leaves_a_file_on_stdout_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("涨\n" * 40_000, encoding="utf-8")
    process = start(
        "--input", str(tmp_path / "many.txt"), "--output", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline().startswith(b"id,text,sentiment")
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    assert process.wait(timeout=120) == 0


@pytest.mark.parametrize(("seconds", "rate"), [(9.0, ""), (20.0, ", 100 a second")])
def test_a_rate_is_told_of_long_runs_alone(
    tmp_path: Path, seconds: float, rate: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = bulk.Tally(rows=2_000, answered=2_000, seconds=seconds, engine="fake", column="text")
    monkeypatch.setattr(bulk, "predict_file", lambda *_, **__: tally)
    target = tmp_path / "out.csv"
    assert main(["predict", "--input", "in.csv", "--output", str(target)]) == 0
    assert capsys.readouterr().err == f"{target}: 2,000 of 2,000 rows answered by column text{rate} (fake)\n"


def test_bom_by_option(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n涨\n", encoding="utf-8")
    arguments = ["predict", "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv")]
    main([*arguments, "--bom"])
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    main(arguments)
    assert not (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_pipe_line_by_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    content = "\ufeff涨\r\n\n".encode() + "又跌了".encode("gb18030") + b"\n\xff\xff\xff\n" + "a\x00公告🚀".encode()
    monkeypatch.setattr(sys, "stdin", Piped(content))
    assert main(["predict"]) == 0
    shown = capsys.readouterr()
    lines = [line.split("\t") for line in shown.out.splitlines()]
    assert [line[0] for line in lines] == ["利好", "-", "利空", "-", "中性"]
    assert lines[4][2:] == ["news", "a\x00公告🚀"]
    assert shown.err.strip() == "2 of 5 lines refused (first: line 2: empty text)"


def test_refused_lines_in_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Piped("涨\n \n跌".encode()))
    assert main(["predict", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("sentiment") for row in rows] == ["利好", None, "利空"]
    assert rows[1] == {"line": 2, "text": " ", "error": "empty text"}


def test_an_answer_comes_before_the_next_line_is_written() -> None:
    process = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    for words, sentiment in (("涨", "利好"), ("跌", "利空")):
        process.stdin.write(f"{words}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode().startswith(sentiment)
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(timeout=120) == 0
    watchdog.cancel()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    source = tmp_path / "many.txt"
    source.write_text("涨涨涨涨\n" * 60_000, encoding="utf-8")
    with source.open("rb") as lines:
        process = start(stdin=lines, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline().decode().startswith("利好")
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0


def test_a_terminal_is_answered_text_by_text_until_quit() -> None:
    """Through a real terminal: prompt, answer with confidence and expert, an empty line, quit."""
    ours, theirs = pty.openpty()
    process = start(stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, "公告涨停\n\n跌\nquit\n".encode())
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as screen:
        shown = _all_of(screen)
    assert process.wait(timeout=120) == 0
    watchdog.cancel()
    words = shown.decode()
    assert "experts: news, forum" in words
    assert words.count("sentiment: ") == 2
    assert "\x1b[1;31m利好\x1b[0m   confidence: 0.7" in words
    assert "expert: news (news 0.70, forum 0.30)" in words
    assert "\x1b[1;32m利空" in words


def _all_of(screen: IO[bytes]) -> bytes:
    got = b""
    while True:
        try:
            block = screen.read(4096)
        except OSError:  # the other end of a pseudo-terminal has gone
            return got
        if not block:
            return got
        got += block


@pytest.mark.parametrize("words", ["quit", " QUIT ", None])
def test_quit_and_end_of_input_leave(
    words: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(_: str = "") -> str:
        if words is None:
            raise EOFError
        return words

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", typed)
    assert main(["predict"]) == 0
    assert capsys.readouterr().out == ""


def test_a_long_text_is_answered_and_said_to_be_cut(capsys: pytest.CaptureFixture[str]) -> None:
    main(["predict", "--json", "涨跌" * 50_000])
    answer = json.loads(capsys.readouterr().out)
    assert answer["truncated"] is True
    assert len(answer["text"]) == 100_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "涨"], "text 0 (counted from 0) is empty"),
        (["\x00"], "text 0"),
        (["涨", "--domain", "weibo"], "'weibo' is not in this mixture; it knows news, forum"),
        (["涨", "--input", "a.csv"], "texts and --input cannot both be given"),
        (["--input", "a.csv"], "--input needs --output F for the answers, or --output - to print them"),
        (["--input", "none.csv", "--output", "-"], "none.csv: no such file"),
        (["--input", "blank.csv", "--output", "-"], "none of its 1 rows can be answered"),
        (["涨", "--output", "a.csv"], "belong to --input"),
        (["--input", "none.csv", "--output", "a.csv"], "none.csv: no such file"),
        (["--input", "none.csv", "--output", "a.xlsx"], "unknown ending '.xlsx'"),
        (["--input", "other.csv", "--output", "a.csv", "--json"], "name a.jsonl, or leave --json out"),
        (["--input", "empty.csv", "--output", "a.csv"], "empty.csv: the file is empty"),
        (["--input", "other.csv", "--output", "a.csv"], "other.csv: no text column; columns found: a, b"),
        (["--input", "other.csv", "--output", "a.csv", "--text", "c"], "no column 'c'"),
        ([], "the pipe is empty"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Piped(b""))
    Path("empty.csv").touch()
    Path("other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    Path("blank.csv").write_text("text,b\n ,2\n", encoding="utf-8")
    assert main(["predict", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("finsa: ")
    assert says in shown.err
    assert shown.err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blank.csv", "empty.csv", "other.csv"]


def test_a_lone_surrogate_is_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "涨\ud800停"]) == 0
    assert capsys.readouterr().out.startswith("利好")
