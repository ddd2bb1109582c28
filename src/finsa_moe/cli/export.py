"""``finsa export``: a trained mixture as graphs that run without torch, proved to answer as it does.

It turns options into one call of the export room and prints what was measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import pairs_of
from finsa_moe.cli.screen import screen
from finsa_moe.cli.targets import check_folder

if TYPE_CHECKING:
    from finsa_moe.export.export import Exported


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("export")(export)


def export(
    model: Annotated[Path, typer.Argument(help="The mixture that train-joint or merge wrote.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="fp32|bf16|int8",
            help="Number format to export, repeatable; left out: bf16 and int8, unless one answers otherwise.",
        ),
    ] = None,
    single: Annotated[
        bool,
        typer.Option("--single", help="Also write one graph of the whole mixture, from token ids to probabilities."),
    ] = False,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR", help="Prepared folder of a domain; left out: the folders the mixture was trained on."
        ),
    ] = None,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TEXT",
            help="Texts of other kinds, one a line, that the novelty score compares with; may be repeated.",
        ),
    ] = None,
    graphs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="An export of the same network: take its graphs, where tables or rows to calibrate on alone are new.",
        ),
    ] = None,
) -> None:
    """Export a mixture for the torch-free runtime; fails unless it answers as the torch mixture does."""
    from finsa_moe.errors import require

    require("torch", "train", "exporting a mixture")
    check_folder(out)
    from finsa_moe.export.export import export_mixture

    folders = pairs_of(data, "--data") if data else None
    made = export_mixture(
        model, out, precisions=precision or (), single=single, data=folders, background=background or (),
        graphs_of=graphs, say=lambda step: typer.echo(step, err=True),
    )  # fmt: skip
    show(made, out)


def show(made: Exported, out: Path) -> None:
    """Print what an export measured."""
    from rich.table import Table

    console = screen()
    table = Table("runs as", "texts", "same polarity", "macro-F1 torch", "exported", "largest difference")
    for parity in made.parities.values():
        scores = ["-" if x is None else f"{x:.2f}" for x in (parity.macro_f1_torch, parity.macro_f1)]
        table.add_row(
            parity.engine, f"{parity.texts:,}", f"{100 * parity.same:.2f} %", *scores, f"{parity.largest:.4f}"
        )
    console.print(table)
    for precision, reason in made.left_out.items():
        console.print(f"{precision} left out: {reason}", soft_wrap=True)
    for name, found in made.calibration.items():
        if found.ece_before is None or found.ece_after is None:
            console.print(f"{name}: {found.rows} labelled rows, too few to calibrate on")
        else:
            console.print(
                f"{name}: temperature {found.temperature:.3f}, calibration error {found.ece_before:.4f} before, "
                f"{found.ece_after:.4f} after (cross-fitted on {found.rows:,} rows)"
            )
    if not made.calibration:
        lacks = "not calibrated" + ("" if made.novelty else ", no novelty")
        console.print(f"no held-out rows at hand: {lacks}; name them with --data NAME=DIR")
    console.print(f"written to {out}: {made.bytes / 1e6:.1f} MB", soft_wrap=True)
