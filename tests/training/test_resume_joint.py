"""Joint training killed at any moment resumes to the same end (the seventh promise), broken off as in `test_resume`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.config import JointConfig, MergeConfig
from finsa_moe.errors import ConfigError, FinSAError
from finsa_moe.training import joint as stage_three
from finsa_moe.training.joint import train_joint
from finsa_moe.training.merge import merge
from tests.conftest import DOMAINS, JOINT, Trained
from tests.training.test_resume import LONG, KillError, break_off, same, tensors

pytestmark = pytest.mark.usefixtures("one_thread")
Joint = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_joint(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Joint:
    start = tmp_path_factory.mktemp("start") / "moe_init"
    merge(trained("modernbert").experts, start, settings=MergeConfig(), device="cpu")

    def run(out: Path, resume: bool = False, *overrides: str) -> dict[str, Any]:
        settings = JointConfig.load(None, [*JOINT, *LONG, "router_steps=4", "harden_at=0.5", *overrides])
        data = {domain: prepared[domain] for domain in DOMAINS}
        return train_joint(start, data, out, settings=settings, resume=resume, device="cpu")

    return run


@pytest.fixture(scope="module")
def whole_joint(run_joint: Joint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "j"
    run_joint(out)
    return out


def joint_equal(out: Path, whole: Path) -> None:
    parts = ("router_warmup", "moe_joint")
    same(tensors(*(out / part for part in parts)), tensors(*(whole / part for part in parts)))
    for part in parts:
        ours, theirs = (json.loads((folder / part / "metrics.json").read_text()) for folder in (out, whole))
        for key in ("steps", "best_step", "train_loss"):
            assert ours[key] == theirs[key]
        assert ours["validation"]["routing_accuracy"] == theirs["validation"]["routing_accuracy"]
    assert not list(out.rglob("checkpoints"))
    assert not list(out.rglob("*.pt*"))


@pytest.mark.parametrize(
    "kills", [(3,), pytest.param((3, 7), marks=pytest.mark.slow), (4,), pytest.param((1, 6, 9), marks=pytest.mark.slow)]
)
def test_joint_training_broken_off(
    kills: tuple[int, ...], run_joint: Joint, whole_joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the warm-up, at its end, and in the joint phase before and after the gate hardens.

    A kill after step s breaks the phase in which the Trainer first reaches it: the warm-up has four steps.
    """
    for step in kills:
        break_off(monkeypatch, step, lambda: run_joint(tmp_path / "j", True))
    assert not (tmp_path / "j" / "moe_joint").exists()
    with pytest.raises(ConfigError, match="holds an unfinished run; add --resume"):
        run_joint(tmp_path / "j")
    run_joint(tmp_path / "j", True)
    joint_equal(tmp_path / "j", whole_joint)


@pytest.mark.parametrize("at", ["save_mixture", "finish"])
@pytest.mark.parametrize("phase", [0, 1])
def test_joint_training_killed_between_its_phases(
    at: str, phase: int, run_joint: Joint, whole_joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(stage_three, at), []

    def killed(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) > phase:
            raise KillError
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(stage_three, at, killed)
        with pytest.raises(KillError):
            run_joint(tmp_path / "j")
    facts = run_joint(tmp_path / "j", True)
    for part in ("router_warmup", "moe_joint"):
        assert facts[part] == json.loads((tmp_path / "j" / part / "metrics.json").read_text())
    joint_equal(tmp_path / "j", whole_joint)


@pytest.mark.parametrize("phase", ["router_warmup", "moe_joint"])
def test_a_mixture_has_its_name_only_when_all_of_it_is_written(
    phase: str, run_joint: Joint, whole_joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stage_three.write_replay

    def killed(folder: Path, *rest: Any) -> None:
        if phase in folder.name:
            raise KillError
        real(folder, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(stage_three, "write_replay", killed)
        with pytest.raises(KillError):
            run_joint(tmp_path / "j")
    assert not (tmp_path / "j" / phase).exists()
    run_joint(tmp_path / "j", True)
    joint_equal(tmp_path / "j", whole_joint)


def test_joint_training_goes_on_with_the_settings_it_began_with(
    run_joint: Joint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, 3, lambda: run_joint(tmp_path / "j"))
    with pytest.raises(FinSAError, match=r"routing_weight.*resume with the same settings"):
        run_joint(tmp_path / "j", True, "routing_weight=0.5")
