"""What `finsa label --agreement` prints: kappa, the table of classes, and the rows that two people read differently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from finsa_moe.cli.screen import screen

if TYPE_CHECKING:
    from finsa_moe.labelling.agreement import Agreement

_LISTED = 50


def show_agreement(found: Agreement, files: tuple[Path, Path]) -> None:
    """Print an agreement; `files` are the two compared."""
    from rich.markup import escape
    from rich.table import Table

    from finsa_moe.polarity import NAMES

    console = screen()
    interval = found.interval()
    if found.kappa is None or interval is None:
        kappa = "kappa is not defined: both gave every row the same class"
    else:
        kappa = f"kappa {found.kappa:.3f} (95 % {interval[0]:.3f}–{interval[1]:.3f})"
    console.print(f"{found.rows:,} rows labelled by both, {100 * found.share:.1f} % alike, {kappa}\n")
    names = [escape(file.name) for file in files]
    table = Table(f"{names[0]} ↓  {names[1]} →", box=None, pad_edge=False)
    for name in NAMES:
        table.add_column(name, justify="right")
    for name, row in zip(NAMES, found.counts.tolist(), strict=True):
        table.add_row(name, *map(str, row))
    console.print(table)
    if found.apart:
        console.print()
        apart = Table("id", names[0], names[1], "text", box=None, pad_edge=False)
        for one in found.apart[:_LISTED]:
            words = " ".join(one.text.split())
            apart.add_row(escape(one.id), one.first, one.second, escape(words[:80] + ("…" if len(words) > 80 else "")))
        console.print(apart)
        if len(found.apart) > _LISTED:
            console.print(f"… and {len(found.apart) - _LISTED:,} more (--json lists all)")
    if found.only_first or found.only_second:
        typer.echo(f"labelled by one alone: {found.only_first:,} and {found.only_second:,} rows", err=True)
