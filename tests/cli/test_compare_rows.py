"""The rows of a comparison: columns under any name, and rows to choose by that choose and do nothing else."""

from __future__ import annotations

import csv
import json
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from finsa_moe.cli import main
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.text import normalise
from finsa_moe.judging.rows import judged_sets, labelled
from finsa_moe.polarity import NAMES, LabelMap
from tests.families import made_rows

Rows = list[tuple[str, int]]


def write(path: Path, head: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_columns_by_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {}
    for name, seed in (("train", 1), ("dev", 2), ("test", 3)):
        rows = [
            [n, "快讯", text, f"c{label}", "2026-08-01"] for n, (text, label) in enumerate(made_rows("news", 60, seed))
        ]
        files[name] = write(tmp_path / f"{name}.csv", ["no", "kind", "said", "mood", "when"], rows)
    out = tmp_path / "out"
    asked = [
        "compare", "--model", "majority", "--out", str(out), "--seeds", "1", "--examples", "1",
        "--train", f"news={files['train']}", "--dev", f"news={files['dev']}", "--test", f"news={files['test']}",
    ]  # fmt: skip
    spelt = [
        "--text", "kind+said", "--label", "mood", "--id", "no", "--date", "when", "--labels", "c0=利空,c1=中性,c2=利好",
    ]  # fmt: skip
    assert main([*asked, *spelt]) == 0
    found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert found["wrong"][0]["text"].startswith("快讯 ")
    assert found["entries"]["majority"]["news"]["scores"]["accuracy"] == pytest.approx(1 / 3)
    assert shlex.split(found["command"])[-len(spelt) :] == spelt
    capsys.readouterr()

    assert main(asked) == 2, "no usual name is there"
    assert "no text column" in capsys.readouterr().err
    assert main([*asked, *spelt[:-2], "--labels", "c0=利空,c1=中性"]) == 2
    assert "train.csv, line " in capsys.readouterr().err
    assert main([*asked, *spelt[2:], "--text", "body"]) == 2
    assert "no column 'body'" in capsys.readouterr().err


def noisy(count: int, seed: int) -> Rows:
    """Eight characters, some of the class's five; a third of the labels are wrong, so that a small C does better."""
    rng, words = random.Random(seed), ("跌亏减损忧", "平公告会议", "涨升增盈喜")
    rows = []
    for _ in range(count):
        label = rng.randrange(3)
        text = "".join(rng.choice(words[label] if rng.random() < 0.4 else "".join(words)) for _ in range(8))
        rows.append((normalise(text), rng.randrange(3) if rng.random() < 0.3 else label))
    return rows


def test_the_rows_to_choose_by_choose_the_best_of_the_grid(tmp_path: Path) -> None:
    """Against scikit-learn's own pipeline, trained on the training rows alone at every C of the grid."""
    parts = {"train": noisy(400, 1), "dev": noisy(200, 2), "test": noisy(60, 3)}
    place = {
        name: write(tmp_path / f"{name}.csv", ["text", "label"], [[text, NAMES[label]] for text, label in rows])
        for name, rows in parts.items()
    }
    answers, reached = {}, {}
    for c in (1.0, 4.0, 16.0):
        theirs = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True, dtype=np.float32),
            LogisticRegression(C=c, max_iter=1000),
        )
        theirs.fit(*zip(*parts["train"], strict=True))
        texts, truth = zip(*parts["dev"], strict=True)
        reached[c] = f1_score(truth, theirs.predict(texts), average="macro")
        answers[c] = theirs.predict_proba([text for text, _ in parts["test"]])
    best = max(reached, key=reached.__getitem__)
    assert best != 4.0, "the C taken without rows to choose by"
    asked = [
        "compare", "--model", "tfidf-lr", "--seeds", "1", "--examples", "0", "--train", f"news={place['train']}",
        "--test", f"news={place['test']}",
    ]  # fmt: skip

    def answered(out: str, *more: str) -> np.ndarray:
        assert main([*asked, "--out", str(tmp_path / out), *more]) == 0
        (cell,) = (tmp_path / out / "cells").iterdir()
        return np.load(cell)["probs/news"]

    np.testing.assert_allclose(answered("chosen", "--dev", f"news={place['dev']}"), answers[best], atol=1e-4)
    np.testing.assert_allclose(answered("plain"), answers[4.0], atol=1e-4)


def test_rows_that_settings_are_chosen_by_and_that_are_judged_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"第{at}条{word}的消息,{label}" for at in range(30) for word, label in (("大涨", "利好"), ("大跌", "利空"))]
    files = {"train": rows[:40], "dev": rows[40:50], "test": rows[45:]}
    for name, part in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *part, ""]), encoding="utf-8")
    words = ["compare", "--model", "majority", "--out", str(tmp_path / "out")]
    words += [word for name in files for word in (f"--{name}", f"news[b]={tmp_path / name}.csv")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "news[b]\n" in said.out.replace(" ", "").replace("┃", "\n"), "a name is no markup"
    told = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(told) == 1
    line = told[0].removeprefix("warning: ")
    assert re.fullmatch(r"news\[b\]: \d+ of 15 texts stand in the --dev rows, .* settings were chosen by them\.", line)
    for ending in ("html", "md"):
        assert line in (tmp_path / "out" / f"comparison.{ending}").read_text(encoding="utf-8")
    kept = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))["sets"]["news[b]"]
    assert kept["chosen_by"] == int(line.split()[1])


def test_what_leaks_of_a_set_does_not_hang_on_the_others(tmp_path: Path) -> None:
    """Each text is near to the next, the last not to the first: only through another set's texts would it leak."""
    rng = random.Random(3)

    def words(count: int) -> str:
        return "".join(map(chr, rng.choices(range(0x4E00, 0x9FA5), k=count)))

    chain = [words(120)]
    for at in range(0, 96, 16):
        chain.append(chain[-1][:at] + words(12) + chain[-1][at + 12 :])
    files = {"train": chain[:1], "a": chain[6:], "b": chain[1:6]}
    for name, texts in files.items():
        write(tmp_path / f"{name}.csv", ["text", "label"], [[text, "利好"] for text in texts])
    train = labelled({"news": tmp_path / "train.csv"}, Columns(), LabelMap())
    asked = {f"news/{name}": tmp_path / f"{name}.csv" for name in ("a", "b")}
    (alone,) = judged_sets({"news/a": asked["news/a"]}, train, None, Columns(), LabelMap())
    beside, others = judged_sets(asked, train, None, Columns(), LabelMap())
    assert alone.leaked.tolist() == beside.leaked.tolist() == [False]
    assert others.leaked.all()
    assert set(beside.clusters.tolist()) == set(others.clusters.tolist()), "drawn together all the same"
