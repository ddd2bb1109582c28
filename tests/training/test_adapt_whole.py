"""A backbone that `finsa adapt` trains whole: with its own dropout, written by one process of several."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from finsa_moe.config import AdaptConfig
from finsa_moe.training import loop, processes
from finsa_moe.training.adapt import adapt
from finsa_moe.training.trainer import Stage
from tests.families import make_backbone
from tests.training.test_adapt import KINDS, QUICK, write

pytestmark = pytest.mark.usefixtures("one_thread")


def events(folder: Path) -> Path:
    rows = [[f"周三第{at}次{kind}", kind] for at in range(50) for kind in KINDS]
    return write(folder / "events.csv", ["text", "label"], rows)


@pytest.mark.parametrize(("asked", "rate"), [("0", 0.15), ("0.3", 0.3)])
def test_the_backbone_s_own_dropout_stays_unless_another_is_asked_for(
    asked: str, rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backbone trained whole is no frozen one: its configuration says how it wants to be trained."""
    options = {"hidden_dropout_prob": 0.15, "attention_probs_dropout_prob": 0.15}
    place = make_backbone("bert", tmp_path / "b", **options)
    stages: list[Stage] = []

    def seen(stage: Stage, **_: object) -> None:
        stages.append(stage)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run", seen)
    settings = AdaptConfig.load(None, [*QUICK, f"dropout={asked}"])
    with pytest.raises(KeyboardInterrupt):
        adapt(
            str(place), tmp_path / "out", tasks={"events": events(tmp_path)}, soft={}, settings=settings, device="cpu"
        )
    backbone = stages[0].model.backbone
    assert {part.p for part in backbone.modules() if isinstance(part, torch.nn.Dropout)} == {rate}
    still = {name.partition(".")[0] for name, weight in backbone.named_parameters() if not weight.requires_grad}
    assert still == {"pooler"}  # which nothing reads


def test_of_several_processes_one_writes_the_backbone(
    backbone_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here is the second one: it has trained and leaves the folder to the first."""
    monkeypatch.setattr(loop, "entered", lambda *_, **__: nullcontext())
    monkeypatch.setattr(loop, "run", lambda *_, **__: {"steps": 2})
    monkeypatch.setattr(processes.Processes, "first", False)
    settings = AdaptConfig.load(None, list(QUICK))
    facts = adapt(
        str(backbone_of("bert")),
        tmp_path / "out",
        tasks={"events": events(tmp_path)},
        soft={},
        settings=settings,
        device="cpu",
    )
    assert facts["tasks"]["events"]["rows"] == 196
    assert not (tmp_path / "out").exists()
