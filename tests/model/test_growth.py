"""An expert is taken out of a mixture's folder; what remains answers as it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.model import growth
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import load_mixture, save_mixture
from tests.families import batch_of, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
IDS, MASK = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
DOMAINS = ("news", "forum", "公告")


@pytest.mark.parametrize("shared_head", [True, False])
@pytest.mark.parametrize("gone", DOMAINS)
def test_an_expert_is_taken_out_whoever_has_the_head(
    gone: str, shared_head: bool, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    model = make_mixture(backbone_of("bert"), DOMAINS, shared_head=shared_head)
    save_mixture(model, tmp_path / "m", tokenizer=load_tokenizer(backbone_of("bert")))
    growth.remove(tmp_path / "m", tmp_path / "out", gone, None)
    left = load_mixture(tmp_path / "out", device="cpu")
    assert left.config.domains == [name for name in DOMAINS if name != gone]
    assert len(left.heads.weight) == (1 if shared_head else 2)
    with torch.no_grad():
        for now, name in enumerate(left.config.domains):
            before, after = (torch.full((2,), at) for at in (DOMAINS.index(name), now))
            ours, theirs = left(IDS, MASK, experts=after), model(IDS, MASK, experts=before)
            torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-5, rtol=0)
