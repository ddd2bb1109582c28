from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import last_hidden
from finsa_moe.model.replay import read_replay, routed_states, write_replay
from finsa_moe.model.sketch import Sketch
from tests.families import batch_of, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("route_at", [0.0, 0.5, 1.0])
def test_states_are_what_the_router_reads(route_at: float, backbone_of: Callable[[str], Path]) -> None:
    """Taken with another hook than the module's: the router's logits follow from them alone."""
    model = make_mixture(backbone_of("bert"), route_at=route_at)
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3], [2, 7, 8, 3]], 0)
    states = routed_states(model, [{"input_ids": ids[:2], "attention_mask": mask[:2]},
                                   {"input_ids": ids[2:], "attention_mask": mask[2:]}])  # fmt: skip
    with torch.inference_mode():
        wanted = model(ids, mask).router_logits
        torch.testing.assert_close(model.router(states), wanted)
        if route_at == 1.0:  # the frozen backbone's own last state
            model.bank.gate.close()
            hidden = last_hidden(model.backbone, ids, mask)
            mean = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            torch.testing.assert_close(states, mean)


def test_no_text_no_state(backbone_of: Callable[[str], Path]) -> None:
    model = make_mixture(backbone_of("bert"))
    assert routed_states(model, []).shape == (0, model.config.hidden_size)


def test_written_and_read_again(tmp_path: Path) -> None:
    sketches = {"news": Sketch.of(torch.randn(90, 8)), "forum": Sketch.of(torch.randn(3, 8))}
    write_replay(tmp_path, sketches)
    assert [path.name for path in tmp_path.iterdir()] == ["replay.safetensors"]
    found = read_replay(tmp_path, ["news", "forum"])
    for name, sketch in sketches.items():
        for part, tensor in vars(sketch).items():
            assert torch.equal(getattr(found[name], part), tensor), (name, part)
    assert list(read_replay(tmp_path, ["forum", "news"])) == ["forum", "news"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"replay.safetensors: missing.*--replay news=FILE --replay forum=FILE"):
        read_replay(tmp_path, ["news", "forum"])
    with pytest.raises(ModelError, match=r"none of train-joint's; give one that is, or name texts") as caught:
        read_replay(tmp_path, ["news"])
    assert "before sketches" not in str(caught.value), "it was never trained jointly"
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ModelError, match=r"trained before sketches of its states were kept: name texts"):
        read_replay(tmp_path, ["news"])
    write_replay(tmp_path, {"news": Sketch.of(torch.zeros(1, 2))})
    with pytest.raises(ModelError, match=r"holds news, the mixture has news, forum"):
        read_replay(tmp_path, ["news", "forum"])
    file = tmp_path / "replay.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != "news/radii"}, file)
    with pytest.raises(ModelError, match=r"damaged \(no news/radii\); restore it, or remove it and name texts"):
        read_replay(tmp_path, ["news"])
    save_file({"news": torch.zeros(3, 2)}, file)
    with pytest.raises(ModelError, match=r"earlier version, with states of single texts; remove it and name texts"):
        read_replay(tmp_path, ["news"])
