"""The paper's commands reach the verbs that do the work, with its option names and defaults that need no edit."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import typer

from finsa_moe import paper
from finsa_moe.cli import app
from tests.documented import ROOT

Calls = list[list[str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    """What would have been run, in a folder where only the demo has left something."""
    made: Calls = []
    monkeypatch.setattr(paper, "finsa", lambda words: made.append(words) or 0)
    monkeypatch.chdir(tmp_path)
    for left in ("data/news", "backbone"):
        (tmp_path / "demo" / left).mkdir(parents=True)
    return made


def accepted(words: list[str]) -> None:
    """The verb exists and takes these options."""
    verb = typer.main.get_command(app).get_command(None, words[0])  # type: ignore[attr-defined, arg-type]
    verb.make_context(words[0], list(words[1:]))


SCRIPTS = {
    "scripts/train_news_expert.py": (
        [],
        ["train-expert", "news", "demo/data/news", "--out", "outputs/news_expert", "--backbone", "demo/backbone"],
    ),
    "scripts/train_forum_expert.py": (
        [],
        ["train-expert", "forum", "demo/data/forum", "--out", "outputs/forum_expert", "--backbone", "demo/backbone"],
    ),
    "scripts/merge_expert_lora.py": (
        [],
        ["merge", "--expert=news=outputs/news_expert", "--expert=forum=outputs/forum_expert", "--out"],
    ),
    "scripts/train_joint_moe.py": (
        [],
        ["train-joint", "outputs/moe_init", "--data=news=demo/data/news", "--data=forum=demo/data/forum", "--out"],
    ),
    "scripts/evaluate.py": (
        ["--model_path", "P", "--dataset_type", "news", "--data_path", "demo/data/news"],
        ["evaluate", "P", "demo/data/news/test.csv", "--domain", "news"],
    ),
    "src/inference.py": ([], ["predict", "--model", "demo/model/moe_joint"]),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_calls_its_verb(script: str, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    given, expected = SCRIPTS[script]
    monkeypatch.setattr(sys, "argv", [script, *given])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert stop.value.code == 0
    assert calls[0][: len(expected)] == expected
    accepted(calls[0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("train", ["train-expert", "forum", "demo/data/forum"]),
        ("test", ["evaluate", "P", "demo/data/forum/test.csv"]),
        ("inference", ["predict", "--model", "P", "--domain", "forum"]),
    ],
)
def test_main_has_three_modes(mode: str, expected: list[str], calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "demo" / "data" / "forum").mkdir()
    assert paper.run(["--mode", mode, "--data_type", "forum", "--model_path", "P"]) == 0
    assert calls[0][: len(expected)] == expected
    accepted(calls[0])


def test_the_users_own_data_comes_before_the_demos_and_gets_the_papers_values(calls: Calls, tmp_path: Path) -> None:
    paper.train_expert("news", [])
    (tmp_path / "data" / "processed" / "news").mkdir(parents=True)
    paper.train_expert("news", [])
    paper.train_expert("news", ["--config", "mine.yaml", "--set", "seed=21"])
    demo, own, chosen = calls
    assert demo[2] == "demo/data/news"
    assert demo[-2:] == ["--config", "laptop"]
    assert own[2] == "data/processed/news"
    assert own[-2:] == ["--config", "paper"]
    assert chosen[-4:] == ["--config", "mine.yaml", "--set", "seed=21"]


def test_the_users_own_backbone_comes_first_and_the_default_models_last(calls: Calls, tmp_path: Path) -> None:
    paper.train_expert("news", [])
    (tmp_path / "outputs" / "backbone").mkdir(parents=True)
    paper.train_expert("news", [])
    for left in ("outputs", "demo"):
        (tmp_path / left / "backbone").rmdir()
    paper.train_expert("news", [])
    demo, own, neither = calls
    assert demo[demo.index("--backbone") + 1] == "demo/backbone"
    assert own[own.index("--backbone") + 1] == "outputs/backbone"
    assert "--backbone" not in neither, "the verb takes the default model's"
    accepted(neither)


def test_requirements_name_the_torch_of_the_makefile() -> None:
    pinned = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch"))
    assert f"?= {pinned}" in (ROOT / "Makefile").read_text()


def test_inference_takes_no_file_by_the_name_of_the_training_data(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        paper.run(["--mode", "inference", "--data_path", "posts.csv"])
    assert "--data_path is for train and test; to answer a file, --input F --output G" in capsys.readouterr().err
    assert not calls
