"""``finsa augment`` as typed, on prepared folders and against an endpoint on loopback that is killed half-way."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.samples import path as sample
from finsa_moe.llm.endpoint import KEY
from finsa_moe.polarity import NAMES
from tests.llm.server import Handler, says, serving, status


def load(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    assert main(["prepare", str(sample("forum")), "--domain", "forum", "--out", str(tmp_path / "p")]) == 0
    return tmp_path / "p"


def test_a_split_grows_and_prepares_again_without_a_leak(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "more.csv"
    assert main(["augment", str(prepared / "train.csv"), "--out", str(out), "--synonyms", "1"]) == 0
    assert "by synonyms" in capsys.readouterr().out
    before, after = load(prepared / "train.csv"), load(out)
    assert [row["text"] for row in after[: len(before)]] == [row["text"] for row in before]
    new = after[len(before) :]
    assert len(new) > len(before) / 4
    assert {row["source_id"] for row in new} <= {row["id"] for row in before}
    assert (
        main(["audit", str(out), str(prepared / "test.csv"), "--no-scores", "--threshold", "0.6", "--fail-on-leak"])
        == 0
    )
    assert main(["prepare", str(out), "--domain", "forum", "--out", str(tmp_path / "again"), "--by", "exact"]) == 0
    side = {row["id"]: name for name in ("train", "valid", "test") for row in load(tmp_path / "again" / f"{name}.csv")}
    assert all(
        side[row["id"]] == side[row["source_id"]] for row in new if row["id"] in side and row["source_id"] in side
    )


def test_a_split_that_prepare_made_is_taken_whatever_is_near_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts of a similarity from 0.6 to 0.7 may part; of those in training nothing is made, and the count is told."""
    chance = random.Random(13)
    letters = [chr(code) for code in range(0x4E00, 0x4F00)]
    one = ["股价下跌" + "".join(chance.choices(letters, k=26)) for _ in range(60)]
    texts = [text for head in one for text in (head, head + "".join(chance.choices(letters, k=15)))]
    raw = tmp_path / "raw.csv"
    with raw.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["id", "text", "label"], *([at, text, NAMES[at % 3]] for at, text in enumerate(texts))]
        )
    assert main(["prepare", str(raw), "--domain", "forum", "--out", str(tmp_path / "p")]) == 0
    judged = HeldOut([row["text"] for name in ("valid", "test") for row in load(tmp_path / "p" / f"{name}.csv")])
    train = load(tmp_path / "p" / "train.csv")
    near = [row["id"] for row in train if judged.match(row["text"])]
    assert near
    capsys.readouterr()
    out = tmp_path / "more.csv"
    assert main(["augment", str(tmp_path / "p" / "train.csv"), "--out", str(out), "--synonyms", "1"]) == 0
    told = f"{len(near):,} × its original is near to a held-out text (Jaccard 0.6 or more): finsa prepare parts texts from 0.7"
    assert told in capsys.readouterr().out
    rows = load(out)
    assert [row["id"] for row in rows[: len(train)]] == [row["id"] for row in train]
    assert {row["source_id"] for row in rows[len(train) :]} == {row["id"] for row in train} - {*near}


@pytest.mark.parametrize("split", ["valid", "test"])
def test_valid_and_test_are_refused(
    prepared: Path, split: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["augment", str(prepared / f"{split}.csv"), "--out", str(tmp_path / "x.csv")]) == 2
    assert "a split that models are judged by; augment" in capsys.readouterr().err
    copied = tmp_path / "innocent.csv"
    copied.write_bytes((prepared / f"{split}.csv").read_bytes())
    asked = ["augment", str(copied), "--out", str(tmp_path / "x.csv"), "--hold-out", str(prepared / f"{split}.csv")]
    assert main(asked) == 2
    assert "augment a training split alone" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()


def test_rewrites_with_a_bill(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "more.csv"
    turns = iter(range(10**6))
    with serving(status(500), says(lambda text: f"<think>…</think>改写:{text[::-1]}{next(turns)}")) as server:
        asked = ["augment", str(prepared / "train.csv"), "--out", str(out), "--synonyms", "0", "--copies", "1", "--endpoint",
                 f"{server.url}", "--api", "ollama", "--model-name", "m", "--prices", "1/2", "--only-new"]  # fmt: skip
        assert main(asked) == 0
        count = len(server.requests)
        assert main(asked) == 0
        assert len(server.requests) == count
    shown = capsys.readouterr().out
    rows = load(out)
    assert {row["made_by"] for row in rows} == {"rewrite"}
    assert all("think" not in row["text"] and not row["text"].startswith("改写") for row in rows)
    train = len(load(prepared / "train.csv"))
    assert f"asked {train:,}, remembered 0, given up 0; tokens {7 * train:,} in, {3 * train:,} out, cost " in shown
    assert f"asked 0, remembered {train:,}" in shown


def test_killed_half_way_nothing_is_asked_twice(prepared: Path, tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, object]) -> None:
        time.sleep(0.01)
        says(lambda text: "新的说法" + text[::-1])(handler, body)

    out = tmp_path / "more.csv"
    with serving(behave) as server:
        command = [sys.executable, "-m", "finsa_moe", "augment", str(prepared / "train.csv"), "--out", str(out), "--synonyms", "0",
                   "--copies", "1", "--endpoint", server.url, "--model-name", "m"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(server.requests) < 40 and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists()
        kept = out.with_suffix(".answers.jsonl").read_text(encoding="utf-8").count("\n")
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, KEY: "second"})
        again = sum(headers.get("Authorization") == "Bearer second" for _, _, headers in server.requests)
        assert again == len(load(prepared / "train.csv")) - kept
        assert len(server.requests) - again - kept <= 8  # those under way
    assert len(load(out)) > len(load(prepared / "train.csv"))
    assert json.loads(out.with_suffix(".answers.jsonl").read_text(encoding="utf-8").splitlines()[0])["text"]


@pytest.mark.parametrize(
    ("arguments", "says_why"),
    [
        (["--endpoint", "localhost:1", "--model-name", "m"], "allowed is an address"),
        (["--endpoint", "http://a"], "no model named"),
        (["--endpoint", "http://a", "--model-name", "m", "--api", "grpc"], "allowed are openai, ollama"),
        (["--synonyms", "2"], "synonyms 2: allowed is a share"),
        (["--endpoint", "http://a", "--model-name", "m", "--prices", "free"], "--prices 'free': write two numbers"),
        (["--check", "default", "--prices", "1/2"], "--prices, --check: only for a model that rewrites; name one"),
        (["--text", "inhalt"], "no column 'inhalt'"),
        (["--out", "x.parquet"], "--out x.parquet: is written as CSV; call it x.csv"),
        (["--out", "x.jsonl"], "--out x.jsonl: is written as CSV; call it x.csv"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    says_why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["augment", str(sample("forum")), "--out", "x.csv", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert says_why in error
    assert "\n" not in error
    assert not list(tmp_path.iterdir())


def test_rows_that_cannot_be_used_are_told_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And where none is left, nothing is written: an empty training set would be found out in training alone."""
    source, out = tmp_path / "t.csv", tmp_path / "x.csv"
    source.write_text("text,label\n股价大涨,1\n股价大跌,0\n", encoding="utf-8")
    asked = ["augment", str(source), "--out", str(out), "--synonyms", "1"]
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert "t.csv, line 2: unknown label '1'" in error
    assert "--labels" in error
    assert error.count("\n") == 1
    assert not out.exists()
    source.write_text("text,label\n股价大涨,利好\n股价大跌,0\n", encoding="utf-8")
    assert main(asked) == 0
    assert "1 rows cannot be used and are left out: " in (told := capsys.readouterr().err)
    assert "t.csv, line 3: unknown label '0'" in told
    assert len(load(out)) >= 1


def test_held_out_texts_under_the_name_given(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a split, and by --hold-out: under the split's own name or the usual one."""
    own = tmp_path / "own"
    own.mkdir()
    for name in ("train", "valid"):
        rows = load(prepared / f"{name}.csv")
        with (own / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [["headline", "label", "content"], *([r["text"], r["label"], "x"] for r in rows)]
            )
    asked = [
        "augment",
        str(own / "train.csv"),
        "--out",
        str(tmp_path / "x.csv"),
        "--text",
        "headline",
        "--synonyms",
        "1",
    ]
    assert main([*asked, "--hold-out", str(prepared / "test.csv")]) == 0
    (own / "valid.csv").write_bytes((own / "train.csv").read_bytes())
    assert main(asked) == 2
    assert "augment a training split alone" in capsys.readouterr().err


def test_rejects_are_not_lost_by_being_augmented(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "more.rejects.csv"
    source.write_bytes((prepared / "train.csv").read_bytes())
    assert main(["augment", str(source), "--out", str(tmp_path / "more.csv"), "--synonyms", "1"]) == 2
    assert f"--out's rejects {source}: is a file that is read here" in capsys.readouterr().err
    assert source.read_bytes() == (prepared / "train.csv").read_bytes()
