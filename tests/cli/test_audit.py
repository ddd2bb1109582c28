"""``finsa audit`` as typed: names of splits, status, files written, mistakes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from finsa_moe.cli import main

ROWS = [
    ("一季度净利润同比增长三成", "利好"),
    ("公司被立案调查", "利空"),
    ("下周召开股东大会", "中性"),
    ("今天又跌停了", "利空"),
]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    train = write(tmp_path / "a.csv", ROWS)
    test = write(tmp_path / "b.csv", [ROWS[0], ("全新的一条公告内容", "利好"), ("另一条没见过的消息", "利空")])
    return [f"train={train}", f"test={test}"]


def test_it_prints_and_writes(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [tmp_path / name for name in ("a.json", "a.html", "a.png")]
    assert main(["audit", *files, "--json", str(out[0]), "--html", str(out[1]), "--plot", str(out[2])]) == 0
    shown = capsys.readouterr().out
    assert "1 (33.3 %)" in shown
    assert "look-up, leaked rows" in shown
    content = json.loads(out[0].read_text(encoding="utf-8"))
    assert [entry["rows"] for entry in content["shared"]] == [1, 1, 1]
    assert content["scores"][0]["lookup_leaked"]["accuracy"] == 1.0
    assert "一季度净利润" in out[1].read_text(encoding="utf-8")
    assert out[2].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "status"), [([], 0), (["--fail-on-leak"], 1), (["--fail-on-leak", "--allowed", "0.4"], 0)]
)
def test_the_status_is_for_schedulers(files: list[str], more: list[str], status: int) -> None:
    assert main(["audit", *files, "--no-scores", *more]) == status


def test_a_prepared_folder_is_its_splits_and_does_not_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"第{n}条各不相同的内容{n * 7919}", ("利好", "利空", "中性")[n % 3]) for n in range(60)]
    raw = write(tmp_path / "raw.csv", [*rows, *((text + "!", label) for text, label in rows)])
    assert main(["prepare", str(raw), "--domain", "forum", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["audit", str(tmp_path / "out"), "--no-scores", "--fail-on-leak"]) == 0
    assert "valid" in capsys.readouterr().out


def test_one_file_and_files_without_labels(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", files[0]]) == 0
    plain = tmp_path / "plain.txt"
    plain.write_text("涨了\n涨了!\n跌了\n", encoding="utf-8")
    assert main(["audit", str(plain), f"other={plain}", "--fail-on-leak"]) == 1
    captured = capsys.readouterr()
    assert "3 of 3 rows bear no label that is known; spell it by --labels" in captured.err
    assert "3 (100.0 %)" in captured.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{a}", "{a}"], "two splits are called 'a'; name them, as in train="),
        (["{a}", "none.csv"], "none.csv: no such file"),
        (["{a}", "--html", "nowhere/a.html"], "there is no folder nowhere"),
        (["{a}", "--threshold", "0"], "threshold 0: allowed is a similarity above 0"),
        (["{a}", "--text", "inhalt"], "no column 'inhalt'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.csv", ROWS)
    assert main(["audit", *(word.replace("{a}", str(path)) for word in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
