from __future__ import annotations

import pytest
import torch
from torch import nn

from finsa_moe.training import tied_loss
from finsa_moe.training.tied_loss import tied_cross_entropy


@pytest.mark.parametrize("rows", [1, 7, 16, 33])
def test_value_and_gradients_are_those_of_the_plain_form(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tied_loss, "ROWS", 16)  # several parts, the last one short
    generator = torch.Generator().manual_seed(rows)
    hidden, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((rows, 5), (11, 5), (11,))
    )
    targets = torch.randint(0, 11, (rows,), generator=generator)
    ours, plain = ([x.clone().requires_grad_() for x in (hidden, weight, bias)] for _ in range(2))
    loss, _ = tied_cross_entropy(*ours, targets)
    expected = nn.functional.cross_entropy(nn.functional.linear(*plain), targets)
    (3 * loss).backward()
    (3 * expected).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for found, wanted in zip(ours, plain, strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-6, rtol=1e-5)


def test_bfloat16_stays_within_its_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(600, 32, generator=generator), torch.randn(90, 32, generator=generator)
    targets = torch.randint(0, 90, (600,), generator=generator)
    exact = nn.functional.cross_entropy(hidden @ weight.T, targets)
    found, _ = tied_cross_entropy(hidden.bfloat16(), weight, torch.zeros(90), targets)
    assert found.item() == pytest.approx(exact.item(), rel=0.01)
