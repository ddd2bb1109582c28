from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.config import AdaptConfig
from finsa_moe.model.backbone import load_backbone, load_tokenizer, text_encoder
from finsa_moe.training.adapt import adapt
from finsa_moe.training.answers import TaskModelAnswers, answer_states
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


@pytest.mark.parametrize(("family", "prompt"), [("qwen3", "neutral"), ("bert", "none")])
def test_a_decoder_is_trained_and_asked_with_the_prompt_that_an_expert_gets(
    family: str, prompt: str, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    rows = [[f"周三第{at}次{kind}", kind] for at in range(20) for kind in KINDS]
    events, out = write(tmp_path / "events.csv", ["text", "label"], rows), tmp_path / "out"
    settings = AdaptConfig.load(None, [*QUICK, "max_steps=2", "max_length=96"])
    facts = adapt(str(backbone_of(family)), out, tasks={"events": events}, soft={}, settings=settings, device="cpu")
    assert facts["prompt"] == prompt
    backbone, tokenizer = load_backbone(str(out), device="cpu"), load_tokenizer(out)

    def states(prompt: str) -> torch.Tensor:
        return answer_states(backbone, text_encoder(tokenizer, prompt=prompt, max_length=96), ["周三净利翻倍"])

    found = TaskModelAnswers(out, device="cpu").states(["周三净利翻倍"])
    torch.testing.assert_close(found, states(prompt))
    if prompt != "none":  # a folder of before, which tells no prompt, was trained without
        told = json.loads((out / "adapt.json").read_text(encoding="utf-8"))
        del told["prompt"]
        (out / "adapt.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        torch.testing.assert_close(TaskModelAnswers(out, device="cpu").states(["周三净利翻倍"]), states("none"))
