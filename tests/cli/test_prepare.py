"""`finsa prepare`, `finsa stats`, `finsa demo-data` as a user types them."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from finsa_moe.cli import options, prepare
from finsa_moe.data import samples
from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD
from finsa_moe.data.duplicates.held_out import HELD_OUT_THRESHOLD
from finsa_moe.errors import ConfigError, DataError, FinSAError

LABELS = ["利空", "中性", "利好"]
app = typer.Typer()
prepare.register(app)


def run(*arguments):
    """The result of one command; an error of the user is raised, as the program's own main() sees it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, FinSAError):
        raise result.exception
    return result


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(n, f"第{n}条", n % 3) for n in range(100)]
        csv.writer(file).writerows([("no", "headline", "mark"), *rows, (100, "新高", 7)])
    return path


def arguments(raw, out):
    return ["prepare", raw, "--domain", "news", "--out", out, "--text", "headline", "--label", "mark", "--id", "no"]


def test_prepare_says_what_it_did_and_where_the_rest_is(raw, tmp_path):
    out = tmp_path / "out"
    result = run(*arguments(raw, out), "--labels", "finsa", "--ratios", "80/10/10")
    assert result.exit_code == 0
    assert "rows in 101 = kept 100 + refused 1" in result.output
    assert str(out / "rejects.csv") in result.output.replace("\n", "")
    assert "unknown label '7'" in result.output
    with (out / "test.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 9  # a tenth of 34, 33 and 33, each rounded down


def test_a_domain_that_no_font_writes_is_remarked_on_and_rejects_open_in_excel(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("finsa_moe.data.fonts.chinese_font", lambda: None)
    out = tmp_path / "out"
    found = run(*arguments(raw, out)[:3], "研报", *arguments(raw, out)[4:], "--labels", "finsa", "--bom")
    assert "no font here writes Chinese" in found.stderr
    assert (out / "rejects.csv").read_bytes().startswith(b"\xef\xbb\xbffile,line")
    again = run(*arguments(raw, out), "--labels", "finsa")
    assert "no font" not in again.stderr
    assert (out / "rejects.csv").read_bytes().startswith(b"file,line")


def test_stats_counts_and_draws(raw, tmp_path):
    out = tmp_path / "out"
    run(*arguments(raw, out), "--labels", "finsa")
    result = run("stats", out, "--plot", tmp_path / "f.png")
    assert result.exit_code == 0
    counted = [line.split() for line in result.output.splitlines() if line.startswith("news/") and "(" in line]
    # 34, 33 and 33 rows a label: a hundredth of each is less than one row, and every label has one all the same.
    assert [(line[0], line[-1]) for line in counted] == [("news/train", "94"), ("news/valid", "3"), ("news/test", "3")]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    result = run("stats", out, "--csv", tmp_path / "f.csv", "--no-near")
    assert result.exit_code == 0
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        saved = {row["set"]: row for row in csv.DictReader(file)}
    with (out / "train.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert saved["news/train"]["total"] == "94" == str(len(texts))
    assert saved["news/train"]["longest"] == str(max(map(len, texts)))
    assert saved["news/train"]["near"] == ""


def test_errors_are_raised_for_main_to_print(raw, tmp_path):
    with pytest.raises(DataError, match="none of 101 rows can be used"):
        run(*arguments(raw, tmp_path / "out"))
    with pytest.raises(ConfigError, match="--ratios '98/2': write three numbers"):
        run(*arguments(raw, tmp_path / "out"), "--ratios", "98/2")
    with pytest.raises(DataError, match="no such file"):
        run("prepare", tmp_path / "none.csv", "--domain", "news", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"--csv .*f\.parquet: is written as CSV; call it .*f\.csv"):
        run("stats", tmp_path / "none", "--csv", tmp_path / "f.parquet")


def test_the_help_says_where_held_out_texts_are_compared():
    words = " ".join(run("prepare", "--help").output.replace("│", " ").split())
    assert f"Those of --hold-out are compared at {HELD_OUT_THRESHOLD}, whatever is said here." in words
    assert options.CLUSTER_THRESHOLD == CLUSTER_THRESHOLD


def test_demo_data(tmp_path, monkeypatch):
    own = tmp_path / "s.csv"
    own.write_text("id,text,label\n1,涨,利好\n", encoding="utf-8")
    monkeypatch.setattr(samples, "path", lambda domain: own)
    result = run("demo-data", "--out", tmp_path / "demo")
    assert result.output.split() == [str(tmp_path / "demo" / name) for name in ("news.csv", "forum.csv")]


def test_the_data_room_never_loads_torch(raw, tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import finsa_moe.data.samples\n"
        "from finsa_moe.data.text import normalise\n"
        "assert normalise('漲') == '涨'\n"
        "assert not {'torch', 'polars', 'transformers', 'sklearn'} & set(sys.modules), 'normalise loads too much'\n"
        "from finsa_moe.data.preparing.prepare import prepare\n"
        "from finsa_moe.polarity import LabelMap\n"
        f"prepare([Path({str(raw)!r})], domain='news', out=Path({str(tmp_path / 'out')!r}), labels=LabelMap.parse('finsa'),\n"
        "        columns=__import__('finsa_moe.data.reading.read', fromlist=['Columns']).Columns('headline', 'mark'))\n"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules), 'prepare loads too much'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_held_out_texts_under_the_name_given(raw, tmp_path):
    held = tmp_path / "held.csv"
    held.write_text("headline,content\n第7条,x\n", encoding="utf-8")
    run(*arguments(raw, tmp_path / "out"), "--labels", "finsa", "--by", "exact", "--hold-out", held)
    kept = "".join(
        (tmp_path / "out" / f"{name}.csv").read_text(encoding="utf-8-sig") for name in ("train", "valid", "test")
    )
    assert ",第8条," in kept
    assert ",第7条," not in kept


def test_a_hold_out_that_cannot_be_read_whole_is_no_hold_out(raw, tmp_path):
    held = tmp_path / "held.csv"
    held.write_text("id,text,label\n1,第7条,利好\n1,利好兑现,大跌,利空\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"held\.csv, line 3: 4 cells where the header has 3; quote texts that hold"):
        run(*arguments(raw, tmp_path / "out"), "--labels", "finsa", "--hold-out", held)
    assert not (tmp_path / "out").exists()


def test_stats_of_a_folder_of_other_make_is_one_error(tmp_path):
    (tmp_path / "train.csv").write_text("content,label\n涨,利好\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.csv: no column 'text'"):
        run("stats", tmp_path)
