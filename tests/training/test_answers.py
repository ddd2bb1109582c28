from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.config import AdaptConfig
from finsa_moe.training.adapt import adapt
from finsa_moe.training.answers import TaskModelAnswers
from tests.training.test_adapt import KINDS, QUICK, write

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_text_is_cut_to_the_positions_that_the_backbone_has(
    backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """BERT has 128 of them here; what is asked for beyond is not there to be read."""
    rows = [[f"周三第{at}次{kind}", kind] for at in range(20) for kind in KINDS]
    events = write(tmp_path / "events.csv", ["text", "label"], rows)
    settings = AdaptConfig.load(None, [*QUICK, "max_steps=2", "max_length=1024"])
    adapt(
        str(backbone_of("bert")), tmp_path / "out", tasks={"events": events}, soft={}, settings=settings, device="cpu"
    )
    states = TaskModelAnswers(tmp_path / "out", device="cpu", max_length=1024).states(["净利翻倍" * 400])
    assert torch.isfinite(states).all()
