from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.errors import ModelError
from finsa_moe.export import split
from finsa_moe.export.export import export_mixture
from finsa_moe.export.split import Expert, Trunk, Whole, check_exportable
from finsa_moe.model.checkpoint import empty_backbone, save_mixture
from tests.families import FAMILIES, batch_of, make_backbone, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]
ROWS = [[2, *range(5, 50), 3], [2, 9, 8, 7, 3], [2, 30, 31, 3]]


def pad_of(family: str) -> int:
    return 1 if family == "roberta" else 0


@pytest.mark.parametrize("route_at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_trunk_and_experts_are_the_mixture(family: str, route_at: float, backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of(family), route_at=route_at)
    ids, mask = batch_of(ROWS, pad_of(family))
    with torch.no_grad():
        hidden, router_logits = Trunk(model)(ids, mask)
        assert hidden.shape == (3, 47, 32)
        torch.testing.assert_close(router_logits, model(ids, mask).router_logits, atol=2e-5, rtol=1e-4)
        for index in range(2):
            logits, pooled = Expert(model, index)(hidden, mask)
            whole = model(ids, mask, experts=torch.full((3,), index))
            torch.testing.assert_close(logits, whole.logits, atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(pooled, whole.pooled, atol=2e-5, rtol=1e-4)


def test_the_two_experts_differ(backbone_of: Backbones) -> None:
    """Or the test above could not tell one from the other."""
    model = make_mixture(backbone_of("modernbert"))
    ids, mask = batch_of(ROWS, 0)
    with torch.no_grad():
        hidden = Trunk(model)(ids, mask)[0]
        first, second = (Expert(model, index)(hidden, mask)[0] for index in range(2))
    assert (first - second).abs().min() > 1e-3


def test_one_graph_of_all_takes_the_router_s_choice_and_the_temperatures(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("modernbert"))
    ids, mask = batch_of(ROWS, 0)
    with torch.no_grad():
        whole = Whole(Trunk(model), [Expert(model, index) for index in range(2)], (2.0, 0.5))
        probs, gate = whole(ids, mask)
        routed = model(ids, mask)
    heat = torch.tensor([2.0, 0.5])[routed.soft_gate.argmax(-1)].unsqueeze(-1)
    torch.testing.assert_close(probs, (routed.logits / heat).softmax(-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gate, routed.soft_gate, atol=1e-5, rtol=1e-4)


def test_a_shared_head_serves_every_expert(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("bert"), shared_head=True)
    ids, mask = batch_of(ROWS, 0)
    with torch.no_grad():
        logits, _ = Expert(model, 1)(Trunk(model)(ids, mask)[0], mask)
        torch.testing.assert_close(
            logits, model(ids, mask, experts=torch.ones(3, dtype=torch.long)).logits, atol=2e-5, rtol=1e-4
        )


def test_embeddings_narrower_than_the_layers_are_refused_in_one_line(tmp_path: Path) -> None:
    model = make_mixture(make_backbone("electra", tmp_path / "b", embedding_size=16))
    with pytest.raises(ModelError, match=r"\(electra\) has embeddings of 16 numbers .*32.*run it with torch") as told:
        check_exportable(model.config, model.backbone)
    assert str(told.value).isprintable()
    model = make_mixture(make_backbone("electra", tmp_path / "c", embedding_size=32))
    check_exportable(model.config, model.backbone)


def test_what_an_export_would_not_serve_is_refused(backbone_of: Backbones, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_mixture(backbone_of("modernbert"))
    check_exportable(model.config, model.backbone)
    model.config.gate = "soft"
    with pytest.raises(ModelError, match=r"gate is 'soft'.*gate=hard.*torch"):
        check_exportable(model.config, model.backbone)
    model.config.gate = "hard"
    model.config.backbone["quantisation"] = "nf4"
    with pytest.raises(ModelError, match=r"nf4.*run it with torch"):
        check_exportable(model.config, model.backbone)
    model.config.backbone["quantisation"] = "none"
    monkeypatch.setattr(split, "LARGEST", 1000)
    with pytest.raises(ModelError, match=r"M parameters.*run it with torch"):
        check_exportable(model.config, model.backbone)


@pytest.mark.parametrize(("route_at", "trunk", "each"), [(0.0, 0, 2), (0.5, 1, 1), (1.0, 2, 2)])
def test_one_graph_of_all_has_a_trunk_and_every_expert_s_layers(
    route_at: float, trunk: int, each: int, backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a backbone of two layers; its size is told without weights."""
    model = make_mixture(backbone_of("llama"), ("news", "forum", "notices"), route_at=route_at)
    save_mixture(model, tmp_path / "m")
    empty = empty_backbone(tmp_path / "m", model.config)
    assert empty.device.type == "meta"
    layer = split.numbers(empty.layers[0])
    whole = split.numbers(model.backbone) + (trunk + 3 * each - 2) * layer
    for width in (2, 4):
        monkeypatch.setattr(split, "MOST_BYTES", width * whole)
        check_exportable(model.config, empty, single=width)
        monkeypatch.setattr(split, "MOST_BYTES", width * whole - 1)
        check_exportable(model.config, empty)
        with pytest.raises(ModelError, match="leave --single out"):
            check_exportable(model.config, empty, single=width)


def test_what_an_export_would_not_serve_is_told_before_the_mixture_is_loaded(
    backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsa_moe.export.export.TorchEngine", lambda *_, **__: pytest.fail("loaded"))
    for name, gate, quantisation in (("soft", "soft", "none"), ("nf4", "hard", "nf4"), ("large", "hard", "none")):
        model = make_mixture(backbone_of("bert"), gate=gate)
        model.config.backbone["quantisation"] = quantisation
        model.config.backbone["name"] = str(backbone_of("bert"))
        save_mixture(model, tmp_path / name)
        monkeypatch.setattr(split, "LARGEST", 1000 if name == "large" else split.LARGEST)
        with pytest.raises(ModelError, match="run it with torch"):
            export_mixture(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
