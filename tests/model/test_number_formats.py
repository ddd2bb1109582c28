"""A mixture opened in another number format than its own, and saved: its backbone stays what it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.errors import ModelError
from finsa_moe.model import checkpoint
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import load_mixture, save_mixture
from finsa_moe.model.moe import FinSAMoE
from tests.families import make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Opened = Callable[[str], tuple[Path, dict[str, torch.Tensor]]]


@pytest.fixture
def opened_otherwise(backbone_of: Callable[[str], Path], tmp_path: Path) -> Opened:
    """A mixture that keeps its backbone in this number format, and the backbone's weights."""

    def make(dtype: str) -> tuple[Path, dict[str, torch.Tensor]]:
        model = make_mixture(backbone_of("bert"))
        model.config.backbone["dtype"] = dtype
        model.backbone.to(getattr(torch, dtype))
        model.backbone.save_pretrained(tmp_path / "home")
        model.backbone.config._name_or_path = str(tmp_path / "home")
        save_mixture(model, tmp_path / "m", tokenizer=load_tokenizer(backbone_of("bert")))
        return tmp_path / "m", load_file(tmp_path / "home" / "model.safetensors")

    return make


@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
@pytest.mark.parametrize("in_place", [False, True])
def test_opened_in_another_number_format_and_saved_the_backbone_is_as_it_was(
    kept: str, in_place: bool, opened_otherwise: Opened,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Neither rounded nor, since it is larger as it is held than as it is kept, left out."""
    folder, weights = opened_otherwise(kept)
    size = sum(tensor.nbytes for tensor in weights.values())
    monkeypatch.setattr(checkpoint, "BUNDLE_LIMIT", int(1.5 * size))
    other = FinSAMoE.from_pretrained(folder, device="cpu", dtype="bfloat16" if kept == "float32" else "float32")
    target = folder if in_place else tmp_path / "again"
    other.save_pretrained(target)
    found = load_file(target / "backbone" / "model.safetensors")
    assert set(found) == set(weights)
    for name, tensor in weights.items():
        assert torch.equal(found[name], tensor)
    assert load_mixture(target, device="cpu").backbone.dtype == getattr(torch, kept)


def test_opened_in_another_number_format_it_is_not_saved_without_its_folder(
    opened_otherwise: Opened, tmp_path: Path
) -> None:
    folder, _ = opened_otherwise("float32")
    shutil.rmtree(tmp_path / "home")
    model = FinSAMoE.from_pretrained(folder, device="cpu", dtype="bfloat16")
    shutil.rmtree(folder)
    with pytest.raises(
        ModelError, match=r"held in bfloat16, kept in float32, and cannot be read again from .* dtype='auto'"
    ):
        model.save_pretrained(tmp_path / "again")
    assert not list(tmp_path.iterdir())
