"""Options that several verbs share are bounded in each of them."""

from __future__ import annotations

import click
import pytest
import typer

from finsa_moe.cli import app, main

_VERBS: dict[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _with(option: str) -> list[str]:
    return [verb for verb, command in _VERBS.items() if any(option in one.opts for one in command.params)]


@pytest.mark.parametrize(
    ("option", "value", "span"),
    [("--seed", "-1", "0<=x<=4294967295"), ("--seed", "4294967296", "0<=x<=4294967295")]
    + [("--abstain-below", value, "0<=x<=1") for value in ("-0.1", "1.5")],
)
def test_a_value_outside_its_bounds_is_refused_by_every_verb(
    option: str, value: str, span: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verbs = _with(option)
    assert len(verbs) > 2
    for verb in verbs:
        assert main([verb, "a", option, value]) == 2
        told = capsys.readouterr().err
        assert option in told
        assert span in told, verb
