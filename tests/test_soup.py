"""The mean of students (`runs/soup.py`): weights, and the heads of the tasks they share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from soup import soup

from finsa_moe.training.heads import read_heads


def student(folder: Path, value: float, tasks: dict[str, list[str]]) -> Path:
    """A folder as `finsa adapt` leaves it; every weight is `value`, every head's row `value` plus its number."""
    folder.mkdir()
    count = sum(map(len, tasks.values()))
    rows = value + torch.arange(float(count))
    save_file({"layer": torch.full((2, 2), value)}, folder / "model.safetensors")
    save_file({"weight": rows[:, None].repeat(1, 2), "bias": rows}, folder / "heads.safetensors")
    facts = {"tasks": {name: {"rows": 5, "names": names} for name, names in tasks.items()}}
    (folder / "adapt.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_student_named_twice_counts_twice_and_only_shared_tasks_stay(tmp_path: Path) -> None:
    one = student(tmp_path / "one", 0, {"extra": ["a"], "news": ["利空", "利好"], "events": ["x", "y"]})
    two = student(tmp_path / "two", 3, {"news": ["利空", "利好"], "events": ["y", "x"]})
    soup(tmp_path / "mean", [one, one, two])
    assert torch.equal(load_file(tmp_path / "mean" / "model.safetensors")["layer"], torch.ones(2, 2))
    heads = read_heads(tmp_path / "mean")
    assert list(heads) == ["news"]  # the classes of events stand in another order
    assert heads["news"].bias.tolist() == pytest.approx([(1 + 1 + 3) / 3, (2 + 2 + 4) / 3])
    assert len(json.loads((tmp_path / "mean" / "adapt.json").read_text())["mean_of"]) == 3


def test_students_of_no_common_task_have_no_mean(tmp_path: Path) -> None:
    one, two = student(tmp_path / "one", 0, {"news": ["a"]}), student(tmp_path / "two", 1, {"boards": ["a"]})
    with pytest.raises(SystemExit, match="they share no task"):
        soup(tmp_path / "mean", [one, two])
    assert not (tmp_path / "mean").exists()


def test_the_prompt_that_they_read_under_stays_and_unlike_ones_have_no_mean(tmp_path: Path) -> None:
    one, two = (student(tmp_path / name, 1, {"news": ["a"]}) for name in ("one", "two"))
    for folder, prompt in ((one, "neutral"), (two, "neutral")):
        facts = json.loads((folder / "adapt.json").read_text(encoding="utf-8")) | {"prompt": prompt}
        (folder / "adapt.json").write_text(json.dumps(facts), encoding="utf-8")
    soup(tmp_path / "mean", [one, two])
    assert json.loads((tmp_path / "mean" / "adapt.json").read_text(encoding="utf-8"))["prompt"] == "neutral"
    three = student(tmp_path / "three", 1, {"news": ["a"]})
    with pytest.raises(SystemExit, match="under unlike prompts: neutral, none"):
        soup(tmp_path / "none", [one, three])
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "three", "mean"}
