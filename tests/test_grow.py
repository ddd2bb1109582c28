"""A grown backbone answers as the one it grew from, and its new layers can learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, ModernBertConfig

ROOT = Path(__file__).parents[1]


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    torch.manual_seed(13)
    config = ModernBertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, pad_token_id=0
    )
    AutoModel.from_config(config).save_pretrained(tmp_path / "backbone")
    return tmp_path / "backbone"


def grow(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "runs/grow.py", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_it_answers_as_before_and_every_new_layer_gets_a_gradient(backbone: Path, tmp_path: Path) -> None:
    assert grow(backbone, tmp_path / "grown", 2, 3).returncode == 0
    ids = torch.tensor([[2, 7, 9, 3], [2, 11, 3, 0]])
    mask = (ids != 0).long()
    old, new = (AutoModel.from_pretrained(folder).train() for folder in (backbone, tmp_path / "grown"))
    assert len(new.layers) == 5
    before, after = (model(input_ids=ids, attention_mask=mask).last_hidden_state for model in (old, new))
    assert torch.equal(before, after)
    after.square().sum().backward()
    for at in (2, 4):  # the copies
        assert new.layers[at].mlp.Wo.weight.abs().sum() == 0
        assert new.layers[at].mlp.Wo.weight.grad.abs().sum() > 0
        assert new.layers[at].attn.Wo.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("layers", [(1,), (4,), (2, 2)])
def test_layers_that_cannot_be_copied_are_named(backbone: Path, tmp_path: Path, layers: tuple[int, ...]) -> None:
    done = grow(backbone, tmp_path / "grown", *layers)
    assert done.returncode == 1
    assert "name some of 2 to 3" in done.stderr
    assert not (tmp_path / "grown").exists()
