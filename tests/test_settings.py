"""Every setting is explained, once, and the page says what the code does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finsa_moe.cli import app, main, screen
from finsa_moe.config import STAGES
from finsa_moe.settings import MEANINGS, VERBS, page, settings_of

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == page(), "write it anew: python -c 'from finsa_moe.settings import page; print(page(), end=\"\")'"


def test_a_meaning_for_every_setting_and_none_for_what_is_no_setting() -> None:
    names = {f"{stage}.{spec.name}" for stage, kind in STAGES.items() for spec in dataclasses.fields(kind)}
    assert list(VERBS) == list(STAGES)
    assert all(setting.meaning for stage in STAGES for setting in settings_of(stage))
    for key in MEANINGS:
        assert key in names if "." in key else any(name.endswith(f".{key}") for name in names), key


def test_values_of_a_configuration_stand_where_one_is_named() -> None:
    printed = CliRunner().invoke(app, ["settings", "expert", "--config", "laptop"]).output
    row = next(line for line in printed.splitlines() if " learning_rate " in line)
    kind = STAGES["expert"]
    assert f"{kind.load(Path('laptop')).learning_rate:g}" in row
    assert "router_hidden" not in printed  # another stage's


@pytest.mark.parametrize("width", [60, 80, None])
def test_every_name_stands_whole_in_one_line(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For ``| grep``; in a narrow terminal, too."""
    if width is not None:
        monkeypatch.setattr(screen, "_WIDE", width)
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for stage in STAGES:
        for setting in settings_of(stage):
            assert any(f" {setting.name} " in line for line in lines), setting.name
    assert max(map(len, lines)) <= (width or screen._WIDE)


def test_an_unknown_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "experts"]) == 2
    assert capsys.readouterr().err == (
        "finsa: experts: no such stage; did you mean 'expert'?; known are pretrain, adapt, expert, merge, joint, domain\n"
    )
