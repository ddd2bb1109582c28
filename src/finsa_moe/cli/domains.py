"""``finsa add-domain`` and ``finsa remove-domain``: an expert more or one fewer in a finished mixture.

They turn options into calls of the training and export rooms, and print what changed for every domain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finsa_moe.cli.grown import astray, show, show_worth, warnings
from finsa_moe.cli.options import Date, Device, HoldOut, Id, Label, Labels, Resume, Set, Text, pairs_of
from finsa_moe.cli.targets import check_folder

Export = Annotated[bool, typer.Option("--export/--no-export", help="Also write the torch-free runtime.")]
Runtime = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Export of MODEL, whose calibration the old experts keep; left out: the one beside MODEL."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("add-domain")(add_domain)
    app.command("remove-domain")(remove_domain)


def add_domain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A mixture; 'default' is the project's own.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new domain.")],
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Its folder of rows, made by finsa prepare.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it gets the folders expert, moe and runtime.")],
    config: Annotated[Path | None, typer.Option(metavar="YAML", help="Settings file with a section 'domain'.")] = None,
    set_: Set = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Labelled rows of a domain to score before and after. Repeatable."),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="Texts of each old domain, where MODEL keeps no sample of its own. Repeatable."
        ),
    ] = None,
    export: Export = True,
    runtime: Runtime = None,
    resume: Resume = False,
    device: Device = None,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
    hold_out: HoldOut = None,
) -> None:  # fmt: skip
    """Add an expert for one more domain; the old experts stay as they are, to the bit."""
    from finsa_moe.errors import require

    require("torch", "train", "adding a domain")
    check_folder(out)
    from finsa_moe.config import DomainConfig
    from finsa_moe.data.duplicates.held_out import HeldOut
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.judging import grown, worth
    from finsa_moe.model.checkpoint import read_config
    from finsa_moe.model.growth import check_new
    from finsa_moe.model.reading import Reading
    from finsa_moe.polarity import LabelMap
    from finsa_moe.training.batches import read_split
    from finsa_moe.training.domains import MOE
    from finsa_moe.training.domains import add_domain as run

    source = _source(model)
    settings = DomainConfig.load(config, set_ or [])
    before = read_config(source)
    check_new(before, source, name)
    reading = Reading(Columns(text=text, label=label, id=id, date=date), LabelMap.parse(labels))
    loose = Reading(Columns(text=text, label=label, loose=True), reading.labels)
    files = pairs_of(check, "--check") if check else {}
    checks = grown.read_checks(files, before.domains, name, loose)
    if name not in checks and (own := grown.own_rows(data)):
        files[name] = own
        checks |= grown.read_checks({name: own}, before.domains, name, reading)
    held = read_texts(hold_out or [], text)
    facts = run(
        source, name, data, out, settings=settings, resume=resume, device=device, reading=reading,
        replay=pairs_of(replay, "--replay") if replay else None, held_out=held, say=_say,
    )  # fmt: skip
    moved = grown.scores(source, out / MOE, checks, device)
    show(facts["sent_to_own"], moved)
    if name in checks:
        learnt = read_split(data, "train", reading).apart(HeldOut(held))
        show_worth(files[name], worth.beside(out / MOE, name, checks[name], learnt, device))
    for line in (*warnings(before.domains, moved), *astray(name, moved, settings.taken)):
        _say(line)
    typer.echo(f"written to {out / MOE}")
    if export:
        if resume and (out / "runtime").is_dir():  # it gets its name when it is whole
            typer.echo(f"{out / 'runtime'} was written before")
        else:
            _export(out, source, runtime)


def remove_domain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A mixture.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Domain to take out.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it gets the folders moe and runtime.")],
    export: Export = True,
    runtime: Runtime = None,
) -> None:
    """Take an expert out of a mixture; what remains stays as it is, to the bit.

    Metrics, settings and temperatures of the domains that remain are as they were: it undoes add-domain.
    """
    from finsa_moe.errors import require

    require("torch", "train", "removing a domain")
    check_folder(out)
    from finsa_moe.model.checkpoint import read_config
    from finsa_moe.model.growth import remove
    from finsa_moe.model.replay import REPLAY, read_replay

    source = _source(model)
    states = read_replay(source, read_config(source).domains) if (source / REPLAY).is_file() else None
    remove(source, out / "moe", name, states)
    typer.echo(f"written to {out / 'moe'}: {', '.join(read_config(out / 'moe').domains)}")
    if export:
        _export(out, source, runtime, keep=True)


def _source(model: Path) -> Path:
    if str(model) == "default" and not model.is_dir():
        from finsa_moe import shipped

        return shipped.weights("backbone").parent
    return model


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _export(out: Path, source: Path, earlier: Path | None, *, keep: bool = False) -> None:
    from finsa_moe.cli.export import show
    from finsa_moe.export.export import export_mixture
    from finsa_moe.training.domains import MOE

    made = export_mixture(out / MOE, out / "runtime", earlier=earlier or _beside(source), keep=keep, say=_say)
    show(made, out / "runtime")


def _beside(source: Path) -> Path | None:
    """The export of a mixture, where it is usually written; None where there is none."""
    from finsa_moe import shipped
    from finsa_moe.errors import ModelError
    from finsa_moe.runtime.folder import CONFIG

    try:
        ours = source.resolve() == shipped.weights("backbone").parent.resolve()
    except ModelError:  # the default model's weights are not here, so these are a user's own
        ours = False
    place = shipped.MODEL if ours else source.parent / "runtime"
    return place if (place / CONFIG).is_file() else None
