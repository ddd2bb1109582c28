"""``finsa drift`` as typed: tables, files, the status for a scheduler, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finsa_moe import face
from finsa_moe.cli import main
from tests.fakes import StateEngine, fake_finsa

pytest.importorskip("rjieba")


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "load", lambda path=None, **settings: fake_finsa(StateEngine()))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Before: half news, all kinds of mood. Now: posts that fall."""
    old = [f"{'公告' if n % 2 else ''}{'涨跌等'[n % 3]}第{n}条" for n in range(150)]
    new = [f"跌跌不休新能源第{n}条" for n in range(150)]
    for name, texts in (("old", old), ("new", new)):
        (tmp_path / f"{name}.csv").write_text("text\n" + "\n".join(texts) + "\n", encoding="utf-8")
    return [str(tmp_path / "old.csv"), str(tmp_path / "new.csv")]


def test_it_prints_and_writes(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = [tmp_path / "d.json", tmp_path / "d.png"]
    assert main(["drift", *files, "--json", str(saved[0]), "--plot", str(saved[1])]) == 0
    shown = capsys.readouterr()
    assert next(line for line in shown.out.splitlines() if "routing news" in line).split()[2:5] == [
        "50.0",
        "0.0",
        "-50.0",
    ]
    assert "drift: routing news 50.0 % → 0.0 %" in shown.err
    entry = json.loads(saved[0].read_text(encoding="utf-8"))
    assert entry["drift"] is True
    assert entry["old_rows"] == entry["new_texts"] == 150
    assert "新能源" in {word["word"] for word in entry["words"]}
    assert "公告" in {word["word"] for word in entry["words"] if word["log_odds"] < 0}
    assert saved[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([], 0),
        (["--fail-on-drift"], 1),
        (["--fail-on-drift", "--max-routing", "0.7", "--max-sentiment", "0.9", "--max-novel", "1"], 0),
    ],
)
def test_the_status_is_for_schedulers(files: list[str], more: list[str], status: int) -> None:
    assert main(["drift", *files, *more, "--draws", "100"]) == status


def test_a_file_has_not_drifted_from_itself(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", files[0], files[0], "--fail-on-drift", "--draws", "100"]) == 0
    shown = capsys.readouterr()
    assert "no word surely shifted" in shown.out
    assert shown.err == ""


def test_a_small_file_is_told(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "few.csv"
    few.write_text("text\n涨\n跌\n \n", encoding="utf-8")
    assert main(["drift", files[0], str(few), "--draws", "100"]) == 0
    told = capsys.readouterr().err
    assert "few.csv: only 2 distinct texts" in told
    assert "few.csv: 1 of 3 rows are broken or have no text" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{old}", "none.csv"], "none.csv: no such file"),
        (["{old}", "{new}", "--plot", "d.svg"], "call it d.png"),
        (["{old}", "{new}", "--json", "nowhere/d.json"], "there is no folder nowhere"),
        (["{old}", "{new}", "--text", "inhalt"], "no column 'inhalt'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", *(word.replace("{old}", files[0]).replace("{new}", files[1]) for word in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
