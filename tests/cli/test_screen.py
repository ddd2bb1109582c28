"""The command as it was typed, for shells to take again."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from finsa_moe.cli.screen import screen, typed


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("a.csv b.csv", "finsa verb a.csv b.csv"),
        ("--n 4 'a b.csv' --no-scores", "finsa verb 'a b.csv' --n 4 --no-scores"),
        ("a.csv --keep x --keep y --force --scores", "finsa verb a.csv --scores --force --keep x --keep y"),
    ],
)
def test_only_what_was_given(words: str, again: str) -> None:
    app = typer.Typer()

    @app.command("verb")
    def verb(
        context: typer.Context,
        files: list[str],
        n: Annotated[int, typer.Option("--n")] = 4,
        scores: Annotated[bool, typer.Option("--scores/--no-scores")] = True,
        force: Annotated[bool, typer.Option("--force")] = False,
        keep: Annotated[list[str] | None, typer.Option()] = None,
    ) -> None:
        typer.echo(typed(context))

    result = CliRunner().invoke(app, words, prog_name="verb")
    assert result.output.strip() == again


def test_a_pipe_is_wide(capsys: pytest.CaptureFixture[str]) -> None:
    screen().print("x" * 150)
    assert capsys.readouterr().out == "x" * 150 + "\n"
