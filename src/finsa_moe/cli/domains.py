"""``finsa add-domain`` and ``finsa remove-domain``: an expert more or one fewer in a finished mixture.

They turn options into calls of the training and export rooms, and print what changed for every domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from finsa_moe.cli.options import Date, Device, HoldOut, Id, Label, Labels, Text, named


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("add-domain")(add_domain)
    app.command("remove-domain")(remove_domain)


def add_domain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A mixture; 'default' is the project's own.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new domain.")],
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Its folder, made by finsa prepare.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: expert, moe and runtime in it.")],
    config: Annotated[Path | None, typer.Option(metavar="YAML", help="Settings; a section 'domain'.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Labelled rows of a domain to score before and after. Repeatable."),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Texts of each old domain, where MODEL keeps no sample of its own."),
    ] = None,
    export: Annotated[bool, typer.Option("--export/--no-export", help="Also write the torch-free runtime.")] = True,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="MODEL's own export, whose temperatures the old experts keep; left out: "
                     "beside MODEL."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in --out.")] = False,
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
    from finsa_moe.config import DomainConfig
    from finsa_moe.data.columns import Columns
    from finsa_moe.data.read import read_texts
    from finsa_moe.polarity import LabelMap
    from finsa_moe.training.domains import MOE
    from finsa_moe.training.domains import add_domain as run

    source = _source(model)
    settings = DomainConfig.load(config, set_ or [])
    checked = named(check, "--check") if check else {}
    facts = run(
        source, name, data, out, settings=settings, resume=resume, device=device,
        columns=Columns(text=text, label=label, id=id, date=date), labels=LabelMap.parse(labels),
        replay=named(replay, "--replay") if replay else None, held_out=read_texts(hold_out or []), say=_say,
    )  # fmt: skip
    for file in ("test", "valid"):
        path = data / f"{file}.csv"
        if name not in checked and _rows(path):
            checked[name] = path
    _table(facts, _scores(source, out / MOE, checked, device))
    typer.echo(f"written to {out / MOE}")
    if export:
        _export(out, source, runtime)


def remove_domain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A mixture.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Domain to take out.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: moe in it.")],
) -> None:
    """Take an expert out of a mixture; what remains stays as it is, to the bit."""
    from finsa_moe.errors import require

    require("torch", "train", "removing a domain")
    from finsa_moe.model.growth import read_config, remove
    from finsa_moe.model.replay import REPLAY, read_replay

    source = _source(model)
    states = read_replay(source, read_config(source).domains) if (source / REPLAY).is_file() else None
    remove(source, out / "moe", name, states)
    typer.echo(f"written to {out / 'moe'}: {', '.join(read_config(out / 'moe').domains)}")


def _source(model: Path) -> Path:
    if str(model) == "default" and not model.is_dir():
        from finsa_moe import shipped

        return shipped.weights("backbone").parent
    return model


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _rows(path: Path) -> int:
    from finsa_moe.data.read import read_frame

    return read_frame(path).height if path.is_file() else 0


def _scores(old: Path, new: Path, files: Mapping[str, Path], device: str | None) -> dict[str, tuple[int, float, float]]:
    """Rows and routed macro-F1 in percent before and after, by domain."""
    import numpy as np

    from finsa_moe.data.columns import Columns
    from finsa_moe.data.read import read_rows
    from finsa_moe.evaluation.metrics import score
    from finsa_moe.face import load
    from finsa_moe.polarity import NAMES, LabelMap

    found = {}
    for name, path in files.items():
        frame = read_rows([path], Columns(), LabelMap(), None).frame
        truth = np.array([NAMES.index(label) for label in frame["label"]])
        both = []
        for folder in (old, new):
            probs = load(folder, device=device).predict_proba(frame["text"].to_list())
            classes = np.unique(truth).tolist()  # a domain may lack one
            both.append(100 * score(truth, probs, classes=classes, resamples=1).macro_f1)
        found[name] = (len(truth), both[0], both[1])
    return found


def _table(facts: Mapping[str, Any], scores: Mapping[str, tuple[int, float, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    table = Table("domain", "to its own expert", "", "rows", "macro-F1", "")
    table.add_row("", "before", "after", "", "before", "after")
    for name in {**facts["sent_to_own"], **scores}:
        sent = facts["sent_to_own"].get(name, {})
        shares = [f"{100 * x:.1f} %" if (x := sent.get(when)) is not None else "-" for when in ("before", "after")]
        rows = [f"{scores[name][0]:,}", *(f"{x:.1f}" for x in scores[name][1:])] if name in scores else ["-"] * 3
        table.add_row(name, *shares, *rows)
    console.print(table)


def _export(out: Path, source: Path, earlier: Path | None) -> None:
    from finsa_moe import shipped
    from finsa_moe.cli.export import show
    from finsa_moe.export.export import export_mixture
    from finsa_moe.runtime.folder import CONFIG
    from finsa_moe.training.domains import MOE

    if earlier is None:
        ours = source.resolve() == shipped.weights("backbone").parent.resolve()
        beside = shipped.MODEL if ours else source.parent / "runtime"
        earlier = beside if (beside / CONFIG).is_file() else None
    made = export_mixture(out / MOE, out / "runtime", earlier=earlier, say=_say)
    show(made, out / "runtime")
