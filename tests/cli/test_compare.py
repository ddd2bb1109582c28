from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finsa_moe import __version__
from finsa_moe.cli import main
from finsa_moe.polarity import NAMES
from tests.conftest import Trained
from tests.families import made_rows


def write(path: Path, rows: list[tuple[str, int]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, NAMES[label]] for text, label in rows)
    return path


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Two domains; five of the posts to judge by stand in the training file."""
    posts = made_rows("forum", 90, seed=1)
    files = {
        "news.train": made_rows("news", 90, seed=1), "forum.train": posts,
        "news.test": made_rows("news", 60, seed=2), "forum.test": [*made_rows("forum", 70, seed=3), *posts[:5]],
    }  # fmt: skip
    place = {name: write(tmp_path / f"{name}.csv", rows) for name, rows in files.items()}
    return [
        "compare", "--train", f"news={place['news.train']}", "--train", f"forum={place['forum.train']}",
        "--test", f"news={place['news.test']}", "--test", f"forum/late={place['forum.test']}",
        "--out", str(tmp_path / "out"), "--seeds", "1,2",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_comparison_from_start_to_report(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["finsa", "finsa?run=oracle", "majority", "lexicon", "tfidf-lr", "tfidf-svm?per=domain"]
    asked = [part for model in models for part in ("--model", model)]
    options = ["--curves", "--matrix", "--examples", "2"]
    assert main([*words, *asked, "--reference", "tfidf-lr", *options]) == 0
    said = capsys.readouterr()
    found = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert found["models"] == [*models, "finsa?run=news", "finsa?run=forum"]
    assert list(found["matrices"]["finsa"]) == ["news", "forum", "routed", "oracle"]
    assert sum(found["entries"]["finsa"]["news"]["sent"].values()) == 60
    assert [e["set"] for e in found["wrong"]] == ["news"] * 2 + ["forum/late"] * 2
    for example in found["wrong"]:
        led = sum(word[{"利空": "bearish", "中性": "neutral", "利好": "bullish"}[example["answer"]]]
                  for word in example["explanation"]["words"])  # fmt: skip
        why = example["explanation"]
        told = {"利空": "bearish", "中性": "neutral", "利好": "bullish"}[example["answer"]]
        assert led == pytest.approx(why["scores"][told] - why["base"][told], abs=1e-4)
        assert example["answer"] != example["truth"]
    assert "explaining 4 wrong answers of finsa" in said.err
    assert found["sets"]["forum/late"]["leaked"] >= 5
    assert found["entries"]["finsa"]["news"]["routing"] is not None
    assert found["entries"]["finsa?run=oracle"]["news"]["routing"] is None
    assert found["entries"]["tfidf-lr"]["forum/late"]["clean"] is not None
    assert set(found["curves"]) == {"majority", "lexicon", "tfidf-lr", "tfidf-svm?per=domain"}
    assert set(found["curves"]["tfidf-lr"]["news"]) == {"0.05", "0.1", "0.25", "0.5", "1"}
    assert re.search(r"forum/late: \d+ of 75 texts stand in the training rows", said.out)
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    for heading in (
        "Summary",
        "Scores",
        "The method&#x27;s metrics",
        "Differences",
        "Learning curves",
        "Experts across domains: finsa",
        "Data and leaks",
        "Routing",
        "Wrong answers",
        "How to reproduce",
    ):
        assert f"<h2>{heading}</h2>" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    table = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    ranked = [model for model in models if model not in ("finsa?run=oracle", "tfidf-svm?per=domain")]
    assert found["ranked"] == ranked
    best = 100 * max(found["entries"][model]["news"]["macro_f1"]["value"] for model in ranked)
    assert f"**{best:.1f}" in table

    assert "--examples 2 --curves --matrix" in found["command"]

    quiet = ["--curves", "--matrix", "--examples", "0", "--protocol", "finsa"]
    assert main([*words, *asked, "--reference", "majority", *quiet]) == 0
    again = capsys.readouterr()
    page, table, kept = (
        (tmp_path / "out" / f"comparison.{ending}").read_text(encoding="utf-8") for ending in ("html", "md", "json")
    )
    for told in (again.out, page, table):
        assert told.count("FinSA-MoE †") == 2
        assert "75 rows of forum/late, percent" in told
        assert "as published, on the paper" in told
    paper = json.loads(kept)["paper"]["tables"]
    assert set(paper["forum"]["ours"]) == set(found["models"])
    macro = found["entries"]["finsa"]["forum/late"]["macro_f1"]["value"]
    assert paper["forum"]["ours"]["finsa"]["macro-F1"] == pytest.approx(macro)
    assert paper["forum"]["published"]["FinSA-MoE"]["macro-F1"] == pytest.approx(0.8868)
    assert again.err.count(", kept") == len(again.err.splitlines()) == len(said.err.splitlines()) - 1
    texts = [example["text"] for example in found["wrong"]]
    for name in ("comparison.html", "comparison.md", "comparison.json"):
        shown = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert not [text for text in texts if text in shown], "a report without examples shows no text"


def test_without_shap_the_errors_stand_without_reasons(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    assert main([*words, "--model", "majority", "--model", "ours=finsa", "--examples", "1"]) == 0
    found = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [(e["set"], e["explanation"]) for e in found["wrong"]] == [("news", None), ("forum/late", None)]
    assert found["finsa_moe"] == __version__
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "Of ours. Without reasons: explaining an answer needs shap, which is not installed: pip install" in page
    for example in found["wrong"]:
        assert example["text"] in page


def test_a_model_goes_by_the_name_it_was_given(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["--model", "lexicon", "--model", "tfidf-lr?per=domain", "--examples", "0"]
    assert main([*words, *plain, "--reference", "tfidf-lr?per=domain"]) == 0
    before = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    named = ["--model", "lexicon", "--model", "words alone=tfidf-lr?per=domain", "--examples", "0"]
    (tmp_path / "out" / "cells").chmod(0o500)  # nothing has to be run again
    assert main([*words, *named, "--reference", "words alone"]) == 0
    (tmp_path / "out" / "cells").chmod(0o700)
    after = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert after["names"] == {"tfidf-lr?per=domain": "words alone"}
    assert (after["entries"], after["reference"]) == (before["entries"], "tfidf-lr?per=domain")
    assert "words alone" in capsys.readouterr().out
    tables = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8").partition("```sh")[0]
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8").rpartition("How to reproduce")[0]
    for shown in (tables, page):
        assert shown.count("tfidf-lr?per=domain") == 1  # where the name is told
        assert shown.count("words alone") > 5


def test_mistakes_end_in_one_line(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name in ("train.csv", "test.csv"):
        (folder / name).write_text("text,label\n涨,利好\n", encoding="utf-8")
    broken = tmp_path / "broken.csv"
    broken.write_text("text,label\n涨,9\n", encoding="utf-8")
    for more, expected in (
        (["--model", "tfidf"], "unknown name 'tfidf'"),
        (["--model", "majority", "--reference", "lexicon"], "is none of the models compared: majority"),
        (["--model", "majority", "--model", "majority"], "given twice"),
        (["--model", "lexicon", "--model", "lexicon=majority"], "lexicon is how another model is written"),
        (["--model", "a=lexicon", "--model", "a=majority"], "a is another model already"),
        (["--model", "ours="], "write NAME=SPEC"),
        (["--model", "majority", "--seeds", "7,8,7"], "--seeds 7,8,7: 7 stands twice"),
        (["--model", "majority", "--out", str(broken)], f"--out {broken}: cannot be made"),
        (["--model", "finsa?per=domain"], "there is no per=domain"),
        (["--model", "majority", "--seeds", "one"], "'one' is no whole number"),
        (["--model", "majority", "--seeds", "5000000000"], "'5000000000' is no whole number under 2^32"),
        (["--model", "majority", "--test", f"x={folder}"], f"name one split, e.g. {folder / 'test.csv'}"),
        (["--model", "majority", "--test", "x"], "for example --test news=work/news/test.csv"),
        (["--model", "finsa?run=sports"], "run 'sports' is none of routed, oracle, "),
        (["--model", "majority", "--test", f"x={broken}"], "line 2"),
        (["--model", "majority", "--matrix"], "--matrix: no mixture among the models (majority)"),
        (["--model", f"finsa:{tmp_path}", "--matrix"], "holds no mixture"),
        *(
            (["--model", "majority", "--model", f"{kind}:{tmp_path / 'none'}"], line)
            for kind, line in (
                ("finetune", "no such folder"),
                ("lora", "no such folder"),
                ("hf", "no such folder"),
                ("finsa", "does not exist"),
            )
        ),
        (["--model", "majority", "--model", f"finsa:{tmp_path}"], "holds no model"),
        (["--model", "majority", "--model", f"hf:{tmp_path}"], "no classifier can be loaded"),
        (["--model", "majority", "--model", f"lora:{tmp_path}"], "cannot be loaded"),
        (["--model", "majority", "--model", "lora?learning_rat=3"], "unknown key 'learning_rat'"),
        (["--model", "finsa?run=oracle", "--test", f"sports={tmp_path / 'news.test.csv'}"], "no expert for sports"),
    ):
        assert main([*words, *more]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("finsa: ")
        assert expected in lines[-1], lines[-1]
        assert "Traceback" not in "".join(lines)
        assert not list(tmp_path.glob("out/cells/*")), "nothing is trained before a mistake is told"


def test_a_soft_gate_is_another_model(trained: Callable[[str], Trained], words: list[str], tmp_path: Path) -> None:
    folder = trained("bert").joint
    models = [f"finsa:{folder}?gate={gate}" for gate in ("hard", "soft")] + [f"finsa:{folder}"]
    assert main([*words, *(part for model in models for part in ("--model", model))]) == 0
    cells = [np.load(path) for path in sorted((tmp_path / "out" / "cells").iterdir())]
    by_model = {json.loads(str(cell["facts"]))["fingerprint"]: cell["probs/news"] for cell in cells}
    assert len(by_model) == 3
    one, two, three = by_model.values()
    same = [np.array_equal(a, b) for a, b in ((one, two), (one, three), (two, three))]
    assert sorted(same) == [False, False, True]  # hard is what the mixture was saved with
