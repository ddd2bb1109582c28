"""``finsa settings``: what ``--set`` can change, stage by stage."""

from __future__ import annotations

from typing import Annotated

import typer

from finsa_moe.cli.options import Config
from finsa_moe.errors import ConfigError, closest


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("settings")(settings)


def settings(
    stage: Annotated[str | None, typer.Argument(metavar="[STAGE]", help="One section alone; without it, all.")] = None,
    config: Config = None,
) -> None:
    """List every setting of a stage: its value, what it may be, what it means."""
    from rich.table import Table

    from finsa_moe.cli.screen import screen
    from finsa_moe.config import STAGES
    from finsa_moe.settings import VERBS, settings_of, shown

    if stage is not None and stage not in STAGES:
        raise ConfigError(f"{stage}: no such stage{closest(stage, list(STAGES))}; known are {', '.join(STAGES)}")
    for name in [stage] if stage else STAGES:
        table = Table(title=f"{name}: {VERBS[name]} --set …", title_justify="left", title_style="bold")
        table.add_column("setting", no_wrap=True)  # who looks for a name finds it in one line
        for column in ("default" if config is None else "value", "allowed", "meaning"):
            table.add_column(column, overflow="fold")
        for setting in settings_of(name, STAGES[name].load(config) if config else None):
            table.add_row(setting.name, shown(setting.value), setting.allowed, setting.meaning)
        screen(markup=False).print(table)
