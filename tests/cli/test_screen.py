"""The command as it was typed, for shells to take again."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from finsa_moe.cli import app as finsa
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


def test_other_peoples_texts_mean_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    screen().print("[bold]a[/]")
    screen(markup=False).print("[bold]a[/] :smile:")
    assert capsys.readouterr().out == "a\n[bold]a[/] :smile:\n"


def test_every_option_says_what_it_is_in_a_sentence() -> None:
    """No fragment that only who wrote it can complete, such as "Of the draws."."""
    for verb, command in typer.main.get_command(finsa).commands.items():  # type: ignore[attr-defined]
        for option in command.params:
            said = getattr(option, "help", None) or ""
            assert not said.startswith("Of "), (verb, option.name, said)
            assert option.name != "seed" or said.startswith("Random seed for "), (verb, said)
