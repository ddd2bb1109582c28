"""What is remarked on stderr about answers: which engine gives them, whose middle was cut, which are of strange texts.

Counts in, lines out; it knows neither texts nor models.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from finsa_moe.face import FinSA


def remark_on_torch(finsa: FinSA, model: Path | None) -> None:
    """Say that a mixture is answered by torch, and how it would be faster."""
    if finsa.predictor.engine.name == "torch":
        typer.echo(f"{model} runs on torch; `finsa export {model} --out DIR` makes it many times as fast", err=True)


def remark_on_cut(count: int, where: str = "`truncated`") -> None:
    """Say how many texts were over the model's limit; `where` names what tells them."""
    if count:
        what = (
            "1 text was too long: its middle was" if count == 1 else f"{count:,} texts were too long: their middle was"
        )
        typer.echo(f"{what} cut ({where})", err=True)


def remark_on_strangers(count: int) -> None:
    """Say how many texts have a novelty of `STRANGE` or more."""
    if count:
        what = "1 text is" if count == 1 else f"{count:,} texts are"
        typer.echo(
            f"{what} unlike everything this model was trained on (`novelty` 0.99 or more): such answers mean little",
            err=True,
        )
