"""``finsa audit``: what the splits of a set share, and what that does to scores.

It asks the data and evaluation rooms, prints and saves; every number comes from them.
"""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import CLUSTER_THRESHOLD, GRAMS, Date, Grams, Id, Label, Labels, Text, Threshold
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.screen import remark_on_fonts, screen, typed
from finsa_moe.cli.targets import check_picture, check_targets, refuse_inputs
from finsa_moe.files import write

if TYPE_CHECKING:
    from finsa_moe.data.duplicates.leakage import LeakReport
    from finsa_moe.evaluation.leak.harm import Harm


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Splits of one set, the training split first (or called train), or NAME=FILE; a folder of train.csv, "
            "valid.csv, test.csv, or of their shards, is its splits; one file is audited alone.",
            show_default=False,
        ),
    ],
    json_out: Annotated[Path | None, typer.Option("--json", metavar="F", help="Save every count as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Save one self-contained page, with examples.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="F.png", help="Save the picture alone, in which no text of the data stands.")
    ] = None,
    fail_on_leak: Annotated[
        bool,
        typer.Option("--fail-on-leak", help="Exit with status 1 when a later split shares texts with an earlier one."),
    ] = False,
    allowed: Annotated[
        float, typer.Option(min=0, max=1, help="With --fail-on-leak: the share of a split's rows that may leak.")
    ] = 0.0,
    scores: Annotated[
        bool, typer.Option("--scores/--no-scores", help="Measure what the leak does to scores (trains TF-IDF).")
    ] = True,
    threshold: Threshold = CLUSTER_THRESHOLD,
    n: Grams = GRAMS,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
) -> None:
    """Find texts that the splits of a set share, word for word or nearly, and labels that contradict each other."""
    from finsa_moe.errors import DataError, require

    require("polars", "data", "finsa audit")
    from finsa_moe.data.duplicates.leakage import audit as find
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.data.reading.sets import named_splits, overlooked, read_splits
    from finsa_moe.evaluation.leak.tables import audit_tables, remarks, verdict
    from finsa_moe.polarity import LabelMap

    check_targets(json_out, html, plot)
    check_picture(plot, "--plot")
    found = named_splits(files)
    refuse_inputs({"--json": json_out, "--html": html, "--plot": plot}, chain.from_iterable(found.values()))
    strange = overlooked(files)
    if fail_on_leak and (strange or len(found) < 2):
        alone = f"{files[0]}: one split alone, so nothing is compared; name two or more, as in train=FILE test=FILE"
        raise DataError(f"--fail-on-leak: {strange[0] if strange else alone}")
    columns = Columns(text=text, label=label, id=id, date=date)
    with Bar() as bar:
        splits, told = read_splits(files, columns, LabelMap.parse(labels), bar.show)
    blank = [name for name in found if name not in splits]
    nothing = "no row that can be compared, so nothing is known of its leaks"
    if fail_on_leak and blank and (len(splits) < 2 or blank[0] == next(iter(found))):
        raise DataError(f"{blank[0]}: {nothing}")  # of another split without rows there is nothing to know
    for line in (*strange, *told):
        typer.echo(line, err=True)
    if fail_on_leak and (empty := [name for name, rows in splits.items() if not rows.height]):
        raise DataError(f"{empty[0]}: {nothing}")
    missing: list[str] = []
    with Bar() as bar:
        report = find(splits, threshold=threshold, n=n, progress=lambda done, of: bar.show("comparing", done, of))
        harms = _harms(report, missing, bar) if scores and report.pairs() else []
    for line in missing:
        typer.echo(line, err=True)
    console = screen(markup=False)
    for table in audit_tables(report, harms):
        console.print(table, "")
    for line in remarks(report, harms):
        typer.echo(line)
    _save(report, harms, json_out, html, plot, typed(context))
    leaks = verdict(report, allowed)
    if fail_on_leak and leaks:
        for line in leaks:
            typer.echo(line, err=True)
        raise typer.Exit(1)


def _harms(report: LeakReport, missing: list[str], bar: Bar) -> list[Harm]:
    """Scores with and without the leak; adds to `missing` why some are."""
    from finsa_moe.errors import MissingExtra, require
    from finsa_moe.evaluation.leak.harm import FEWEST, harms

    tfidf = True
    try:
        require("sklearn", "train", "TF-IDF's scores")
    except MissingExtra as error:
        missing.append(f"without TF-IDF: {error}")
        tfidf = False
    found = harms(report, tfidf=tfidf, progress=lambda done, of: bar.show("scoring", done, of))
    if not found:
        missing.append("without scores: they take labels of two classes in the training split, and some in another")
    elif tfidf and not all(harm.learnt for harm in found):
        missing.append(f"without TF-IDF: it takes {FEWEST} labelled training rows")
    return found


def _save(
    report: LeakReport, harms: list[Harm], json_out: Path | None, html: Path | None, plot: Path | None, command: str
) -> None:
    from finsa_moe.evaluation.leak.figure import audit_picture
    from finsa_moe.evaluation.leak.page import audit_page

    if json_out is not None:
        content = {**report.as_dict(), "scores": [harm.as_dict() for harm in harms]}
        write(json_out, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    if html is not None:
        write(html, audit_page(report, harms, command))
    if plot is not None:
        write(plot, audit_picture(report, harms))
    if written := [str(path) for path in (json_out, html, plot) if path is not None]:
        typer.echo(f"written: {', '.join(written)}")
    if html is not None or plot is not None:
        remark_on_fonts(report.splits)
