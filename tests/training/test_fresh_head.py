"""A head that stage 1 did not train learns in the router's warm-up, which is then judged by what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finsa_moe.config import JointConfig, MergeConfig
from finsa_moe.training.joint import train_joint
from finsa_moe.training.merge import merge
from tests.conftest import DOMAINS, JOINT, Trained
from tests.families import write_rows

pytestmark = pytest.mark.usefixtures("one_thread")
Runs = Callable[[str], Trained]


@pytest.mark.parametrize(("shared", "best"), [("true", "weighted_f1"), ("false", "routing_accuracy")])
def test_a_warm_up_with_a_fresh_head_is_judged_by_its_classes(
    shared: str, best: str, trained: Runs, tmp_path: Path
) -> None:
    """The router knows domains so far apart at its first look, when such a head has hardly begun."""
    run, data = trained("bert"), {domain: tmp_path / domain for domain in DOMAINS}
    for domain, word in (("news", "今天股价成交"), ("forum", "主力庄家老铁们")):
        data[domain].mkdir()
        for split in ("train", "valid"):
            write_rows(data[domain] / f"{split}.csv", [(f"{word}跌停", 0), (f"{word}净利翻倍", 2)] * 8, domain)
    merge(run.experts, tmp_path / "m", settings=MergeConfig.load(None, [f"shared_head={shared}"]), device="cpu")
    asked = [
        "max_steps=-1",
        "epochs=0.01",
        "router_steps=30",
        "router_learning_rate=3e-2",
        "eval_steps=5",
        "batch_size=16",
    ]
    settings = JointConfig.load(None, [*JOINT, *asked])
    facts = train_joint(tmp_path / "m", data, tmp_path / "j", settings=settings, device="cpu")["router_warmup"]
    looks = (tmp_path / "j/run/router_warmup/statistics.jsonl").read_text(encoding="utf-8").splitlines()
    seen = [row for row in map(json.loads, looks) if "eval_weighted_f1" in row]
    scores = {row["step"]: row[f"eval_{best}"] for row in seen}
    assert facts["best_step"] == max(scores, key=lambda step: scores[step])
    assert {row["eval_routing_accuracy"] for row in seen} == {1.0}
    assert (facts["best_step"] > 5) == (shared == "true")
