"""``finsa card``: the README.md of a saved model, from what a comparison or an evaluation measured.

It reads the model's folder and the result, and writes one file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.targets import check_targets
from finsa_moe.files import read_json, write

if TYPE_CHECKING:
    from finsa_moe.evaluation.card import Subject

NAME = "README.md"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("card")(card)


def card(
    model: Annotated[Path, typer.Argument(help="Model folder.", show_default=False)],
    results: Annotated[
        Path,
        typer.Option(
            metavar="JSON",
            help="What was measured: comparison.json of finsa compare, or the --json file of finsa evaluate.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F", help=f"File to write; left out: the model's {NAME}.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the card calls the model; left out: its folder's name.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace the file even if finsa card did not make it, or its notes cannot be found."
        ),
    ] = False,
) -> None:
    """Write a model's card: what it is, its scores with intervals beside other models, routing, leaks, how measured."""
    from finsa_moe import shipped
    from finsa_moe.errors import DataError
    from finsa_moe.evaluation.card import card as written
    from finsa_moe.evaluation.measured import measured

    load, model = str(model), shipped.place(model)
    target = out or model / NAME
    subject = _subject(model, name)
    check_targets(target)
    facts = read_json(results, "name what finsa compare or finsa evaluate --json wrote", error=DataError)
    found = measured(facts, model, source=str(results), default=shipped.MODEL)
    page = written(subject, found, load=load, notes=_notes(target, force=force))
    write(target, page)
    typer.echo(f"saved {target}: {len(found.lines)} test sets, {len(found.beside)} models beside")


def _notes(target: Path, *, force: bool) -> str:
    """What a person wrote into the card that stands already, if one does.

    Raises:
        ConfigError: If what stands there would be lost, unless forced.
    """
    from finsa_moe.errors import ConfigError
    from finsa_moe.evaluation.card import MARK, NOTES, notes_of

    raw = target.read_bytes() if target.is_file() else b""
    try:
        old = raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        old = ""
    notes = notes_of(old) if MARK in old else None
    if notes is not None or not raw.strip() or force:
        return notes or ""
    if MARK.encode() not in raw:
        raise ConfigError(f"{target}: stands already and was not made by finsa card; --out F, or --force to replace it")
    if not old:
        raise ConfigError(f"{target}: not UTF-8, so its notes cannot be read; save it so, or --force to replace it")
    raise ConfigError(
        f"{target}: where its notes begin cannot be found; put the line {NOTES} above them, or --force to replace all"
    )


def _subject(model: Path, name: str | None) -> Subject:
    from finsa_moe.errors import ModelError
    from finsa_moe.evaluation.card import Subject
    from finsa_moe.model.history import METRICS

    if not (model / "config.json").is_file():
        raise ModelError(f"{model}: holds no model (no config.json); name the folder that train-joint or export wrote")
    config = read_json(model / "config.json")
    if not config.get("domains"):
        raise ModelError(f"{model}: config.json names no domains, so it is no mixture; a card needs one")
    experts = {
        domain: read_json(path)
        for domain in config["domains"]
        if (path := model / "experts" / domain / "expert.json").is_file()
    }
    return Subject(
        name or model.resolve().name, config, experts, read_json(model / METRICS, absent={}),
        read_json(model / "export.json", absent={}).get("calibration", {}),
    )  # fmt: skip
