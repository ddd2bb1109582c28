from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from transformers import TrainingArguments

from finsa_moe.config import ExpertConfig
from finsa_moe.model.losses import AdaptiveBalancedLoss
from finsa_moe.training import device, loop
from finsa_moe.training.batches import Collator
from finsa_moe.training.expert import train_expert
from finsa_moe.training.resume import forget_after, newest_checkpoint
from finsa_moe.training.trainer import TRAINED, load_trained, trained_tensors
from tests.conftest import EXPERT, Trained

pytestmark = pytest.mark.usefixtures("one_thread")


def checkpoint(folder: Path, step: int, state: str | None = "{}") -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trained.safetensors").write_bytes(b"")
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "none") is None
    whole = [checkpoint(tmp_path, step) for step in (2, 10, 9)]
    cut = [checkpoint(tmp_path, 11, None), checkpoint(tmp_path, 12, ""), checkpoint(tmp_path, 13, '{"epoch": 1.')]
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert all(path.exists() for path in whole)
    assert not any(path.exists() for path in cut), "else the Trainer would trip over them at the same step"


def test_a_stray_folder_is_left_alone(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3)
    (tmp_path / "checkpoint-old").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-3"
    assert (tmp_path / "checkpoint-old").exists()


@pytest.mark.parametrize("tail", ["", '{"step": 4, "lo', "\n"])
def test_statistics_forget_what_will_be_done_again(tail: str, tmp_path: Path) -> None:
    """Also when the kill cut the last line short."""
    path = tmp_path / "statistics.jsonl"
    path.write_text("".join(f'{{"step": {s}, "loss": NaN}}\n' for s in (1, 2, 3, 4)) + tail)
    forget_after(path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]
    forget_after(tmp_path / "none", 2)
    assert not (tmp_path / "none").exists()


def test_polarity_metrics_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    found = loop.polarity_metrics(logits, labels)
    predicted = logits.argmax(1)
    assert found["accuracy"] == pytest.approx((predicted == labels).mean())
    for kind in ("macro", "weighted"):
        assert found[f"{kind}_f1"] == pytest.approx(f1_score(labels, predicted, average=kind))
    by_hand = loop.polarity_metrics([[9, 0, 0], [9, 0, 0], [0, 9, 0]], [0, 1, 1])
    assert by_hand == pytest.approx({"accuracy": 2 / 3, "macro_f1": 2 / 3, "weighted_f1": 2 / 3})


def test_the_loss_is_the_one_named() -> None:
    assert isinstance(loop.classification_loss(ExpertConfig(), [1, 2, 3]), AdaptiveBalancedLoss)
    assert isinstance(
        loop.classification_loss(ExpertConfig(loss="cross_entropy"), [1, 2, 3]), torch.nn.CrossEntropyLoss
    )


def test_trained_tensors_go_out_and_in_again(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    before = trained_tensors(model)
    assert before.keys() == {"1.weight", "1.bias"}
    save_file(before, tmp_path / TRAINED)
    with torch.no_grad():
        model[1].weight.zero_()
    load_trained(model, tmp_path)
    assert torch.equal(model[1].weight, before["1.weight"])


def test_statistics_of_a_run(trained: Mapping[str, Trained]) -> None:
    run = trained("bert")  # type: ignore[operator]
    files = [
        *(e / "run" for e in run.experts.values()),
        run.out / "run" / "router_warmup",
        run.out / "run" / "moe_joint",
    ]
    for file, stage in zip(files, ("expert:news", "expert:forum", "router_warmup", "moe_joint"), strict=True):
        rows = [json.loads(line) for line in (file / "statistics.jsonl").read_text().splitlines()]
        assert {row["stage"] for row in rows} == {stage}
        assert all(row["wall_seconds"] >= 0 and row["peak_memory_mb"] > 50 for row in rows)
        steps = [row["step"] for row in rows]
        assert steps == sorted(steps)
        assert [row["step"] for row in rows if "eval_weighted_f1" in row] == (
            [2] if stage == "router_warmup" else [2, 4]
        )
        last = rows[-1]
        assert np.isfinite(last["train_loss"])


def test_no_peak_memory_where_the_system_tells_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has neither /proc nor the module `resource`."""
    assert not hasattr(device, "resource")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "status").write_text("VmRSS: 5 kB\n")  # as in a sandbox whose system tells less
    for status in (tmp_path / "none", tmp_path / "status"):
        monkeypatch.setattr(device, "STATUS", status)
        assert device.peak_memory() == 0


def test_tensorboard_is_written_where_the_run_is(
    prepared: Mapping[str, Path], backbone_of: object, tmp_path: Path
) -> None:
    settings = ExpertConfig.load(None, [*EXPERT, "trackers=tensorboard", "log_steps=1"])
    place = backbone_of("bert")  # type: ignore[operator]
    train_expert("news", prepared["news"], tmp_path / "e", backbone=str(place), settings=settings, device="cpu")
    assert list((tmp_path / "e" / "run" / "tensorboard").rglob("events.out.tfevents.*"))
    assert {p.name for p in tmp_path.iterdir()} == {"e"}


def test_a_second_gpu_that_is_only_seen_changes_no_batch(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer would take the rows of both and copy the model to them; several processes are torchrun's to start."""

    class TwoSeen(TrainingArguments):
        def __post_init__(self) -> None:
            super().__post_init__()
            assert self.device.type == "cpu"
            self._n_gpu = 2

    rows = []
    collated = Collator.__call__

    def counted(self: Collator, batch: list[dict[str, Any]]) -> Any:
        rows.append(len(batch))
        return collated(self, batch)

    monkeypatch.setattr(loop, "TrainingArguments", TwoSeen)
    monkeypatch.setattr(Collator, "__call__", counted)
    settings = ExpertConfig.load(None, [*EXPERT, "eval_batch_size=6"])
    train_expert("news", prepared["news"], tmp_path / "e", backbone=str(backbone_of("bert")), settings=settings,
                 device="cpu")  # fmt: skip
    assert set(rows) == {4, 6}, "the batch and the evaluation's, as they were set"


def test_an_epoch_begun_is_trained_and_judged_at_its_end(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Six steps an epoch and 1.1 epochs: the Trainer makes seven, and the last is looked at."""
    settings = ExpertConfig.load(None, [*EXPERT, "max_steps=-1", "epochs=1.1", "eval_steps=100"])
    facts = train_expert("news", prepared["news"], tmp_path / "e", backbone=str(backbone_of("bert")), settings=settings,
                         device="cpu")  # fmt: skip
    assert (facts["steps"], facts["best_step"]) == (7, 7)
