from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from finsa_moe.config import JointConfig, MergeConfig
from finsa_moe.data.encode import template
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.losses import class_weights
from finsa_moe.model.replay import REPLAY, read_replay
from finsa_moe.training import joint as stage_three
from finsa_moe.training import loop
from finsa_moe.training.joint import joint_loss, set_trained, train_joint
from finsa_moe.training.merge import merge
from finsa_moe.training.trainer import Stage
from tests.conftest import DOMAINS, JOINT, Trained
from tests.families import FAMILIES, batch_of, made_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")
Runs = Callable[[str], Trained]


def joint(run: Trained, data: Mapping[str, Path], out: Path, *overrides: str, resume: bool = False) -> dict[str, Any]:
    settings = JointConfig.load(None, [*JOINT, *overrides])
    folders = {domain: data[domain] for domain in DOMAINS}
    return train_joint(run.start, folders, out, settings=settings, resume=resume, device="cpu")


def parts(folder: Path) -> dict[str, Tensor]:
    files = [file for file in folder.rglob("*.safetensors") if file.name != REPLAY]  # no weights
    return {f"{f.relative_to(folder)}:{k}": t for f in files for k, t in load_file(f).items()}


def test_a_sketch_of_what_the_router_read_is_kept(trained: Runs) -> None:
    run = trained("bert")
    sketches = read_replay(run.joint, load_mixture(run.joint, device="cpu").config.domains)
    assert {name: int(sketch.counts.sum()) for name, sketch in sketches.items()} == dict.fromkeys(DOMAINS, 24)
    assert all(float(sketch.draw(9).std()) > 0 for sketch in sketches.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_phase_moves_what_it_trains_and_nothing_else(family: str, trained: Runs) -> None:
    """The sixth promise, for stage 3, read off the folders that the phases wrote."""
    run = trained(family)
    start, warm, end = (parts(folder) for folder in (run.start, run.out / "router_warmup", run.joint))
    assert start.keys() == warm.keys() == end.keys()

    def kind(name: str) -> str:
        if name.startswith("backbone"):
            return "backbone"
        return "expert" if "adapter_model" in name else "small"  # router and heads, and each expert's copy of its head

    for name in start:
        same = torch.equal(start[name], warm[name])
        assert same == (kind(name) != "small"), f"warm-up: {name}"
        same = torch.equal(warm[name], end[name])
        assert same == (kind(name) == "backbone"), f"joint: {name}"
    assert {kind(name) for name in start} == {"backbone", "expert", "small"}


def test_what_gradients_may_reach(trained: Runs) -> None:
    model = load_mixture(trained("bert").start, device="cpu")
    for experts in (False, True):
        set_trained(model, experts=experts)
        open_to = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
        assert open_to == {"router", "heads"} | ({"bank"} if experts else set())
        assert len([p for p in model.parameters() if p.requires_grad]) == 7 + 2 + (20 if experts else 0)


def test_a_warm_up_of_the_router_alone_leaves_heads_as_they_were(
    trained: Runs, prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    run = trained("bert")
    joint(run, prepared, tmp_path / "j", "warm_heads=false")
    start, warm = (load_mixture(folder, device="cpu") for folder in (run.start, tmp_path / "j" / "router_warmup"))
    moved = {name.split(".")[0] for name, p in warm.named_parameters() if not torch.equal(p, start.get_parameter(name))}
    assert moved == {"router"}


def test_the_loss_is_the_weighted_sum(trained: Runs) -> None:
    """classification + 1.5 · routing + 0.05 · balance, each written out here from docs/method.md."""
    model = load_mixture(trained("bert").joint, device="cpu")
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3], [2, 7, 8, 3]], 0)
    batch = {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": torch.tensor([0, 2, 1]),
        "domains": torch.tensor([0, 1, 1]),
    }
    settings, counts = JointConfig(beta=0.9), [5, 2, 9]
    with torch.no_grad():
        loss, outputs = joint_loss(settings, counts)(model, batch)
        out = model(ids, mask)
    assert torch.equal(outputs["logits"], out.logits)
    assert torch.equal(outputs["router_logits"], out.router_logits)
    classification = 0.0
    for row, label in zip(out.logits.tolist(), [0, 2, 1], strict=True):
        norm = math.log(sum(map(math.exp, row)))
        entropy = -sum((0.9 * (c == label) + 0.1 / 3) * (z - norm) for c, z in enumerate(row))
        classification += float(class_weights(counts, 0.9)[label]) * (1 - math.exp(-entropy)) ** 2 * entropy / 3
    soft = np.exp(out.router_logits.numpy())
    soft /= soft.sum(1, keepdims=True)
    routing = -np.log(soft[[0, 1, 2], [0, 1, 1]]).mean()
    balance = sum(0.5 * math.log(0.5 / m) for m in soft.mean(0)) / 2
    assert float(loss) == pytest.approx(classification + 1.5 * routing + 0.05 * balance, rel=1e-5)
    with torch.no_grad():
        none, _ = joint_loss(JointConfig(beta=0.9, routing_weight=0, balance_weight=0), counts)(model, batch)
    assert float(none) == pytest.approx(classification, rel=1e-5)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each phase is given, and the hardness of the gate at each of its steps."""
    seen: list[dict[str, Any]] = []
    run = loop.run

    def watched(stage: Stage, **options: Any) -> dict[str, Any]:
        record: dict[str, Any] = {"stage": stage, "hard": [], "domains": [], "texts": []}
        seen.append(record)
        loss = stage.loss

        def noting(model: Any, batch: dict[str, Tensor]) -> Any:
            if model.training:
                record["hard"].append(model.harden)
                record["domains"] += batch["domains"].tolist()
            return loss(model, batch)

        object.__setattr__(stage, "loss", noting)
        return run(stage, **options)

    monkeypatch.setattr(stage_three.loop, "run", watched)
    return seen


@pytest.mark.parametrize(
    ("overrides", "hard"),
    [((), [False] * 2 + [True] * 2), (("harden_at=0",), [True] * 4), (("harden_at=1",), [False] * 4),
     (("harden_at=0.75",), [False] * 3 + [True]), (("gate=soft",), [False] * 4)],
)  # fmt: skip
def test_the_gate_hardens_before_training_ends(
    overrides: tuple[str, ...], hard: list[bool], trained: Runs, prepared: Mapping[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = trained("bert")
    seen = watch(monkeypatch)
    joint(run, prepared, tmp_path / "j", *overrides)
    warm, end = seen
    assert warm["hard"] == [False] * 2, "the experts are frozen: nothing to harden for"
    assert end["hard"] == hard
    assert json.loads((tmp_path / "j" / "moe_joint" / "config.json").read_text())["gate"] == (
        "soft" if "gate=soft" in overrides else "hard"
    )


def test_rates_and_lengths_of_the_phases(
    trained: Runs, prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("bert")
    seen = watch(monkeypatch)
    joint(run, prepared, tmp_path / "j", "router_learning_rate=0.02", "max_steps=3", "router_steps=50")
    warm, end = (record["stage"].settings for record in seen)
    assert (warm.max_steps, warm.learning_rate, warm.warmup_steps) == (3, 0.02, 1), "max_steps bounds the warm-up too"
    assert (end.max_steps, end.learning_rate, end.warmup_steps) == (3, 0.01, 1)


def test_domains_are_mixed_split_by_split_under_the_neutral_prompt(
    trained: Runs, prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router must see in training what it sees at inference: no prompt of the domain's own."""
    run = trained("qwen3")
    seen = watch(monkeypatch)
    joint(run, prepared, tmp_path / "j", "max_steps=6")
    for record in seen:
        stage = record["stage"]
        for rows, count in ((stage.train, 24), (stage.valid, 12)):
            assert [row["domains"] for row in rows] == [0] * count + [1] * count
        before = load_tokenizer(run.start)(template("neutral")[0], add_special_tokens=False)["input_ids"]
        for row in (*stage.train, *stage.valid):
            assert row["input_ids"][1 : 1 + len(before)].tolist() == before
        assert set(record["domains"]) == {0, 1}


def test_no_warm_up_when_it_has_no_steps(trained: Runs, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    facts = joint(trained("bert"), prepared, tmp_path / "j", "router_steps=0")
    assert set(facts) == {"moe_joint"}
    assert not (tmp_path / "j" / "router_warmup").exists()
    assert load_mixture(tmp_path / "j" / "moe_joint", device="cpu").config.domains == list(DOMAINS)


def test_router_and_experts_learn(trained: Runs, tmp_path: Path) -> None:
    """A word marks the domain and a phrase the label: even over random embeddings both can be learnt from 240 rows."""
    for domain, mark in zip(DOMAINS, ("公告", "老铁"), strict=True):
        (tmp_path / domain).mkdir()
        for seed, (split, count) in enumerate({"train": 240, "valid": 90}.items()):
            rows = [(mark * 3 + text, label) for text, label in made_rows(domain, count, seed)]
            write_rows(tmp_path / domain / f"{split}.csv", rows, domain)
    facts = joint(trained("modernbert"), {d: tmp_path / d for d in DOMAINS}, tmp_path / "j", "batch_size=32",
                  "max_steps=60", "router_steps=60", "eval_steps=20", "router_learning_rate=1e-2", "patience=0")  # fmt: skip
    log = (tmp_path / "j" / "run" / "router_warmup" / "statistics.jsonl").read_text().splitlines()
    assert [json.loads(line)["eval_routing_accuracy"] for line in log if "eval_loss" in line][-1] > 0.9
    end = facts["moe_joint"]["validation"]
    assert end["routing_accuracy"] > 0.85
    assert end["macro_f1"] > 0.8, "three even classes: chance is 0.33, one class 0.17"


def test_the_papers_form(train: Callable[..., Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    """Two passes and one head for all: both trained, saved and loaded."""
    run = train("llama", merging=("route_at=1.0", "shared_head=true"))
    model = load_mixture(run.joint, device="cpu")
    assert (model.config.route_at, model.config.shared_head, tuple(model.heads.weight.shape)) == (1.0, True, (1, 3, 32))
    start, end = parts(run.start), parts(run.joint)
    assert not [name for name in start if "head.safetensors" in name]
    assert all(torch.equal(start[n], end[n]) == n.startswith("backbone") for n in start)


def test_gradient_checkpointing_trains_the_same(trained: Runs, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    """With experts' dropout in the layers: recomputing draws the same units again."""
    for name, word in (("plain", "false"), ("again", "true")):
        joint(trained("modernbert"), prepared, tmp_path / name, f"gradient_checkpointing={word}")
    plain, again = (parts(tmp_path / name / "moe_joint") for name in ("plain", "again"))
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_data_and_domains_must_match(change: str, trained: Runs, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    data = {"news": prepared["news"]} if change == "missing" else dict(prepared)
    says = "nothing given for domain forum" if change == "missing" else "no expert for domain notices"
    settings = JointConfig.load(None, JOINT)
    with pytest.raises(DataError, match=rf"{says}; give --data NAME=DIR once for each of news, forum"):
        train_joint(trained("bert").start, data, tmp_path / "j", settings=settings, device="cpu")
    with pytest.raises(DataError, match=r"train\.csv: missing"):
        joint(trained("bert"), dict.fromkeys(DOMAINS, tmp_path), tmp_path / "j")
    assert not (tmp_path / "j").exists(), "a mistake at the door leaves nothing that a second try would stumble over"


def test_finished_and_unfinished_folders(trained: Runs, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    facts = joint(trained("bert"), prepared, tmp_path / "j")
    with pytest.raises(ConfigError, match="holds a finished run; name another --out"):
        joint(trained("bert"), prepared, tmp_path / "j")
    assert joint(trained("bert"), prepared, tmp_path / "j", resume=True) == facts
    (tmp_path / "half" / "run").mkdir(parents=True)
    (tmp_path / "warmed" / "router_warmup").mkdir(parents=True)  # of another start, perhaps, whose run was removed
    for name in ("half", "warmed"):
        with pytest.raises(ConfigError, match="holds an unfinished run; add --resume"):
            joint(trained("bert"), prepared, tmp_path / name)


def test_a_start_that_is_no_mixture(trained: Runs, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    settings, data = JointConfig.load(None, JOINT), {d: prepared[d] for d in DOMAINS}
    with pytest.raises(ModelError, match="no such folder; give the folder that train-joint, merge or add-domain wrote"):
        train_joint(tmp_path / "none", data, tmp_path / "j", settings=settings, device="cpu")
    with pytest.raises(ModelError, match="model_type 'bert', expected 'finsa_moe'"):
        train_joint(trained("bert").backbone, data, tmp_path / "j", settings=settings, device="cpu")


def test_a_batch_teaches_the_same_however_it_is_cut(
    trained: Runs, prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    """Eight rows at once, or two rows four times: the mean loss of the eight, and its gradient."""
    still = MergeConfig.load(None, ["router_dropout=0", "head_dropout=0", "expert_dropout=0"])
    merge(trained("bert").experts, tmp_path / "start", settings=still, device="cpu")
    asked = ("router_steps=0", "max_steps=1", "log_steps=1", "balance_weight=0")
    told = {}
    for size, times in ((8, 1), (2, 4)):
        out = tmp_path / str(size)
        settings = JointConfig.load(None, [*JOINT, *asked, f"batch_size={size}", f"gradient_accumulation={times}"])
        data = {domain: prepared[domain] for domain in DOMAINS}
        train_joint(tmp_path / "start", data, out, settings=settings, device="cpu")
        lines = (out / "run" / "moe_joint" / "statistics.jsonl").read_text().splitlines()
        told[size] = next(row for row in map(json.loads, lines) if "grad_norm" in row)
    for name in ("loss", "grad_norm"):
        assert told[2][name] == pytest.approx(told[8][name], rel=1e-3)
