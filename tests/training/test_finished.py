"""A finished run that is asked for again gives its facts back; asked for as another one, it is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.config import AdaptConfig, ExpertConfig, JointConfig
from finsa_moe.errors import ConfigError
from finsa_moe.training.adapt import adapt
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import train_joint
from tests.conftest import DOMAINS, EXPERT, JOINT, Trained
from tests.families import make_backbone
from tests.training.test_kept_inputs import copied, refused

pytestmark = pytest.mark.usefixtures("one_thread")
Facts = dict[str, Any]


def other_setting(run: Callable[[], object], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"config.yaml: {name} was .*; resume with the same settings or"):
        run()


def test_an_expert(trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    run, out = trained("bert"), tmp_path / "e"
    shutil.copytree(run.experts["news"], out)

    def again(*overrides: str, domain: str = "news", **changes: Any) -> Facts:
        asked = {"data": prepared["news"], "backbone": str(run.backbone), **changes}
        settings = ExpertConfig.load(None, [*EXPERT, *overrides])
        return train_expert(domain, out=out, settings=settings, resume=True, device="cpu", **asked)

    facts, marks = again("log_steps=3"), out / "run" / "inputs.json"
    assert (facts["domain"], facts["steps"]) == ("news", 4)
    refused(out / "expert.json", "domain", lambda: again(domain="forum"))
    other_setting(lambda: again("learning_rate=1e-5"), "learning_rate")
    refused(marks, "training rows", lambda: again(data=prepared["forum"]))
    refused(marks, "backbone", lambda: again(backbone=str(make_backbone("bert", tmp_path / "b", seed=5))))
    refused(marks, "start", lambda: again(start=run.experts["news"]))
    marks.unlink()  # as an earlier version left it
    assert again() == facts
    assert not marks.exists(), "nothing says that the first to ask again asks for the same"
    (out / "run" / "config.yaml").write_text("expert: {no_longer: 1}\n", encoding="utf-8")
    assert again() == facts
    shutil.rmtree(out / "run")
    assert again() == facts


def test_an_expert_s_domain_while_it_is_unfinished(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    run, out = trained("bert"), tmp_path / "e"
    shutil.copytree(run.experts["news"] / "run", out / "run")

    def other() -> Facts:
        settings = ExpertConfig.load(None, EXPERT)
        return train_expert("forum", prepared["news"], out, backbone=str(run.backbone), settings=settings, resume=True,
                            device="cpu")  # fmt: skip

    refused(out / "run" / "inputs.json", "domain", other)


def test_a_whole_backbone(prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path) -> None:
    out, asked = tmp_path / "out", ("max_steps=2", "eval_steps=2", "batch_size=8", "trackers=none", "bf16=false")

    def run(*overrides: str, name: str = "news", rows: Path = prepared["news"], **changes: Any) -> Facts:
        options = {"backbone": str(backbone_of("bert")), "resume": True, **changes}
        settings = AdaptConfig.load(None, [*asked, "max_length=64", *overrides])
        return adapt(out=out, tasks={name: rows}, soft={}, settings=settings, device="cpu", **options)

    facts, marks = run(resume=False), out / "run" / "inputs.json"
    assert run() == facts
    other_setting(lambda: run("seed=14"), "seed")
    refused(marks, "tasks", lambda: run(name="boards"))
    refused(marks, "training rows", lambda: run(rows=prepared["forum"]))
    refused(marks, "backbone", lambda: run(backbone=str(make_backbone("bert", tmp_path / "b", seed=5))))
    marks.unlink()
    assert run() == facts


def test_a_mixture(trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    whole, out = trained("bert"), tmp_path / "j"
    shutil.copytree(whole.out, out)
    data: dict[str, Path] = {domain: prepared[domain] for domain in DOMAINS}

    def again(*overrides: str, **changes: Any) -> Facts:
        asked = {"start": whole.start, "data": data, **changes}
        settings = JointConfig.load(None, [*JOINT, *overrides])
        return train_joint(out=out, settings=settings, resume=True, device="cpu", **asked)

    facts, marks = again(), out / "run" / "inputs.json"
    assert list(facts) == ["router_warmup", "moe_joint"]
    other_setting(lambda: again("routing_weight=0.5"), "routing_weight")
    anew = copied(prepared["forum"], tmp_path / "anew", "train", "利好", "中性")
    refused(marks, "training rows", lambda: again(data={**data, "forum": anew}))
    refused(marks, "start", lambda: again(start=whole.joint))
    marks.unlink()
    assert again() == facts
