"""``finsa sample`` and ``finsa label``: which texts to label next, and a page to label them on.

Only options in and words out: the labelling room chooses, serves and compares.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from finsa_moe.cli.options import (
    BatchTokens,
    Bom,
    Date,
    Domain,
    DType,
    Engine,
    Id,
    Label,
    Labels,
    Text,
    Threads,
    seed_for,
)
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.screen import idle
from finsa_moe.cli.targets import check_targets, refuse_inputs
from finsa_moe.runtime import BATCH_TOKENS


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("sample")(sample)
    app.command("label")(label)


def sample(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Texts to choose from, labelled or not.")],
    out: Annotated[Path, typer.Option(metavar="F", help="File for the chosen texts: CSV, TSV, JSON lines, Parquet.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many to choose.")] = 100,
    without: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Texts already labelled: none equal or near to one is chosen. Repeatable."),
    ] = None,
    by_expert: Annotated[
        bool, typer.Option("--by-expert", help="Choose equally many texts of each expert, as the router assigns them.")
    ] = False,
    breadth: Annotated[
        float,
        typer.Option(
            help="How many candidates are drawn for each text that is chosen; more make the choice more varied."
        ),
    ] = 50.0,
    at_random: Annotated[
        bool,
        typer.Option(
            "--at-random", help="Choose at random: for rows that a model is to be measured on, not trained on."
        ),
    ] = False,
    seed: Annotated[int, seed_for("drawing texts and for grouping similar ones")] = 13,
    model: Annotated[
        Path | None, typer.Option(help="Exported model, with --at-random any; left out: the default model.")
    ] = None,
    text: Text = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    domain: Domain = None,
    bom: Bom = False,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """Choose the texts to label next: ones the model is unsure of, of a new kind, no two alike.

    As many are taken of each class that the model guesses as there are, lest a rare one be missed. Each comes with that
    guess and why it was chosen; `finsa label` takes the file.
    """
    from finsa_moe.errors import ConfigError, DataError, require
    from finsa_moe.labelling.sample import SampleSettings, write_sample
    from finsa_moe.labelling.sample import sample as chosen_of
    from finsa_moe.runtime.writers import check_ending

    settings = SampleSettings(n, breadth, by_expert, at_random, seed)
    check_ending(out)
    check_targets(out)
    refuse_inputs({"--out": out}, [file, *(without or [])])
    for module in ("polars", "rensa"):
        require(module, "data", "finsa sample")
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.face import is_exported, load
    from finsa_moe.runtime.distinct import read_pool

    if not at_random and not is_exported(model):
        raise ConfigError(
            f"--model {model}: is no exported model, and texts are compared by the states of one; run `finsa export "
            f"{model} --out DIR` and name DIR, or draw by --at-random"
        )
    known = read_texts(without or [], text)
    finsa = load(model, dtype=dtype, engine=engine, threads=threads, batch_tokens=batch_tokens)
    with Bar() as bar:
        pool = read_pool(finsa.predictor, file, text=text, id=id, date=date, domain=domain, progress=bar.show)
        rows = chosen_of(finsa.predictor, pool, settings, known=known, progress=bar.show)
    if not rows:
        raise DataError(
            f"{file}: nothing to choose: all of its {len(pool):,} distinct texts are equal or near to those of "
            "--without; name a file with others"
        )
    write_sample(out, rows, bom=bom)
    typer.echo(f"{out}: {len(rows):,} of {len(pool):,} distinct texts in {pool.rows:,} rows", err=True)
    if pool.refused:
        typer.echo(f"{pool.refused:,} rows are broken or have no text", err=True)
    if len(rows) < n:
        typer.echo(f"{n:,} were asked for; the others are equal or near to these, or labelled already", err=True)


def label(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[F]", help="Rows to label, such as `finsa sample` writes.")
    ] = None,
    annotator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the person who labels; each has a journal and a file of labels."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="File of the labels; left out: F.labels.csv, F.labels.NAME.csv.")
    ] = None,
    agreement: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Instead of the page: how far two people's files agree (Cohen's kappa)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --agreement: print JSON.")] = False,
    bom: Bom = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    labels: Labels = None,
) -> None:
    """Label texts by keyboard on a page of this machine's own; every key is saved as it is pressed.

    Keys: 1 利空, 2 中性, 3 利好, s skip, u undo, n note, g the model's guess, hidden until asked for. Started again, it
    goes on. What comes out is what `finsa prepare` takes.
    """
    from finsa_moe.errors import ConfigError

    if (file is None) == (agreement is None):
        raise ConfigError("name one file of rows to label, or --agreement A.csv B.csv")
    if agreement is not None:
        if page := idle(context, "annotator", "out", "bom", "port", "show"):
            raise ConfigError(f"{page}: only for the page, which --agreement does not show; leave it out")
        _compare(agreement, as_json, text, label, id, labels)
        return
    if compared := idle(context, "as_json", "label", "labels"):
        raise ConfigError(f"{compared}: only for --agreement A.csv B.csv; leave it out")
    assert file is not None
    _serve(file, annotator, out, bom, port, show, text, id)


def _serve(
    file: Path,
    annotator: str | None,
    out: Path | None,
    bom: bool,
    port: int,
    show: bool,
    text: str | None,
    id: str | None,  # noqa: A002
) -> None:
    from finsa_moe.labelling.desk import Desk
    from finsa_moe.labelling.server import LabelServer
    from finsa_moe.labelling.sheet import read_sheet

    if out is not None:
        from finsa_moe.runtime.writers import check_ending

        check_ending(out)
        check_targets(out)
    with Desk(file, read_sheet(file, text, id), annotator, out, bom=bom) as desk, LabelServer(desk, port) as server:
        typer.echo(f"{file}: {len(desk.rows):,} rows, {desk.labelled:,} labelled; labels go to {desk.out}", err=True)
        stopped = threading.Event()
        for kind in (signal.SIGINT, signal.SIGTERM):  # before anybody can read the address
            signal.signal(kind, lambda *_: stopped.set())
        typer.echo(server.url)
        sys.stdout.flush()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        if show and _has_screen():
            import webbrowser

            webbrowser.open(server.url)
        typer.echo("Ctrl-C ends it; every key is saved as it is pressed", err=True)
        while not stopped.wait(0.5):  # woken by a signal, on every system
            pass
        server.shutdown()
        thread.join()
        typer.echo(desk.kept, err=True)


def _has_screen() -> bool:
    """Whether a browser would have a window; without one, a text browser would take this terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _compare(
    files: tuple[Path, Path],
    as_json: bool,
    text: str | None,
    label: str | None,
    id: str | None,  # noqa: A002
    labels: str | None,
) -> None:
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.labelling.agreement import compare, read_labels
    from finsa_moe.polarity import LabelMap

    columns, spelt = Columns(text=text, label=label, id=id), LabelMap.parse(labels)
    found = compare(*(read_labels(file, columns, spelt) for file in files))
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False) + "\n")
        return
    from finsa_moe.cli.agreed import show_agreement

    show_agreement(found, files)
