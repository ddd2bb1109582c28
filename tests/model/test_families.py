"""Families that do something another way: tokens of all texts in one row, attention without a fused kernel, no linears."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import expert_targets, layer_stack, load_backbone
from tests.families import batch_of, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]
TEXTS = [[2, 30, 41, 52, 3], [2, 99, 3], [2, *range(40, 70), 3]]


@pytest.mark.parametrize("route_at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("family", ["opt", "qwen2_moe", "gemma2", "bloom", "mpnet"])
def test_a_batch_answers_as_its_texts_alone(family: str, route_at: float, backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of(family), ("news", "forum", "notices"), route_at=route_at, gate="soft")
    with torch.inference_mode():
        alone = torch.cat([model(*batch_of([text], 0)).logits for text in TEXTS]).numpy()
        assert alone.std(axis=0).min() > 0.02, "the texts must differ, or the test shows nothing"
        for shape in ({}, {"left": True}, {"width": 50}, {"width": 50, "left": True}):
            found = model(*batch_of(TEXTS, 0, **shape)).logits.numpy()  # type: ignore[arg-type]
            np.testing.assert_allclose(found, alone, atol=2e-5)


@pytest.mark.parametrize("family", ["opt", "qwen2_moe"])
def test_every_text_has_its_own_expert_where_tokens_stand_in_one_row(family: str, backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of(family))
    batch = batch_of(TEXTS, 0)
    with torch.inference_mode():
        each = [model(*batch, experts=torch.full((3,), expert)).logits for expert in (0, 1)]
        mixed = model(*batch, experts=torch.tensor([1, 0, 1])).logits
    assert (each[0] - each[1]).abs().min(dim=1).values.max() > 1e-3
    torch.testing.assert_close(mixed, torch.stack([each[1][0], each[0][1], each[1][2]]), atol=2e-5, rtol=0)


def test_without_linears_there_is_no_place_for_an_expert(backbone_of: Backbones) -> None:
    with pytest.raises(ModelError, match=r"gpt2: its layers have no torch\.nn\.Linear; take another"):
        expert_targets(load_backbone(str(backbone_of("gpt2")), device="cpu"))


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_with_a_decoder_is_refused(family: str, backbone_of: Backbones) -> None:
    with pytest.raises(ModelError, match=f"{family}: an encoder with a decoder; take one of either kind"):
        layer_stack(load_backbone(str(backbone_of(family)), device="cpu"))


def test_rows_that_are_no_text_s_are_refused(backbone_of: Backbones) -> None:
    """DeBERTa's queries are asked of positions as well, which all texts share."""
    model = make_mixture(backbone_of("deberta-v2"))
    with (
        torch.inference_mode(),
        pytest.raises(ModelError, match="given 1 rows for 3 texts of 32 tokens, of which nobody"),
    ):
        model(*batch_of(TEXTS, 0))
