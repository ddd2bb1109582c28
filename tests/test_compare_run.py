"""The run of the whole comparison, `finsa` put aside: what it splits, learns from, chooses by and judges by."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "runs" / "compare.sh"
# Notes its arguments, and leaves the one file that says a folder is prepared. Two of them run at once: a line is one write.
NOTE = f"""#!{sys.executable} -IS
import pathlib, shlex, sys
with open("finsa.log", "a", encoding="utf-8") as log:
    log.write(shlex.join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "prepare":
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True)
    (out / "report.json").touch()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of the script and what it sources, with data beside it."""
    for folder in ("runs", ".venv/bin", "data/news", "data/forum"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("compare.sh", "stages.sh", "made_of.py"):
        shutil.copy(SCRIPT.with_name(name), tmp_path / "runs")
    finsa = tmp_path / ".venv/bin/finsa"
    finsa.write_text(NOTE, encoding="utf-8")
    finsa.chmod(0o755)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    (tmp_path / ".venv/bin/python").chmod(0o755)
    for name in ("news/train", "news/dev", "forum/dev", "forum/dev_investors"):
        (tmp_path / "data" / f"{name}.csv").touch()
    return tmp_path


def started(place: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "runs/compare.sh", "data", "out"], cwd=place, capture_output=True, text=True, check=check, timeout=300
    )


def run(place: Path) -> tuple[list[list[str]], str]:
    """Calls of ``finsa`` and what was printed."""
    (place / "finsa.log").unlink(missing_ok=True)
    done = started(place)
    return [shlex.split(line) for line in (place / "finsa.log").read_text(encoding="utf-8").splitlines()], done.stdout


def given(call: list[str], option: str) -> list[str]:
    return [call[at + 1] for at, word in enumerate(call) if word == option]


def test_settings_are_chosen_on_rows_set_aside(place: Path) -> None:
    calls, said = run(place)
    splits, contests = calls[:2], calls[2:]
    assert [call[0] for call in calls] == ["prepare", "prepare", *["compare"] * 4]
    for call in splits:
        assert given(call, "--ratios") == ["95/5/0"]
        assert sorted(given(call, "--hold-out")) == [
            "data/forum/dev.csv", "data/forum/dev_investors.csv", "data/news/dev.csv",
        ]  # fmt: skip
    for call in contests:
        for option, part in (("--train", "train"), ("--dev", "valid")):
            assert given(call, option) == [f"{name}=out/rows/{name}/{part}.csv" for name in ("news", "forum")]
        assert all("/dev" in test for test in given(call, "--test"))
    assert re.fullmatch(r"whole run: \d+ h \d\d min \d\d s of wall time; .*", said.splitlines()[-1])


def test_what_is_split_is_not_split_again(place: Path) -> None:
    run(place)
    assert [call[0] for call in run(place)[0]] == ["compare"] * 4


def test_rows_of_another_file_end_the_run(place: Path) -> None:
    run(place)
    (place / "data/news/train.csv").write_text("id,text,label\n1,跌,利空\n", encoding="utf-8")
    done = started(place, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("out/rows/news: was made of train.csv ")
    assert done.stderr.count("\n") == 1
    (place / "out/rows/news.made_of").unlink()  # as of rows that were prepared before such notes were kept
    started(place)


def test_curves_are_of_what_has_run(place: Path) -> None:
    """Their report has a folder of its own; the models trained on all rows are the other report's."""
    curves = [call for call in run(place)[0] if "--curves" in call]
    assert [given(call, "--out") for call in curves] == [["out/curves"]]
    (place / "out/cells").mkdir()
    assert (place / "out/curves/cells").samefile(place / "out/cells")


def test_the_report_of_the_sample_needs_what_the_demo_makes(place: Path) -> None:
    shutil.copy(SCRIPT.with_name("sample_report.sh"), place / "runs")
    ask = ["bash", "runs/sample_report.sh", "out"]
    refused = subprocess.run(ask, cwd=place, capture_output=True, text=True, check=False, timeout=300)
    assert refused.returncode == 2
    assert refused.stderr == "runs/sample_report.sh: demo/model/moe_joint: no such folder; run: make demo\n"
    (place / "demo/model/moe_joint").mkdir(parents=True)
    subprocess.run(ask, cwd=place, check=True, timeout=300)
    (call,) = [shlex.split(line) for line in (place / "finsa.log").read_text(encoding="utf-8").splitlines()]
    assert {"--curves", "--matrix"} <= set(call)
    assert given(call, "--test") == [f"{name}=demo/data/{name}/test.csv" for name in ("news", "forum")]
    assert given(call, "--out") == ["out"]
