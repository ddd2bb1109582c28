"""One process at a run's folder at a time, no model written over, and a full disk is one line that says how to go on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from finsa_moe.config import AdaptConfig, ExpertConfig, PretrainConfig
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.training import pretrain as compact_training
from finsa_moe.training import trainer
from finsa_moe.training.adapt import adapt
from finsa_moe.training.compact import pretrain
from finsa_moe.training.expert import train_expert
from finsa_moe.training.resume import LOCK, at_work, check_own
from tests.conftest import EXPERT
from tests.families import made_rows
from tests.training.test_compact import SETTINGS
from tests.training.test_domains import hashes
from tests.training.test_resume import break_off

pytestmark = pytest.mark.usefixtures("one_thread")
HELD = "run: another process trains here; wait for its end or name another --out"
RUST = "Error while serializing: I/O error: No space left on device (os error 28)"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def expert(prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path) -> Run:
    def run(resume: bool = True) -> dict[str, Any]:
        return train_expert("news", prepared["news"], tmp_path / "e", backbone=str(backbone_of("bert")), resume=resume,
                            settings=ExpertConfig.load(None, EXPERT), device="cpu")  # fmt: skip

    return run


@pytest.fixture
def compact(tmp_path: Path) -> Run:
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(text for text, _ in made_rows("news", 60)), encoding="utf-8")

    def run(out: Path, resume: bool = False, init: Path | None = None) -> dict[str, Any]:
        settings = PretrainConfig(**SETTINGS | {"max_steps": 2, "save_minutes": 0.0})
        return pretrain([source], out, settings, resume=resume, init=init, device="cpu")

    return run


def test_a_folder_is_held_by_one_and_free_when_it_ends(tmp_path: Path) -> None:
    for _ in range(2):
        with at_work(tmp_path / "run"), at_work(tmp_path / "run", first=False):
            with pytest.raises(ConfigError, match=HELD), at_work(tmp_path / "run"):
                pass
            assert (tmp_path / "run" / LOCK).is_file()
        assert not (tmp_path / "run" / LOCK).exists()
        (tmp_path / "run" / LOCK).touch()  # as a killed process leaves it


def test_a_run_that_another_process_is_at_is_left_to_it(
    expert: Run, compact: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a second would take the checkpoint that the first is writing for one cut short, and remove it."""
    break_off(monkeypatch, 3, lambda: expert(False))
    begun = tmp_path / "e" / "run" / "checkpoints" / "checkpoint-3"
    begun.mkdir()
    with at_work(tmp_path / "e" / "run"), pytest.raises(ConfigError, match=HELD):
        expert()
    assert begun.is_dir()
    assert expert()["steps"] == 4
    compact(tmp_path / "b")
    writing = tmp_path / "b" / "run" / ".state.tmp1"
    writing.mkdir()
    with at_work(tmp_path / "b" / "run"), pytest.raises(ConfigError, match=HELD):
        compact(tmp_path / "b", True)
    assert writing.is_dir()


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ("save_file", SafetensorError(RUST), r"Error while serializing: .*No space left on device \(os error 28\)"),
        ("save", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "a full disk, most"),
        ("save", OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)  # fmt: skip
def test_a_full_disk_is_one_line(
    place: str, error: Exception, told: str, expert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*(trainer, "save_file") if place == "save_file" else (torch, "save"), full)
        with pytest.raises(DataError, match=rf"run: .*{told}.*; see to that disk and go on, with --resume"):
            expert(False)
    assert expert()["steps"] == 4
    assert (tmp_path / "e" / "expert.json").is_file()


def test_a_full_disk_while_pre_training(compact: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError(RUST)

    with monkeypatch.context() as patch:
        patch.setattr(compact_training, "save_file", full)
        with pytest.raises(DataError, match=r"run: .*No space left.*; see to that disk and go on"):
            compact(tmp_path / "b")
    assert compact(tmp_path / "b", True)["steps"] == 2


def test_other_errors_are_what_they_are(tmp_path: Path) -> None:
    for error in (RuntimeError("shape '[2]' is invalid"), FileNotFoundError(errno.ENOENT, "no such file")):
        with pytest.raises(type(error)) as caught, at_work(tmp_path):
            raise error
        assert caught.value is error


def test_no_backbone_is_written_over_its_source_or_another_model(
    compact: Run, prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    compact(source)
    shutil.copytree(backbone_of("bert"), other)
    before = hashes(source), hashes(other)

    def adapted(out: Path, resume: bool, backbone: Path = source) -> None:
        asked = AdaptConfig.load(None, ["max_steps=1", "eval_steps=1", "trackers=none", "bf16=false", "max_length=64"])
        adapt(
            str(backbone), out, tasks={"news": prepared["news"]}, soft={}, settings=asked, resume=resume, device="cpu"
        )

    def expert(out: Path, resume: bool) -> None:
        train_expert("news", prepared["news"], out, backbone=str(source), settings=ExpertConfig.load(None, EXPERT),
                     resume=resume, device="cpu")  # fmt: skip

    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"source: is read here"):
            expert(source, resume)
        with pytest.raises(ConfigError, match=r"other: holds a model already"):
            expert(other, resume)
        with pytest.raises(ConfigError, match=r"source: is read here, and would be written over; name another --out"):
            adapted(tmp_path / "other" / ".." / "source", resume)
        with pytest.raises(ConfigError, match=r"other: holds a model already \(config\.json\); name another --out"):
            adapted(other, resume)
        with pytest.raises(ConfigError, match=r"source: holds a model already"):
            adapted(source, resume, other)
        with pytest.raises(ConfigError, match=r"source: is read here"):
            compact(source, resume, source)
        with pytest.raises(ConfigError, match=r"other: holds a model already"):
            compact(other, resume)
    assert (hashes(source), hashes(other)) == before
    adapted(tmp_path / "third", False)
    with pytest.raises(ConfigError, match=r"third: holds a model already"):
        compact(tmp_path / "third", True)


def test_what_a_kill_left_of_its_own_may_be_written_again(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    check_own(tmp_path, Path("bert-base-chinese"), begun=True)
