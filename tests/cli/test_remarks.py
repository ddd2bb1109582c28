"""What is said on stderr beside the answers, by every verb alike; what is printed stays as it is."""

from __future__ import annotations

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from finsa_moe.face import FinSA
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.predictor import Predictor
from tests.cli.test_predict import Piped
from tests.data.reading.workbook import write_workbook
from tests.fakes import FakeEngine, StateEngine, fake_finsa

LONG, STRANGE = "涨停" * 450, "hello"
CUT = (
    "1 text was too long: its middle was cut (`truncated`)",
    "2 texts were too long: their middle was cut (`truncated`)",
)
UNLIKE = "unlike the texts that the model learnt from"


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    (tmp_path / "posts.csv").write_text("text,label\n涨,利好\n跌,利空\n平,中性\n", encoding="utf-8")
    return tmp_path / "posts.csv"


@pytest.mark.parametrize("verb", ["predict", "explain", "evaluate"])
def test_a_mixture_on_torch_is_said_to_be_one(
    verb: str, posts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in {"explain": ("shap", "rjieba"), "evaluate": ("polars",)}.get(verb, ()):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    arguments = [verb, "m", str(posts)] if verb == "evaluate" else [verb, "--model", "m", "涨"]
    for name, said in (
        ("torch", ["m runs on torch; `finsa export m --out DIR` makes it many times as fast"]),
        ("x", []),
    ):
        engine = FakeEngine()
        engine.name = name
        monkeypatch.setattr(face, "load", lambda *_, own=engine, **__: fake_finsa(own))
        assert main(arguments) == 0
        assert [line for line in capsys.readouterr().err.splitlines() if "torch" in line] == said


@pytest.mark.parametrize("verb", ["predict", "evaluate", "prepare"])
def test_sheets_that_were_not_read_are_named(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("python_calamine", "polars"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.setattr(face, "load", lambda *_, **__: fake_finsa())
    monkeypatch.chdir(tmp_path)
    rows = [["text", "label"], *([f"第{n}条各不相同的内容{n * 7919}", NAMES[n % 3]] for n in range(30))]
    write_workbook(Path("two.xlsx"), {"一月": rows, "二月": rows, "三月": rows})
    for file, said in (("two.xlsx", True), ("two.xlsx#二月", False)):
        arguments = {
            "predict": ["--input", file, "--output", "-"],
            "evaluate": ["m", file],
            "prepare": [file, "--domain", "funds", "--out", "out"],
        }
        assert main([verb, *arguments[verb]]) == 0
        line = "two.xlsx; read: sheet 一月; others: 二月, 三月, as in two.xlsx#二月"
        assert (line in capsys.readouterr().err.splitlines()) == said


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("texts", [["涨"], [LONG, "涨"], [LONG, "涨", LONG + "跌"]])
def test_cut_texts_are_counted(
    texts: list[str], piped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(face, "load", lambda *_, **__: fake_finsa())
    monkeypatch.setattr(sys, "stdin", Piped("\n".join(texts).encode()))
    for words in ([], ["--json"]):
        if piped:
            sys.stdin.seek(0)
        assert main(["predict", *words, *([] if piped else texts)]) == 0
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == len(texts)
        many = sum(len(text) > 64 for text in texts)
        assert shown.err.splitlines() == ([CUT[many - 1]] if many else [])


@pytest.mark.parametrize("piped", [False, True])
def test_strange_texts_are_counted(
    piped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finsa = FinSA(Predictor(StateEngine()))
    monkeypatch.setattr(face, "load", lambda *_, **__: finsa)
    for texts, said in (
        (["涨"], []),
        (["涨", STRANGE], [f"1 text is {UNLIKE} (marked *: `novelty` 0.99 or more); look at it yourself"]),
        ([STRANGE, STRANGE], [f"2 texts are {UNLIKE} (marked *: `novelty` 0.99 or more); look at these yourself"]),
    ):
        monkeypatch.setattr(sys, "stdin", Piped("\n".join(texts).encode()))
        assert main(["predict", *([] if piped else texts)]) == 0
        assert capsys.readouterr().err.splitlines() == said


@pytest.mark.parametrize("piped", [False, True])
def test_the_very_line_of_a_strange_text_is_marked(
    piped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(face, "load", lambda *_, **__: FinSA(Predictor(StateEngine(), abstain_below=1.0)))
    texts = ["涨", STRANGE, "跌"]
    for words in ([], ["--json"]):
        monkeypatch.setattr(sys, "stdin", Piped("\n".join(texts).encode()))
        assert main(["predict", *words, *([] if piped else texts)]) == 0
        shown = capsys.readouterr()
        if words:
            rows = list(map(json.loads, shown.out.splitlines()))
            assert [(row["sentiment"], row["novelty"] >= 0.99) for row in rows] == [
                ("利好", False), ("中性", True), ("利空", False),
            ]  # fmt: skip
            assert f"{UNLIKE} (`novelty` 0.99" in shown.err
        else:
            lines = [line.split("\t") for line in shown.out.splitlines()]
            assert [line[0] for line in lines] == ["利好?", "中性?*", "利空?"]
            assert {len(line) for line in lines} == {4}


def test_a_file_of_answers_has_no_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(face, "load", lambda *_, **__: FinSA(Predictor(StateEngine(), abstain_below=1.0)))
    (tmp_path / "in.csv").write_text(f"key,text\na,涨\nb,{STRANGE}\nc,\n", encoding="utf-8")
    assert main(["predict", "--input", str(tmp_path / "in.csv"), "--output", "-"]) == 0
    shown = capsys.readouterr()
    rows = list(csv.DictReader(shown.out.splitlines()))
    assert [row["sentiment"] for row in rows] == ["利好", "中性"]
    assert shown.err.splitlines()[1:] == [
        "2 answers are uncertain (column `uncertain`)",
        f"1 text is {UNLIKE} (column `novelty` 0.99 or more); look at it yourself",
        "1 row refused, the first in line 4: empty text",
    ]
