"""Publishing replaces both folders or neither, and the card says of what ships what its run has kept."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from finsa_moe import shipped

ROOT = Path(__file__).parents[1]
CARD = ROOT / "src" / "finsa_moe" / "assets" / "default" / "card.json"
TFIDF = ROOT / "docs" / "results" / "tfidf.json"


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, whose targets are folders here, and whose judges take the shipped card's word."""
    monkeypatch.syspath_prepend(str(ROOT / "runs"))
    monkeypatch.chdir(ROOT)
    script = importlib.import_module("publish")
    before = json.loads(CARD.read_text(encoding="utf-8"))

    def judged(name: str, *words: object) -> None:
        if name in ("dev", "examine"):
            part = before["dev" if name == "dev" else "examined"]
            Path(str(words[words.index("--json") + 1])).write_text(json.dumps(part), encoding="utf-8")

    for name in ("PACKAGE", "WEIGHTS"):
        target = tmp_path / "there" / name.lower()
        target.mkdir(parents=True)
        (target / "config.json").write_text("as it was", encoding="utf-8")
        monkeypatch.setattr(script, name, target)
    monkeypatch.setattr(script, "TFIDF", tmp_path / "there" / "tfidf.json")
    monkeypatch.setattr(script, "script", judged)
    monkeypatch.setattr(script, "agreement", lambda *_: {"texts": 20, "different": 1})
    data = tmp_path / "data"
    for name in script.FILES:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        with (data / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(["text", "label"])
    monkeypatch.setattr(sys, "argv", ["publish.py", str(tmp_path / "out"), str(data)])
    return script


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished run: new tables for what ships, as far as publishing looks at it."""
    folder = tmp_path / "out"
    shutil.copytree(shipped.model(), folder / "runtime")
    weights = shipped.weights("backbone").parent
    shutil.copy(weights / "novelty.safetensors", folder / "runtime")
    shutil.copytree(weights, folder / "moe")
    shutil.copy(CARD, folder / "before.json")
    shutil.copy(TFIDF, folder / "tfidf.json")
    return folder


def held(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def change(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    content = {key: part for key, part in (content | values).items() if part is not None}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.mark.parametrize("fault", ["before.json lacks a part", "a last pass twice", "a judge fails", "no data"])
def test_what_cannot_be_published_leaves_all_as_it_was(
    fault: str, publish: ModuleType, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "before.json lacks a part":
        change(out / "before.json", backbone=None)
    elif fault == "a last pass twice":
        (out / "last").mkdir()
    elif fault == "a judge fails":
        monkeypatch.setattr(publish, "agreement", lambda *_: sys.exit("no memory"))
    else:
        (tmp_path / "data" / "forum" / "dev.csv").unlink()
    before = held(tmp_path / "there")
    with pytest.raises(SystemExit):
        publish.main()
    assert held(tmp_path / "there") == before
    assert [file.name for file in (tmp_path / "there").iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_both_stand_again_where_the_swap_is_broken_off(
    at: int, done: bool, publish: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {target: tmp_path / f"new {target.name}" for target in (publish.PACKAGE, publish.WEIGHTS)}
    for folder in made.values():
        folder.mkdir()
        (folder / "config.json").write_text("new", encoding="utf-8")
    before, moved, rename = held(tmp_path / "there"), list[Path](), Path.replace

    def broken_off(folder: Path, target: Path) -> None:
        moved.append(folder)
        if len(moved) != at + 1 or done:
            rename(folder, target)
        if len(moved) == at + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", broken_off)
    with pytest.raises(KeyboardInterrupt):
        publish.replace(made)
    assert held(tmp_path / "there") == before


def test_a_run_takes_the_place_of_what_shipped(publish: ModuleType, out: Path, tmp_path: Path) -> None:
    publish.main()
    package, weights = tmp_path / "there" / "package", tmp_path / "there" / "weights"
    assert {file.name for file in package.iterdir()} == {file.name for file in shipped.model().iterdir()}
    backbone = json.loads((weights / "config.json").read_text(encoding="utf-8"))["backbone"]["name"]
    assert Path(backbone) == weights / "backbone"
    assert (tmp_path / "there" / "tfidf.json").read_bytes() == TFIDF.read_bytes()
    card = json.loads((package / "card.json").read_text(encoding="utf-8"))
    assert card["headlines_met"] == 992  # of the router, which the run took over
    page = (package / "README.md").read_text(encoding="utf-8")
    assert page == (weights / "README.md").read_text(encoding="utf-8")
    assert "20 dev texts the graphs answer 1 otherwise" in page


@pytest.mark.parametrize("same", [True, False])
def test_speed_of_other_graphs_is_said_to_be(
    same: bool, publish: ModuleType, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.measure import mark

    speed = tmp_path / "one_core.json"
    shutil.copy(ROOT / "benchmarks" / "results" / "one_core.json", speed)
    publish.graphs(out / "runtime", publish.PACKAGE, "int8")
    change(speed, model=mark(publish.PACKAGE) if same else "0123456789ab")
    monkeypatch.setattr(publish.card, "SPEED", speed)
    publish.main()
    page = (publish.PACKAGE / "README.md").read_text(encoding="utf-8")
    assert ("Measured with the graphs of an earlier state." in page) is not same


def test_a_router_that_met_no_headlines_is_not_said_to_have(publish: ModuleType, out: Path) -> None:
    (out / "seeds").mkdir()
    publish.main()
    assert "stood among the rows of joint training" not in (publish.PACKAGE / "README.md").read_text(encoding="utf-8")


def test_the_shipped_page_is_that_of_the_shipped_card(publish: ModuleType) -> None:
    card = json.loads(CARD.read_text(encoding="utf-8"))
    assert publish.card.text(card) == CARD.with_name("README.md").read_text(encoding="utf-8")
