"""The verbs that train: pretrain, adapt, train-expert, merge, train-joint.

Each turns its options into a configuration and calls one function of `finsa_moe.training`; nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import Config, Date, Device, HoldOut, Id, Label, Labels, Resume, Set, Text, pairs_of
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.targets import check_folder
from finsa_moe.cli.trained import of_step, say, stoppable

if TYPE_CHECKING:
    from finsa_moe.model.reading import Reading

Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("pretrain")(pretrain)
    app.command("adapt")(adapt)
    app.command("train-expert")(train_expert)
    app.command("merge")(merge)
    app.command("train-joint")(train_joint)


def pretrain(
    sources: Annotated[
        list[Path], typer.Argument(metavar="TEXT...", help="Files of one text a line: plain, .xz, .gz or .bz2.")
    ],
    out: Out,
    config: Config = None,
    set_: Set = None,
    init: Annotated[Path | None, typer.Option(help="Backbone folder to start from, tokenizer and weights.")] = None,
    hold_out: HoldOut = None,
    resume: Resume = False,
    device: Device = None,
) -> None:  # fmt: skip
    """Train a tokenizer and a compact backbone from raw text (masked-language modelling)."""
    from finsa_moe.config import PretrainConfig
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.training.compact import pretrain as run
    from finsa_moe.training.processes import Processes

    check_folder(out)
    settings = PretrainConfig.load(config, set_ or [])
    held_out = read_texts(hold_out or [])
    with stoppable(out), Bar("pretrain") as bar:
        facts = run(
            sources, out, settings, resume=resume, init=init, held_out=held_out, device=device,
            log=lambda row: bar.show("pretrain", row["step"], row["of"], of_step(row)),
        )  # fmt: skip
    if not Processes().first:  # of several processes one speaks
        return
    typer.echo(
        f"{out}: {facts['parameters'] / 1e6:.1f} M parameters, {facts['steps']} steps, "
        f"{facts['tokens_seen'] / 1e6:.1f} M tokens in {facts['minutes']} minutes"
    )


def adapt(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help="Backbone folder or hub name to start from.")],
    out: Out,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE|DIR", help="Labelled rows of any classes. Repeatable."),
    ] = None,
    soft: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Answers of finsa predict, whose probabilities are learnt. Repeatable."),
    ] = None,
    config: Config = None,
    set_: Set = None,
    hold_out: HoldOut = None,
    resume: Resume = False,
    device: Device = None,
    text: Text = None,
    label: Label = None,
    labels: Labels = None,
) -> None:
    """Train a whole backbone on labelled tasks, or on a teacher's answers, before experts are trained on it.

    A file without a column of the name given is read by the usual names. Of labels, those named by --labels become
    利空, 中性 and 利好; the others are classes as they stand.
    """
    from finsa_moe.config import AdaptConfig
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.training.adapt import adapt as run

    check_folder(out)
    settings = AdaptConfig.load(config, set_ or [])
    reading = _reading(text, label, None, None, labels)
    tasks, answers = pairs_of(task or [], "--task"), pairs_of(soft or [], "--soft")
    with stoppable(out):
        facts = run(
            backbone, out, tasks=tasks, soft=answers, settings=settings, held_out=read_texts(hold_out or [], text),
            resume=resume, device=device, reading=reading,
        )  # fmt: skip
    say(out, facts)


def train_expert(
    domain: Annotated[str, typer.Argument(help="Name of the expert's domain, such as news or forum.")],
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Folder with train.csv and valid.csv.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write.", show_default=False)] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Backbone: a folder or a hub name; left out: the default model's.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Start from the head of a task that finsa adapt taught the backbone; of several, the mean.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPERT_DIR",
            help="An expert on the same backbone to go on from, head and all: with newer rows, say.",
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Train nothing: say what it would take of memory and time here.")
    ] = False,
    config: Config = None,
    set_: Set = None,
    resume: Resume = False,
    device: Device = None,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
) -> None:
    """Stage 1: train the LoRA expert of one domain on the frozen backbone."""
    from finsa_moe import shipped
    from finsa_moe.config import ExpertConfig
    from finsa_moe.errors import ConfigError
    from finsa_moe.training.expert import train_expert as run

    settings = ExpertConfig.load(config, set_ or [])
    reading = _reading(text, label, id, date, labels)
    if estimate:
        from finsa_moe.training.estimate import estimate_expert

        found = estimate_expert(
            data, backbone=backbone or str(shipped.weights()), settings=settings, device=device, reading=reading,
        )  # fmt: skip
        for line in found.lines():
            typer.echo(line)
        return
    if out is None:
        raise ConfigError("train-expert needs --out DIR for the expert, or --estimate to ask what it would take")
    if start is not None and head:
        raise ConfigError("--start and --head both name the head to start from; give one of them")
    check_folder(out)
    with stoppable(out):
        facts = run(
            domain, data, out, backbone=backbone or str(shipped.weights()), settings=settings, resume=resume,
            device=device, reading=reading, heads=head or [], start=start,
        )  # fmt: skip
    say(out, facts)


def merge(
    expert: Annotated[list[str], typer.Option("--expert", metavar="NAME=DIR", help="An expert; once for each domain.")],
    out: Out,
    config: Config = None,
    set_: Set = None,
    backbone: Annotated[str | None, typer.Option(help="Where the backbone stands now, when it moved.")] = None,
    device: Device = None,
) -> None:
    """Stage 2: merge experts of one backbone into a mixture with a fresh router."""
    from finsa_moe.config import MergeConfig
    from finsa_moe.training.merge import merge as run

    check_folder(out)
    settings = MergeConfig.load(config, set_ or [])
    facts = run(pairs_of(expert, "--expert"), out, settings=settings, backbone=backbone, device=device)
    route = "the plain backbone's last state" if facts["route_layer"] is None else f"layer {facts['route_layer']}"
    fresh = f"; fresh heads: {', '.join(facts['fresh_heads'])}" if facts["fresh_heads"] else ""
    typer.echo(f"{out}: experts {', '.join(facts['domains'])} on {facts['linears']} linears from layer "
               f"{facts['lowest_layer']} up, routed at {route}"
               f"{'; one shared head, fresh' if settings.shared_head else fresh}")  # fmt: skip


def train_joint(
    start: Annotated[Path, typer.Argument(metavar="MOE_INIT", help="The mixture that merge wrote.")],
    data: Annotated[
        list[str], typer.Option("--data", metavar="NAME=DIR", help="Prepared folder of a domain; once for each.")
    ],
    out: Out,
    config: Config = None,
    set_: Set = None,
    resume: Resume = False,
    device: Device = None,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Texts of a domain without labels, for the router; once for each."),
    ] = None,
    hold_out: HoldOut = None,
) -> None:  # fmt: skip
    """Stage 3: warm the router up, then train router, heads and all experts jointly."""
    from finsa_moe.config import JointConfig
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.training.joint import train_joint as run

    check_folder(out)
    settings = JointConfig.load(config, set_ or [])
    reading = _reading(text, label, id, date, labels)
    with stoppable(out):
        facts = run(
            start, pairs_of(data, "--data"), out, settings=settings, resume=resume, device=device,
            reading=reading, unlabelled=pairs_of(unlabelled, "--unlabelled") if unlabelled else None,
            held_out=read_texts(hold_out or [], text),
        )  # fmt: skip
    for name, phase in facts.items():
        say(out / name, phase)


def _reading(text: str | None, label: str | None, id_: str | None, date: str | None, labels: str | None) -> Reading:
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.model.reading import Reading
    from finsa_moe.polarity import LabelMap

    return Reading(Columns(text=text, label=label, id=id_, date=date), LabelMap.parse(labels))
