"""Heads that `finsa adapt` left: read, averaged in the polarities' order, and an expert that starts from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from finsa_moe.cli import app
from finsa_moe.errors import ModelError
from finsa_moe.training.heads import mean_head, read_heads, start_heads
from tests.training.test_adapt import QUICK as ADAPT

pytestmark = pytest.mark.usefixtures("one_thread")
EXPERT = (
    "max_steps=1", "warmup_steps=0", "learning_rate=1e-9", "batch_size=4", "trackers=none", "bf16=false", "max_length=64",
)  # fmt: skip


def folder(path: Path) -> Path:
    """Three heads over states of two numbers, their classes in unlike orders."""
    path.mkdir()
    names = {"news": ["中性", "利好", "利空"], "taught": ["bearish", "neutral", "bullish"], "events": ["并购", "停牌"]}
    tasks = {name: {"rows": 1, "names": classes} for name, classes in names.items()}
    (path / "adapt.json").write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    weight = torch.arange(16.0).reshape(8, 2)
    save_file({"weight": weight, "bias": torch.arange(8.0)}, path / "heads.safetensors")
    return path


def test_the_mean_of_heads_is_in_the_polarities_order(tmp_path: Path) -> None:
    """news: 利空 is row 2 (4, 5), 中性 row 0 (0, 1), 利好 row 1 (2, 3); taught: rows 3 to 5 as they stand."""
    place = folder(tmp_path / "student")
    assert {name: head.names for name, head in read_heads(place).items()}["events"] == ("并购", "停牌")
    alone = mean_head(place, ["news"])
    assert alone["weight"].tolist() == [[4, 5], [0, 1], [2, 3]]
    assert alone["bias"].tolist() == [2, 0, 1]
    both = mean_head(place, ["news", "taught"])
    assert both["weight"].tolist() == [[5, 6], [4, 5], [6, 7]]
    assert both["bias"].tolist() == [2.5, 2, 3]


def test_what_cannot_be_a_start_is_told(tmp_path: Path) -> None:
    place = folder(tmp_path / "student")
    with pytest.raises(
        ModelError, match="head 'events': its classes are not the three polarities; allowed are news, taught"
    ):
        mean_head(place, ["news", "events"])
    with pytest.raises(ModelError, match="head 'boards': the backbone was not trained on it"):
        mean_head(place, ["boards"])
    with pytest.raises(ModelError, match=r"no heads\.safetensors; name a folder that finsa adapt finished"):
        mean_head(tmp_path, ["news"])
    save_file({"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, place / "heads.safetensors")
    with pytest.raises(ModelError, match=r"adapt\.json and heads\.safetensors do not fit each other"):
        read_heads(place)


def test_a_task_begins_where_its_head_of_before_stands(tmp_path: Path) -> None:
    """Known by name and classes, whatever their order; of another set of classes, or new, it begins as it was made."""
    place, head = folder(tmp_path / "student"), torch.nn.Linear(2, 11)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    tasks = {
        "boards": ["利空", "中性", "利好"], "news": ["利空", "中性", "利好"], "events": ["停牌", "并购"],
        "taught": ["neutral", "bullish", "other"],
    }  # fmt: skip
    assert start_heads(head, tasks, place) == ["news", "events"]
    assert head.weight[3:8].tolist() == [[4, 5], [0, 1], [2, 3], [14, 15], [12, 13]]
    assert head.bias[3:8].tolist() == [2, 0, 1, 7, 6]
    for name, tensor in head.state_dict().items():
        assert torch.equal(tensor[:3], before[name][:3])
        assert torch.equal(tensor[8:], before[name][8:])
    assert start_heads(head, tasks, tmp_path) == []


def test_adapting_on_keeps_what_the_heads_know(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """After a step too small to count the known task's head is that of the folder it went on from."""
    one, two, news, forum = tmp_path / "one", tmp_path / "two", prepared["news"], prepared["forum"]
    for start, out, tasks, settings in (
        (backbone_of("modernbert"), one, {"news": news}, ("max_steps=4",)),
        (one, two, {"forum": forum, "news": news}, EXPERT),
    ):
        words = ["adapt", str(start), "--out", str(out)]
        words += [word for name, place in tasks.items() for word in ("--task", f"{name}={place}")]
        words += [word for setting in (*ADAPT, *settings) for word in ("--set", setting)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    torch.testing.assert_close(read_heads(two)["news"].weight, read_heads(one)["news"].weight, atol=1e-6, rtol=0)
    assert [json.loads((made / "adapt.json").read_text())["heads"] for made in (one, two)] == [[], ["news"]]


def test_an_expert_starts_from_the_heads_of_its_backbone(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """After a step too small to count its head is the mean, and its facts name the heads."""

    def finsa(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    def chosen(settings: tuple[str, ...]) -> list[str]:
        return [word for setting in settings for word in ("--set", setting)]

    student, news, forum = tmp_path / "student", prepared["news"], prepared["forum"]
    finsa("adapt", str(backbone_of("modernbert")), "--out", str(student), "--task", f"news={news}",
          "--task", f"forum={forum}", *chosen((*ADAPT, "max_steps=4")))  # fmt: skip
    out = tmp_path / "expert"
    finsa("train-expert", "news", str(news), "--out", str(out), "--backbone", str(student), "--head", "news",
          "--head", "forum", *chosen(EXPERT))  # fmt: skip
    wanted, found = mean_head(student, ["news", "forum"]), load_file(out / "head.safetensors")
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["heads"] == ["news", "forum"]
