"""What is remarked on stderr: which engine answers, whose middle was cut, which texts are strange, what was not read.

Counts and files' names in, lines out; it knows neither texts nor models.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from finsa_moe.face import FinSA


UNLIKE = "unlike the texts that the model learnt from"
"""What is said of a strange text (`Prediction.strange`); its answer need not be wrong."""


def remark_on_torch(finsa: FinSA, model: Path | None) -> None:
    """Say that a mixture is answered by torch, and how it would be faster."""
    if finsa.predictor.engine.name == "torch":
        typer.echo(f"{model} runs on torch; `finsa export {model} --out DIR` makes it many times as fast", err=True)


def remark_on_sheets(files: Iterable[Path]) -> None:
    """Say of each workbook of several sheets of which none was named which was read."""
    from finsa_moe.data.reading.excel import other_sheets

    for file in files:
        if told := other_sheets(file):
            typer.echo(f"{file}{told}", err=True)


def remark_on_cut(count: int, where: str = "`truncated`") -> None:
    """Say how many texts were over the model's limit; `where` names what tells them."""
    if count:
        what = (
            "1 text was too long: its middle was" if count == 1 else f"{count:,} texts were too long: their middle was"
        )
        typer.echo(f"{what} cut ({where})", err=True)


def remark_on_strangers(count: int, where: str = "`novelty`") -> None:
    """Say how many texts have a novelty of `STRANGE` or more; `where` names what tells them."""
    if count:
        what, them = ("1 text is", "it") if count == 1 else (f"{count:,} texts are", "these")
        typer.echo(f"{what} {UNLIKE} ({where} 0.99 or more); look at {them} yourself", err=True)


def remark_on_unsure(count: int) -> None:
    """Say how many of a file's answers are marked as uncertain."""
    if count:
        what = "1 answer is" if count == 1 else f"{count:,} answers are"
        typer.echo(f"{what} uncertain (column `uncertain`)", err=True)


def remark_on_refused(count: int, where: str) -> None:
    """Say how many rows have no answer; `where` goes on from there with what tells them."""
    if count:
        what = "1 row" if count == 1 else f"{count:,} rows"
        typer.echo(f"{what} refused{where}", err=True)
