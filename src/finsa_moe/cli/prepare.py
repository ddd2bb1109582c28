"""``finsa prepare``, ``finsa stats`` and ``finsa demo-data``: raw rows to a prepared folder, and what it holds.

Thin: options in, a call into the data room, tables on the screen. Messages for people go to stderr where the answer
itself is on stdout.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finsa_moe.cli.options import (
    CLUSTER_THRESHOLD,
    FORMATS,
    GRAMS,
    NEAR,
    Date,
    Grams,
    HoldOut,
    Id,
    Label,
    Labels,
    Text,
    seed_for,
)
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.remarks import remark_on_sheets
from finsa_moe.cli.screen import remark_on_fonts, screen
from finsa_moe.cli.targets import check_csv, check_targets, refuse_inputs
from finsa_moe.runtime import cores

if TYPE_CHECKING:
    from finsa_moe.data.preparing.report import Report


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("prepare")(prepare)
    app.command("stats")(stats)
    app.command("demo-data")(demo_data)


def prepare(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SRC...", help=f"{FORMATS}; or folders of them."),
    ],
    domain: Annotated[str, typer.Option(metavar="NAME", help="Domain of the rows, e.g. news or forum.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    ratios: Annotated[
        str | None,
        typer.Option(metavar="T/V/T", help="Train/valid/test; left out: news 98/1/1, forum 60/20/20, others 80/10/10."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="near|exact|COL",
            help="Which rows stay in one split: those of near texts, of equal texts only, or of near texts and of "
            "equal values in COL.",
        ),
    ] = "near",
    test_after: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Test on the rows after this day; train on those up to it. Later rows that --by keeps with an earlier "
            "one are refused.",
        ),
    ] = None,
    conflicts: Annotated[
        str,
        typer.Option(
            metavar="majority|drop|keep",
            help="What to keep where equal texts have different labels: rows of the most frequent label, none, or all.",
        ),
    ] = "majority",
    threshold: Annotated[
        float, typer.Option(help=f"{NEAR} Those of --hold-out are compared at 0.6, whatever is said here.")
    ] = CLUSTER_THRESHOLD,
    n: Grams = GRAMS,
    seed: Annotated[int, seed_for("the split")] = 13,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty; other files in it stay.")
    ] = False,
    hold_out: HoldOut = None,
    bom: Annotated[
        bool, typer.Option("--bom/--no-bom", help="Start rejects.csv with a mark, so that Excel opens it.")
    ] = False,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
) -> None:
    """Read labelled rows, refuse the unusable with a reason, and split them into train, valid and test.

    Texts that are equal or nearly so stay on one side. Writes train.csv, valid.csv, test.csv, rejects.csv, report.json
    and polarity.png.
    """
    from finsa_moe.errors import require

    require("polars", "data", "finsa prepare")
    from finsa_moe.data.preparing.prepare import FILES
    from finsa_moe.data.preparing.prepare import prepare as run
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.data.reading.days import parse_day
    from finsa_moe.data.reading.formats import find_files
    from finsa_moe.data.reading.read import read_texts
    from finsa_moe.polarity import LabelMap

    columns = Columns(text=text, label=label, id=id, date=date)
    spelling, shares = LabelMap.parse(labels), _parse_ratios(ratios)
    refuse_inputs({f"--out's {name}": out / name for name in FILES}, find_files(hold_out).files if hold_out else [])
    with Bar() as bar:
        report = run(
            sources, domain=domain, out=out, ratios=shares, columns=columns, labels=spelling, seed=seed, force=force,
            by=by, test_after=parse_day(test_after, "--test-after") if test_after else None, conflicts=conflicts,
            threshold=threshold, n=n, held_out=read_texts(hold_out or [], text), bom=bom, processes=cores(),
            progress=bar.show,
        )  # fmt: skip
    _show_report(report, out)
    remark_on_sheets(sources)


def stats(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that finsa prepare made.")],
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Draw the polarity table as a figure.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="F.csv", help="Save both tables as one CSV.")] = None,
    near: Annotated[
        bool, typer.Option("--near/--no-near", help="Also count near texts, which takes a minute for a million rows.")
    ] = True,
) -> None:
    """Count the rows of each polarity by domain and split; lengths, repeats and days beside them."""
    from finsa_moe.errors import require

    check_targets(plot, csv)
    check_csv(csv, "--csv")
    require("polars", "data", "finsa stats")
    from finsa_moe.data.preparing.profile import profile
    from finsa_moe.data.preparing.split import SPLITS
    from finsa_moe.data.preparing.stats import plot_polarity, polarity_table, read_prepared, save_csv

    read = [folder / f"{split}.csv" for folder in folders for split in SPLITS]
    refuse_inputs({"--plot": plot, "--csv": csv}, read)
    frames = read_prepared(folders)
    with Bar() as bar:
        table, texts = polarity_table(frames), profile(frames, near=near, progress=bar.show)
    _show_table(table.iter_rows())
    _show_texts(texts.iter_rows())
    if plot is not None:
        plot_polarity(table, plot)
        typer.echo(f"figure: {plot}")
        remark_on_fonts(frames)
    if csv is not None:
        save_csv(table.join(texts, on="set", maintain_order="left"), csv)
        typer.echo(f"table: {csv}")


def demo_data(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to copy news.csv and forum.csv into.")],
) -> None:
    """Copy the sample texts that come with the package, to look at and to prepare."""
    from finsa_moe.data.samples import copy

    for path in copy(out):
        typer.echo(str(path))


def _parse_ratios(value: str | None) -> tuple[float, float, float] | None:
    from finsa_moe.errors import ConfigError

    if value is None:
        return None
    try:
        train, valid, test = (float(part) for part in value.replace(":", "/").split("/"))
    except ValueError as error:
        raise ConfigError(f"--ratios {value!r}: write three numbers train/valid/test, as in 98/1/1") from error
    return train, valid, test


def _show_report(report: Report, out: Path) -> None:
    from finsa_moe.data.preparing.split import SPLITS

    counts = report.splits
    _show_table(
        (f"{report.domain}/{name}", *(counts[name][label] for label in ("利好", "中性", "利空")), counts[name]["rows"])
        for name in SPLITS
    )
    rows = report.rows
    typer.echo(f"rows in {rows['in']:,} = kept {rows['kept']:,} + refused {rows['refused']:,}")
    if report.duplicates:
        typer.echo(f"equal texts kept together: {report.duplicates:,} rows repeat another row of their split")
    if report.near["clusters"]:
        near = report.near
        typer.echo(
            f"near texts kept together: {near['rows']:,} rows in {near['clusters']:,} clusters, {near['largest']:,} in "
            "the largest"
        )
    if rows["refused"]:
        typer.echo(f"refused rows with file, line and reason: {out / 'rejects.csv'}")
        for reason, count in list(report.refused.items())[:5]:
            typer.echo(f"  {count:,} × {reason}")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    written = ", ".join(f"{name}.csv" for name in SPLITS)
    typer.echo(f"written to {out}: {written}, report.json, polarity.png")
    remark_on_fonts([report.domain])


def _show_table(rows: Iterable[tuple[Any, ...]]) -> None:
    """Print sets, each with its bullish, neutral, bearish and all rows."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    shown.add_column("split")
    for title in ("利好 bullish", "中性 neutral", "利空 bearish", "all"):
        shown.add_column(title, justify="right")
    for name, *counts in rows:
        total = counts[-1]
        cells = [f"{count:,} ({count / total:.1%})" if total else "0" for count in counts[:-1]]
        shown.add_row(name, *cells, f"{total:,}")
    screen().print(shown)


def _show_texts(rows: Iterable[tuple[Any, ...]]) -> None:
    """Print sets, each with its texts' lengths, repeats and days."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    shown.add_column("split")
    for title in ("characters (quartiles)", "longest", "equal", "near", "days"):
        shown.add_column(title, justify="right")
    for name, _, first, middle, third, longest, equal, near, start, end in rows:
        lengths = "–" if middle is None else f"{first}/{middle}/{third}"
        days = "–" if start is None else f"{start} to {end}"
        counts = ["–" if count is None else f"{count:,}" for count in (longest, equal, near)]
        shown.add_row(name, lengths, *counts, days)
    screen().print(shown)
