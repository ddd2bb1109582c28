"""Options that every verb running a model takes, spelt once."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str | None, typer.Option(help="Where the model runs, e.g. cpu or cuda:0; left out: chosen.")]
BatchTokens = Annotated[int, typer.Option(min=1, help="Most tokens of a batch, padding counted.")]
DType = Annotated[str | None, typer.Option(help="Number format, e.g. float32 or bfloat16; left out: as saved.")]
