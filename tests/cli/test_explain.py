from __future__ import annotations

import contextlib
import csv
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from finsa_moe.cli.explain import _hidden
from finsa_moe.cli.outputs import Outputs
from finsa_moe.errors import MissingExtra
from tests.cli.test_predict import ROOT, Piped
from tests.fakes import fake_finsa

pytest.importorskip("shap", reason="the extra explain is not installed")
pytest.importorskip("rjieba", reason="the extra explain is not installed")
EVIL = "<script>涨</script> & 公告"


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "load", lambda path=None, **settings: fake_finsa())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "posts.csv"
    rows = [
        ("text", "label", "domain"),
        ("公告 涨 了", "利好", "news"),
        ("跌 了 呀", "利空", "forum"),
        ("涨 跌", "利好", "forum"),
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_text_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "公告 大涨 了", "涨"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.startswith("利好  ")
    first, second = out[: out.index("\n利好  ")], out[out.index("\n利好  ") :]
    expected = fake_finsa().explain("公告 大涨 了")
    assert f"{expected.confidence:.4f}  news (router 0.70); forum would say 利好" in first
    assert "公告 大涨 了" in first
    for word, value in expected.top(3):
        assert any(line.split()[:2] == [word.word, f"{value:+.4f}"] for line in first.splitlines() if line.strip())
    assert f"exact, {expected.evaluations} evaluations" in first
    assert "forum (router 0.70)" in second


def test_a_terminal_is_told_what_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the seconds that loading takes; a pipe gets nothing."""
    assert main(["explain", "涨"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["explain", "涨"]) == 0
    assert capsys.readouterr().err == "explaining …\n"


def test_a_file_among_the_texts_is_no_text(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for texts, each in (([str(source)], ""), (["涨", str(source), str(source)], ", and so for each file")):
        assert main(["explain", *texts]) == 2
        said = f"finsa: {source} is a file; write finsa explain --input {source} --html why.html{each}\n"
        assert capsys.readouterr().err == said


def test_a_module_is_hidden_for_as_long_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with _hidden("this", "json"):
        with pytest.raises(ImportError):
            importlib.import_module("this")
        assert sys.modules["json"] is json
    assert "this" not in sys.modules


def test_a_long_text_says_how_many_of_its_words_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = "公告 大涨 跌 升 了 " * 4
    moved = sum(value != 0 for _, value in fake_finsa().explain(text).top(99))
    assert main(["explain", text]) == 0
    assert f"evaluations; 10 of {moved} words shown" in capsys.readouterr().out
    assert moved > 10


def test_words_are_coloured_where_a_terminal_is_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red rises, blue speaks against; taken away, the codes leave the plain text of a pipe."""
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    words = ["explain", "公告 大涨 跌 升 了"]
    assert main(words) == 0
    plain = capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(words) == 0
    out = capsys.readouterr().out
    coloured = {word: set(codes.split(";")) for codes, word in re.findall(r"\x1b\[([\d;]+)m([^\x1b]+)\x1b\[0m", out)}
    bold, italic, underlined, red, blue = "1", "3", "4", "31", "34"  # ECMA-48, SGR
    assert coloured["利好"] == {bold, red}
    assert coloured["大涨"] == {bold, underlined, red}
    assert {italic, blue} <= coloured["跌"]
    assert re.sub(r"\x1b\[[\d;]*m", "", out) == plain


def test_the_class_shown_may_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "涨 跌", "--class", "bearish", "--domain", "news"]) == 0
    out = capsys.readouterr().out
    assert "for (+) or against (-) 利空" in out
    assert "news (given; router" in out
    assert main(["explain", "涨", "--class", "up-ish"]) == 2
    assert "--class up-ish: no class; write one of 利空, 中性, 利好" in capsys.readouterr().err


def test_json_is_the_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", "公告 大涨", "--evaluations", "30", "--seed", "4"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry == json.loads(
        json.dumps(fake_finsa().explain("公告 大涨", evaluations=30, seed=4).rounded().as_dict())
    )


def test_texts_by_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Piped("涨\n\n跌\n".encode()))
    assert main(["explain", "--json"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["涨", "跌"]
    # as Windows writes it; a code of one byte 0A in a character ends no line
    monkeypatch.setattr(sys, "stdin", Piped("上海涨\r\n\r\n\u0a0d跌\r\n".encode("utf-16")))
    assert main(["explain", "--json"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["上海涨", "\u0a0d跌"]
    monkeypatch.setattr(sys, "stdin", Piped(b"\n"))
    assert main(["explain"]) == 2
    assert "the pipe is empty" in capsys.readouterr().err


def test_a_line_of_a_pipe_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Piped("涨\n\u200b\n净利润同比增长".encode() + b"\xff\n" + "跌\n".encode()))
    assert main(["explain", "--json"]) == 2
    assert "line 3 of the pipe: neither whole UTF-8 nor GB18030" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Piped("涨\n\u200b\n跌\n".encode()))
    assert main(["explain", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_was_asked_for_is_written_though_nobody_reads_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finsa_moe.cli import explained

    def left(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(explained, "show_words", left)
    (tmp_path / "words.txt").write_text("涨\n", encoding="utf-8")
    words = ["--lexicon", str(tmp_path / "words.txt"), "--min-count", "1", "--table", str(tmp_path / "t.csv")]
    with contextlib.suppress(BrokenPipeError, SystemExit):
        main(["explain", "涨", *words])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").count("\n") > 1


def test_a_parquet_table_without_polars_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtra, match=r"writing Parquet needs polars, .*'\.\[data\]'"):
        Outputs(None, None, 1, tmp_path / "t.parquet", None, None).check()


def test_a_page_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, plot = tmp_path / "why.html", tmp_path / "why.png"
    assert main(["explain", EVIL, "公告 大涨 跌了", "--html", str(html), "--plot", str(plot)]) == 0
    page = html.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "src=" not in page
    assert 'href="http' not in page
    assert "Words that matter most" in page
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"written: {plot}, {html}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["why.html", "why.png"]


def test_a_file_and_its_lexicon(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, table = tmp_path / "words.txt", tmp_path / "table.csv"
    words.write_text("涨\n跌\n牛市\n", encoding="utf-8")
    command = [
        "explain",
        "--input",
        str(source),
        "--lexicon",
        str(words),
        "--table",
        str(table),
        "--only-label",
        "利好",
    ]
    assert main([*command, "--class", "利好"]) == 0
    done = capsys.readouterr()
    assert "2 of 3 rows explained" in done.err
    assert "1 row bears another label" in done.err
    assert "1 of 3 words occur in no text: 牛市" in done.err
    assert "all · 利好: the list's words bear" in done.out
    with table.open(encoding="utf-8", newline="") as file:
        rows = {(row["domain"], row["word"]): row for row in csv.DictReader(file)}
    assert set(rows) == {("all", "涨"), ("all", "跌"), ("forum", "涨"), ("forum", "跌"), ("news", "涨")}
    assert rows["all", "涨"]["frequency"] == "2"
    parts = [float(rows[domain, "涨"]["sum"]) for domain in ("news", "forum")]
    assert float(rows["all", "涨"]["sum"]) == pytest.approx(sum(parts), abs=2e-6)
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["texts"] == {"news": 1, "forum": 1}
    assert told["missing"] == ["牛市"]
    assert len(told["words"]) == 5 * 3


def test_a_file_without_a_list_shows_what_matters(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "why.jsonl"
    assert main(["explain", "--input", str(source), "--output", str(out), "--evaluations", "20"]) == 0
    done = capsys.readouterr()
    assert "all · 利空: words that matter most" in done.out
    assert "news · 利好: words that matter most" in done.out
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["涨", "--input", "x.csv"], "texts and --input cannot both be given"),
        (["涨", "--only-label", "利好"], "belong to --input"),
        (["涨", "--evaluations", "4"], "evaluations is 4; it must be 10 or more"),
        (["涨", "--html", "no/where.html"], "there is no folder no"),
        (["涨", "--table", "t.xlsx"], "unknown ending '.xlsx'"),
        (["涨", "--plot", "t.pdf"], "--plot t.pdf: the picture is a PNG; call it t.png"),
        (["涨", "--lexicon", "none.txt"], "none.txt: No such file"),
        (["涨", "--domain", "nws"], "did you mean 'news'"),
        ([" "], "text 0 (counted from 0) holds nothing"),
        (["--input", "none.csv"], "none.csv"),
        (["--input", "none.csv", "--only-label", "maybe"], "--only-label maybe: no class"),
    ],
)
def test_errors_are_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_stopped_run_says_how_to_go_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from finsa_moe.explain import file

    command = ["explain", "--input", str(source), "--output", str(tmp_path / "why.jsonl")]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(file, "stream", stop)
        assert main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main(command) == 0
    assert not (tmp_path / ".why.jsonl.partial").exists()


@pytest.mark.parametrize("module", ["shap", "rjieba"])
def test_without_the_extra(module: str) -> None:
    script = (
        f"import sys\nsys.modules[{module!r}] = None\nfrom finsa_moe.cli import main\nsys.exit(main(['explain', '涨']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"needs {module}" in done.stderr
    assert "pip install '.[explain]'" in done.stderr
