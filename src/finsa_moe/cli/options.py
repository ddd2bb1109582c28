"""Options that several verbs take, spelt once: what rows look like, and where a model runs."""

from __future__ import annotations

from typing import Annotated

import typer

Text = Annotated[str | None, typer.Option("--text", metavar="COL[+COL]", help="Column of the text, or several joined.")]
Label = Annotated[str | None, typer.Option("--label", metavar="COL", help="Column of the label.")]
Id = Annotated[str | None, typer.Option("--id", metavar="COL", help="Column of the id.")]
Date = Annotated[str | None, typer.Option("--date", metavar="COL", help="Column of the date.")]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE-OR-MAP",
        help="Spelling of the classes: a map such as 0=利空,1=中性,2=利好, a file of such lines, or the preset finsa.",
    ),
]

Device = Annotated[str | None, typer.Option(help="Where the model runs, e.g. cpu or cuda:0; left out: chosen.")]
BatchTokens = Annotated[int, typer.Option(min=1, help="Most tokens of a batch, padding counted.")]
DType = Annotated[str | None, typer.Option(help="Number format, e.g. float32 or bfloat16; left out: as saved.")]
