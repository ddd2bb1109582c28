"""``finsa audit``: what the splits of a set share, and what that does to scores.

It reads, asks the data and evaluation rooms, prints and saves; every number comes from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.bar import Bar
from finsa_moe.cli.options import GRAMS, THRESHOLD, Date, Grams, Id, Label, Labels, Text, Threshold

if TYPE_CHECKING:
    import polars as pl

    from finsa_moe.data.columns import Columns
    from finsa_moe.data.leakage import LeakReport
    from finsa_moe.evaluation.leak import Harm
    from finsa_moe.polarity import LabelMap


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("audit")(audit)


def audit(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Splits of one set, the training split first, or NAME=FILE; a folder that finsa prepare made is its "
            "splits; one file is audited alone.",
            show_default=False,
        ),
    ],
    json_out: Annotated[Path | None, typer.Option("--json", metavar="F", help="Save every count as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Save one self-contained page, with examples.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Save the picture alone, without a text.")] = None,
    fail_on_leak: Annotated[
        bool, typer.Option("--fail-on-leak", help="Exit with status 1 when a later split shares texts with an earlier.")
    ] = False,
    allowed: Annotated[
        float, typer.Option(min=0, max=1, help="With --fail-on-leak: the share of a split that may leak.")
    ] = 0.0,
    scores: Annotated[
        bool, typer.Option("--scores/--no-scores", help="Measure what the leak does to scores (trains TF-IDF).")
    ] = True,
    threshold: Threshold = THRESHOLD,
    n: Grams = GRAMS,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
) -> None:
    """Find texts that the splits of a set share, word for word or nearly, and labels that contradict each other."""
    from finsa_moe.errors import ConfigError, require

    require("polars", "data", "finsa audit")
    from finsa_moe.data.columns import Columns
    from finsa_moe.data.leakage import audit as find
    from finsa_moe.polarity import LabelMap

    for target in (json_out, html, plot):
        if target is not None and not target.parent.is_dir():
            raise ConfigError(f"{target}: there is no folder {target.parent}; make it first or name another")
    columns = Columns(text=text, label=label, id=id, date=date)
    splits = _read(files, columns, LabelMap.parse(labels))
    with Bar() as bar:
        report = find(splits, threshold=threshold, n=n, progress=lambda done, of: bar.show("comparing", done, of))
    harms = _harms(report) if scores else []
    _show(report, harms)
    if json_out is not None or html is not None or plot is not None:
        from finsa_moe.evaluation.leak_page import audit_page, audit_picture, write

        if json_out is not None:
            content = {**report.to_dict(), "scores": [harm.to_dict() for harm in harms]}
            write(json_out, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        if html is not None:
            write(html, audit_page(report, harms, f"finsa audit {' '.join(files)} --threshold {threshold:g} --n {n}"))
        if plot is not None:
            write(plot, audit_picture(report, harms))
        typer.echo(f"written: {', '.join(str(path) for path in (json_out, html, plot) if path is not None)}")
    if fail_on_leak and report.leaks(allowed=allowed):
        raise typer.Exit(1)


def _read(files: Sequence[str], columns: Columns, labels: LabelMap) -> dict[str, pl.DataFrame]:
    """The rows of each split by name; unknown labels are left empty, and told of."""
    from finsa_moe.data.read import read_rows
    from finsa_moe.data.split import SPLITS
    from finsa_moe.errors import ConfigError

    named: dict[str, Path] = {}
    for given in files:
        name, sign, rest = given.partition("=")
        path = Path(rest) if sign and not Path(given).exists() else Path(given)
        found = [path / f"{split}.csv" for split in SPLITS if (path / f"{split}.csv").is_file()]
        if path.is_dir() and found:
            parts = {f"{name}/{part.stem}" if path == Path(rest) else part.stem: part for part in found}
        else:
            parts = {name if path == Path(rest) and sign else path.stem or str(path): path}
        for key, part in parts.items():
            if key in named:
                raise ConfigError(f"{part}: two splits are called {key!r}; name them, as in train={named[key]}")
            named[key] = part
    splits = {}
    for name, path in named.items():
        table = read_rows([path], columns, labels, None, need_label=False)
        splits[name] = table.frame
        if table.rejects.height:
            typer.echo(f"{path}: {table.rejects.height:,} rows could not be read and are left out", err=True)
        unknown = table.frame["label"].null_count()
        if unknown:
            some = f"{unknown:,} of {table.frame.height:,} rows bear no label that is known"
            typer.echo(f"{path}: {some}; spell it by --labels, as in 0=利空,1=中性,2=利好", err=True)
    return splits


def _harms(report: LeakReport) -> list[Harm]:
    from finsa_moe.errors import MissingExtra, require
    from finsa_moe.evaluation.leak import harm

    tfidf = True
    try:
        require("sklearn", "train", "TF-IDF's scores")
    except MissingExtra as error:
        typer.echo(f"without TF-IDF: {error}", err=True)
        tfidf = False
    first = report.splits[0]
    found = [harm(report, first, other, tfidf=tfidf) for other in report.splits[1:]]
    return [one for one in found if one is not None]


def _show(report: LeakReport, harms: Sequence[Harm]) -> None:
    from rich.console import Console
    from rich.table import Table

    from finsa_moe.data.leakage import NOTIONS
    from finsa_moe.evaluation.leak import lines
    from finsa_moe.polarity import NAMES

    console = Console()

    def table(*heads: str, left: int = 1) -> Table:
        made = Table(box=None, pad_edge=False)
        for at, head in enumerate(heads):
            made.add_column(head, justify="left" if at < left else "right")
        return made

    one = table("split", "rows", *NAMES, "no label", "length (quartiles)")
    two, three = table("repeats", *NOTIONS), table("label conflicts", *NOTIONS)
    for name in report.splits:
        balance = report.balance(name)
        counts = [f"{balance[key]:,}" for key in (*NAMES, "")]
        one.add_row(name, f"{report.of(name).height:,}", *counts, "/".join(map(str, report.lengths(name))))
        two.add_row(name, *(f"{report.duplicates(name, notion):,}" for notion in NOTIONS))
        three.add_row(name, *(f"{report.conflicts(name, notion):,}" for notion in NOTIONS))
    tables = [one, two, three]
    if report.pairs():
        tables.append(table("rows of", "stand in", *NOTIONS, left=2))
    for a, b in report.pairs():
        shared = [report.shared(a, b, notion) for notion in NOTIONS]
        tables[-1].add_row(b, a, *(f"{s.rows:,} ({100 * s.share:.1f} %)" for s in shared))
    for harm in harms:
        tables.append(table(f"from {harm.train} to {harm.test}", "rows", "accuracy", "macro-F1", "95 %"))
        for name, judged in lines(harm):
            low, high = judged.interval
            tables[-1].add_row(
                name, f"{judged.rows:,}", f"{100 * judged.accuracy:.1f}", f"{100 * judged.macro_f1:.1f}",
                f"{100 * low:.1f}–{100 * high:.1f}",
            )  # fmt: skip
    for shown in tables:
        console.print(shown)
        console.print()
    typer.echo(f"near: Jaccard of character {report.n}-grams ≥ {report.clusters.threshold:g}")
