"""Killed at any moment, every stage resumes and ends as if it had not been (the seventh promise): here in-process.

A stage is broken off by an exception at a chosen place, which leaves on disk just what a kill there would leave. Real
kills of real processes are in `test_kill`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback

from finsa_moe.config import ExpertConfig
from finsa_moe.errors import ConfigError, FinSAError
from finsa_moe.training import expert as stage_one
from finsa_moe.training.expert import train_expert
from tests.conftest import EXPERT

pytestmark = pytest.mark.usefixtures("one_thread")
# 24 rows in batches of 4: six steps an epoch, so that step 8 is within the second
LONG = ("max_steps=10", "eval_steps=2", "warmup_steps=3")


class KillError(BaseException):
    """Not an Exception, so that nothing on the way takes it for a failure to mend."""


class KillAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KillError


def tensors(*folders: Path) -> dict[str, torch.Tensor]:
    return {
        f"{folder.name}/{file.relative_to(folder)}:{name}": tensor
        for folder in folders for file in sorted(folder.rglob("*.safetensors")) for name, tensor in load_file(file).items()
    }  # fmt: skip


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert len(ours) > 10
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert differing == []


def break_off(monkeypatch: pytest.MonkeyPatch, step: int, run: Callable[[], object]) -> None:
    """Run with a kill after the given step of the Trainer."""
    made = Trainer.__init__

    def init(self: Trainer, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.add_callback(KillAt(step))

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "__init__", init)
        with pytest.raises(KillError):
            run()


Expert = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_expert(prepared: Mapping[str, Path], backbone_of: Callable[[str], Path]) -> Expert:
    def run(out: Path, resume: bool = False, *overrides: str) -> dict[str, Any]:
        settings = ExpertConfig.load(None, [*EXPERT, *LONG, *overrides])
        place = str(backbone_of("modernbert"))
        return train_expert(
            "news", prepared["news"], out, backbone=place, settings=settings, resume=resume, device="cpu"
        )

    return run


@pytest.fixture(scope="module")
def whole(run_expert: Expert, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole") / "e"
    return out, run_expert(out)


def equal_to_whole(out: Path, facts: dict[str, Any], whole: tuple[Path, dict[str, Any]]) -> None:
    same(tensors(out), {k.replace(f"{whole[0].name}/", f"{out.name}/", 1): v for k, v in tensors(whole[0]).items()})
    for key in ("steps", "best_step", "rows", "trained_parameters", "train_loss"):
        assert facts[key] == whole[1][key]
    for name, value in whole[1]["validation"].items():
        if "second" not in name and name != "runtime":
            assert facts["validation"][name] == value
    assert not (out / "run" / "checkpoints").exists()
    steps = [json.loads(line)["step"] for line in (out / "run" / "statistics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps), "no step is reported twice"


@pytest.mark.parametrize("step", [1, 3, 8, 10])
def test_an_expert_broken_off(
    step: int, run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any checkpoint, in the first epoch, in the second, and after the last step."""
    break_off(monkeypatch, step, lambda: run_expert(tmp_path / "e"))
    assert not (tmp_path / "e" / "expert.json").exists()
    if step > 2:
        with pytest.raises(ConfigError, match="holds an unfinished run; add --resume to go on"):
            run_expert(tmp_path / "e", False, "learning_rate=1e-3")  # and the refused call has changed nothing
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)


def test_an_expert_broken_off_again_and_again(
    run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (3, 5, 7, 9):
        break_off(monkeypatch, step, lambda: run_expert(tmp_path / "e", True))
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)


def test_broken_off_inside_an_epoch_where_each_of_several_processes_takes_its_batches(
    run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate's data loader of a process wraps the sampler once more, so that it is not told its epoch by it."""
    made = Trainer.get_train_dataloader

    def sharded(self: Trainer) -> DataLoaderShard:
        plain = made(self)
        return DataLoaderShard(
            plain.dataset, batch_sampler=BatchSamplerShard(plain.batch_sampler), collate_fn=plain.collate_fn
        )

    monkeypatch.setattr(Trainer, "get_train_dataloader", sharded)
    break_off(monkeypatch, 9, lambda: run_expert(tmp_path / "e"))
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)


def test_seconds_are_those_of_all_sittings(run_expert: Expert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint keeps them; those that a kill took back with their steps are not counted."""
    break_off(monkeypatch, 5, lambda: run_expert(tmp_path / "e"))
    kept = tmp_path / "e" / "run" / "checkpoints" / "checkpoint-4" / "seconds.json"
    assert 0 < json.loads(kept.read_text()) < 500
    kept.write_text("500.0")
    assert 500 < run_expert(tmp_path / "e", True)["wall_seconds"] < 1000
    rows = map(json.loads, (tmp_path / "e" / "run" / "statistics.jsonl").read_text().splitlines())
    assert all((row["wall_seconds"] > 500) == (row["step"] > 4) for row in rows)


@pytest.mark.parametrize("cut", ["no state", "state cut", "tensors only", "empty"])
def test_a_checkpoint_cut_short_is_passed_over(
    cut: str, run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, 7, lambda: run_expert(tmp_path / "e"))
    newest = tmp_path / "e" / "run" / "checkpoints" / "checkpoint-6"
    state = newest / "trainer_state.json"
    if cut == "state cut":
        state.write_text(state.read_text()[:100])
    elif cut == "no state":
        state.unlink()
    else:
        for file in newest.iterdir():
            if cut == "empty" or file.name != "trained.safetensors":
                file.unlink()
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)


def test_killed_while_the_finished_expert_is_written(
    run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, moved = os.replace, []

    def after_three(source: Any, target: Any) -> None:
        if len(moved) == 3:
            raise KillError
        moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(stage_one.os, "replace", after_three)
        patch.setattr(stage_one.os, "getpid", lambda: 1)
        with pytest.raises(KillError):
            run_expert(tmp_path / "e")
    assert not (tmp_path / "e" / "expert.json").exists()
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)
    assert not [p.name for p in (tmp_path / "e").iterdir() if "tmp" in p.name], (
        "what the killed process left is cleared"
    )


def test_a_run_that_was_moved_meanwhile(
    run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best checkpoint is found, and kept, where it stands now."""
    break_off(monkeypatch, 5, lambda: run_expert(tmp_path / "first"))
    shutil.move(tmp_path / "first", tmp_path / "e")
    monkeypatch.chdir(tmp_path)
    equal_to_whole(tmp_path / "e", run_expert(Path("e"), True), whole)


@pytest.mark.parametrize("change", ["rank=2", "seed=14", "learning_rate=1e-3", "max_steps=12"])
def test_a_run_goes_on_with_the_settings_it_began_with(
    change: str, run_expert: Expert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, 3, lambda: run_expert(tmp_path / "e"))
    with pytest.raises(FinSAError, match=f"{change.split('=')[0]}.*resume with the same settings") as caught:
        run_expert(tmp_path / "e", True, change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("moment", ["while patience runs out", "after it has run out"])
def test_early_stopping_remembers_how_long_it_has_waited(
    moment: str, run_expert: Expert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of nought no step is better than the first: with a patience of two the third evaluation is the last."""
    still = ("learning_rate=0", "eval_steps=1", "patience=2")
    if moment == "while patience runs out":
        break_off(monkeypatch, 3, lambda: run_expert(tmp_path / "e", False, *still))
    else:
        with monkeypatch.context() as patch:
            patch.setattr(stage_one, "_write", None)
            with pytest.raises(TypeError):
                run_expert(tmp_path / "e", False, *still)
    facts = run_expert(tmp_path / "e", True, *still)
    assert (facts["steps"], facts["best_step"]) == (3, 1)


def test_resuming_what_never_began_begins_it(
    run_expert: Expert, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    equal_to_whole(tmp_path / "e", run_expert(tmp_path / "e", True), whole)
