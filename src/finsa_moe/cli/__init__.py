"""The command `finsa`: one verb a stage, each a thin function in a file of this folder.

Importing it loads no room of the package; a verb imports what it runs when it is called. Errors of the user end with
one line on stderr and status 2.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from finsa_moe.cli import (
    audit,
    augment,
    card,
    compare,
    domains,
    drift,
    evaluate,
    explain,
    export,
    index,
    label,
    predict,
    prepare,
    score,
    serve,
    settings,
    train,
)
from finsa_moe.cli.standard import drop, open_closed
from finsa_moe.errors import FinSAError, missing_extra
from finsa_moe.files import FULL

app = typer.Typer(
    name="finsa",
    help="Sentiment of Chinese financial text (利空 / 中性 / 利好) by a mixture of LoRA experts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _room in (
    prepare,
    audit,
    augment,
    train,
    settings,
    export,
    evaluate,
    compare,
    card,
    predict,
    explain,
    domains,
    label,
    drift,
    score,
    index,
    serve,
):
    _room.register(app)


def _version(shown: bool) -> None:
    if shown:
        from finsa_moe import __version__

        typer.echo(f"finsa {__version__}")
        raise typer.Exit


@app.callback()
def _finsa(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for an error of the user."""
    # Remarks of the libraries underneath say nothing a user of this command could act on.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    open_closed()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of what was left has gone
        drop()
        return 0
    except OSError as error:
        if error.errno not in FULL:
            raise
        try:
            sys.stdout.flush()  # what was printed before a file that cannot be written
        except OSError:
            drop()
        what = error.filename or "what is printed"
        print(f"finsa: {what} cannot be written: {error.strerror}; make room, or let it go elsewhere", file=sys.stderr)
        return 2
    return status


def _run(arguments: list[str] | None) -> int:
    try:
        app(args=arguments, standalone_mode=True)
    except FinSAError as error:
        print(f"finsa: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        print(f"finsa: {missing}", file=sys.stderr)
        return 2
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def entry() -> None:
    """What the installed command calls."""
    sys.exit(main())
