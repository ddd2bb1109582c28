from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from tests.fakes import fake_finsa

NEWS = "id,text,label,domain\n1,公告涨,利好,news\n2,公告跌,利空,news\n3,公告平,利好,news\n"
FORUM = "id,text,label,domain\n1,涨,利好,forum\n2,告跌跌,利空,forum\n"


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(face, "load", lambda path, **_: fake_finsa())
    monkeypatch.chdir(tmp_path)
    Path("news.csv").write_text(NEWS, encoding="utf-8")
    Path("forum.csv").write_text(FORUM, encoding="utf-8")


def test_tables_json_and_page(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["news.csv", "forum.csv", "--json", "out.json", "--html", "out.html", "--samples", "2"]
    assert main(["evaluate", "model", *arguments]) == 0
    shown = capsys.readouterr()
    for part in (
        "routed",
        "fixed:news",
        "oracle",
        "80.00",
        "answered wrongly",
        "5 rows, 4 runs",
        "intervals draw 5 clusters of near",
    ):
        assert part in shown.out
    kept = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert (kept["n"], kept["refused"], kept["protocol"], kept["model"]) == (5, 0, "routed", "model")
    assert kept["runs"]["routed"]["all"]["accuracy"] == pytest.approx(4 / 5)
    assert kept["runs"]["routed"]["domains"]["news"]["accuracy"] == pytest.approx(2 / 3)
    assert kept["runs"]["routed"]["all"]["clusters"] == 5
    assert kept["routing"]["confusion"] == [[3, 0], [1, 1]]
    assert kept["routing"]["accuracy"] == pytest.approx(4 / 5)
    assert [len(kept[name]) for name in ("correct", "wrong")] == [2, 1]
    assert [Path(f["file"]).name for f in kept["files"]] == ["news.csv", "forum.csv"]
    page = Path("out.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "80.00" in page
    assert "<b>5</b><span>clusters of near texts</span>" in page
    assert kept["command"].startswith("finsa evaluate model news.csv forum.csv --json out.json")
    assert kept["command"] in page
    assert sorted(p.name for p in Path().iterdir()) == ["forum.csv", "news.csv", "out.html", "out.json"]


def test_a_domain_that_no_font_writes_is_remarked_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("finsa_moe.data.fonts.chinese_font", lambda: None)
    Path("board.csv").write_text(FORUM.replace("forum", "股吧"), encoding="utf-8")
    for file, told in (("forum.csv", False), ("board.csv", True)):
        assert main(["evaluate", "m", file, "--html", "out.html"]) == 0
        assert ("no font here writes Chinese" in capsys.readouterr().err) is told


def test_domain_of_rows_that_name_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain.csv").write_text("正文,情感\n涨,看多\n跌,负面\n", encoding="utf-8")
    assert main(["evaluate", "m", "plain.csv", "--json", "none.json"]) == 0
    assert json.loads(Path("none.json").read_text(encoding="utf-8"))["routing"] is None
    assert main(["evaluate", "m", "plain.csv", "--domain", "news", "--json", "given.json"]) == 0
    routing = json.loads(Path("given.json").read_text(encoding="utf-8"))["routing"]
    assert (routing["accuracy"], routing["confusion"]) == (0, [[0, 2]])


def test_columns_and_labels_by_option() -> None:
    Path("odd.csv").write_text("a,b,c,d\n1,涨,4,2024-01-01\n2,跌,3,2024-01-02\n", encoding="utf-8")
    options = ["--text", "b", "--label", "c", "--id", "a", "--date", "d", "--labels", "4=利好,3=利空"]
    assert main(["evaluate", "m", "odd.csv", *options, "--json", "out.json"]) == 0
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["runs"]["routed"]["all"]["accuracy"] == 1


def test_published_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    """The paper's tables stand on the screen, the page and in the JSON file; a domain's files are pooled, and told."""
    Path("late.csv").write_text("id,text,label,domain\n9,平,利好,forum\n", encoding="utf-8")
    arguments = ["news.csv", "forum.csv", "late.csv", "--protocol", "finsa", "--json", "out.json", "--html", "out.html"]
    assert main(["evaluate", "m", *arguments]) == 0
    shown, page = capsys.readouterr().out, Path("out.html").read_text(encoding="utf-8")
    kept = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert list(kept["runs"]) == ["given"]
    remark = "not to be ranked against the others"
    for words in (" ".join(shown.split()), page, kept["paper"]["remark"]):
        assert remark in words
    for words in (shown, page):
        assert words.count("FinSA-MoE †") == 2
        assert "forum: 3 rows of forum.csv, late.csv pooled, percent" in words
        assert "66.67" in words
    assert "<h2>The paper&#x27;s tables</h2>" in page
    forum = kept["paper"]["tables"]["forum"]
    assert forum["ours"]["given"]["accuracy"] == pytest.approx(2 / 3)
    assert forum["published"]["FinSA-MoE"]["accuracy"] == pytest.approx(0.9292)
    assert main(["evaluate", "m", "forum.csv", "--json", "plain.json", "--html", "plain.html"]) == 0
    assert "paper" not in json.loads(Path("plain.json").read_text(encoding="utf-8"))
    assert "FinSA-MoE †" not in Path("plain.html").read_text(encoding="utf-8")


def test_refused_rows_stop_the_evaluation_unless_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_text(FORUM + "3,涨,4,forum\n4,,利好,forum\n", encoding="utf-8")
    assert main(["evaluate", "m", "bad.csv"]) == 2
    error = capsys.readouterr().err
    assert "bad.csv, line 4: unknown label '4'" in error
    assert "(2 of 4 rows cannot be used)" in error
    assert main(["evaluate", "m", "bad.csv", "--allow-rejects", "--json", "out.json"]) == 0
    assert "2 rows left out" in capsys.readouterr().out
    kept = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert (kept["n"], kept["refused"]) == (2, 2)
    assert main(["evaluate", "m", "bad.csv", "--allow-rejects", "--html", "out.html"]) == 0
    assert "2 rows left out" in Path("out.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["empty.csv"], "the file is empty"),
        (["news.csv", "--label", "tag"], "no column 'tag'"),
        (["unlabelled.csv"], "no label column"),
        (["header.csv"], "header.csv: no row that can be used"),
        (["news.csv", "--domain", "weibo"], "'weibo' is not in this mixture"),
        (["news.csv", "--protocol", "paper"], "routed, finsa"),
        (["news.csv", "--json", "no/out.json"], "no folder no"),
        (["news.csv", "nodomain.csv"], "nodomain.csv, line 2: no domain, while other rows have one"),
        (["nodomain.csv", "--protocol", "finsa"], "--domain"),
        (["news.csv", "--labels", "1=x"], "'x' is no class"),
        (["prepared"], "name one split, e.g. prepared/test.csv"),
        (["finfe"], "finfe is a folder of splits, its training rows among them; name one split, e.g. finfe/eval.json"),
        (
            ["only"],
            "only is a folder of splits, its training rows among them; name the file of the rows that are meant",
        ),
        (["hub"], "; test lies in 2 shards: move them to a folder of their own, and name that"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.csv").touch()
    Path("header.csv").write_text("id,text,label\n", encoding="utf-8")
    Path("unlabelled.csv").write_text("id,text\n1,涨\n", encoding="utf-8")
    Path("nodomain.csv").write_text("id,text,label\n1,涨,利好\n", encoding="utf-8")
    shards = [f"hub/{split}-0000{at}-of-00002.csv" for split in ("train", "test") for at in (0, 1)]
    splits = ["prepared/train.csv", "prepared/test.csv", "finfe/train.json", "finfe/eval.json", "only/train.csv"]
    for name in (*splits, *shards):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(NEWS, encoding="utf-8")
    before = sorted(p.name for p in Path().iterdir())
    assert main(["evaluate", "m", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("finsa: ")
    assert says in error
    assert error.count("\n") == 1
    assert sorted(p.name for p in Path().iterdir()) == before


def test_help_needs_no_model_and_no_extra() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'polars', 'sklearn', 'matplotlib')));"
        "from finsa_moe.cli import main; sys.exit(main([sys.argv[1], '--help']))"
    )
    for verb in ("evaluate", "predict"):
        done = subprocess.run([sys.executable, "-c", code, verb], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "--domain" in done.stdout
