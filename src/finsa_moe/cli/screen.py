"""What the verbs print on, and what was typed.

It knows Rich and Typer, and nothing of what is printed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 160  # a file or a pipe has no width of its own; Rich would take 80 columns and fold cells


def screen(*, markup: bool = True) -> Console:
    """Standard output: as wide as the terminal, plain and wide where there is none.

    Args:
        markup: Whether ``[bold]`` and ``:smile:`` mean something; in other people's texts they do not.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=markup, emoji=markup)
    return console if console.is_terminal else Console(highlight=False, markup=markup, emoji=markup, width=_WIDE)


def remark_on_fonts(names: Iterable[str] | None = None) -> None:
    """Tell who has drawn a picture when Chinese could not be written in it.

    Args:
        names: All names in it; nothing is told where they are plain. None where they are not known.
    """
    from finsa_moe.data.fonts import chinese_font

    if names is not None and all(map(str.isascii, names)):
        return
    if chinese_font() is None:
        typer.echo(
            "no font here writes Chinese, so the picture has numbers instead; install one (Debian: fonts-noto-cjk) "
            "and draw it again",
            err=True,
        )


def typed(context: typer.Context) -> str:
    """The command with the arguments and options that were given, as a shell takes it."""
    words = ["finsa", str(context.info_name)]
    for parameter in context.command.params:
        name = parameter.name or ""
        if not _typed(context, name):
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [str(one)] if parameter.param_type_name == "argument" else [parameter.opts[0], str(one)]
    return shlex.join(words)


def idle(context: typer.Context, *names: str) -> str:
    """Those of some options, by their parameters' names, that were typed: as ``--port, --open/--no-open``, or empty."""
    found = [one for one in context.command.params if one.name in names and _typed(context, one.name)]
    return ", ".join("/".join([one.opts[0], *one.secondary_opts[:1]]) for one in found)


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
