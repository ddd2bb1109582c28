"""A run that goes on has the settings it began with, also where a newer release knows more of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from finsa_moe.config import ExpertConfig
from finsa_moe.errors import ConfigError
from finsa_moe.training.resume import keep_settings


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    keep_settings(tmp_path, ExpertConfig.load(None, ["seed=5"]), resume=False)
    return tmp_path


def test_another_setting_is_refused(kept: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml: rank was 16, now 8; resume with the same settings or name"):
        keep_settings(kept, ExpertConfig.load(None, ["seed=5", "rank=8"]), resume=True)
    assert ExpertConfig.load(kept / "config.yaml").rank == 16


def test_what_no_weight_depends_on_may_change(kept: Path) -> None:
    keep_settings(kept, ExpertConfig.load(None, ["seed=5", "log_steps=3"]), resume=True)


def test_a_run_older_than_a_setting_had_its_default(kept: Path) -> None:
    path = kept / "config.yaml"
    old = yaml.safe_load(path.read_text(encoding="utf-8"))
    del old["expert"]["shard_backbone"]
    path.write_text(yaml.safe_dump(old), encoding="utf-8")
    with pytest.raises(ConfigError, match="shard_backbone was False, now True"):
        keep_settings(kept, ExpertConfig.load(None, ["seed=5", "shard_backbone=true"]), resume=True)
    keep_settings(kept, ExpertConfig.load(None, ["seed=5"]), resume=True)
    assert "shard_backbone" in path.read_text(encoding="utf-8")
