"""What the verbs that train say: how far a run is, that it was stopped, and what it came to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


@contextmanager
def stoppable(out: Path) -> Iterator[None]:
    """Control-C ends a long run in one line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"finsa: {out}: stopped; the same command goes on from the last checkpoint with --resume", err=True)
        raise typer.Exit(130) from None


def say(out: Path, facts: dict[str, Any]) -> None:
    """Print what a run came to, and which table of n-grams that was asked for it has not."""
    if os.environ.get("RANK", "0") != "0":  # of several processes one speaks
        return
    valid = facts["validation"]
    shown = ", ".join(f"{k} {valid[k]:.4f}" for k in ("accuracy", "macro_f1", "routing_accuracy") if k in valid)
    typer.echo(
        f"{out}: {facts['steps']} steps on {facts['rows']} rows in {facts['wall_seconds']} s, "
        f"best at {facts['best_step']}; validation {shown}"
    )
    if "no_ngrams" in facts:
        typer.echo(f"{out}: {facts['no_ngrams']}", err=True)


def of_step(row: dict[str, Any]) -> str:
    """A row of a run's statistics in words: the step, its loss and the pace."""
    return f"step {row['step']}/{row['of']}  loss {row['loss']:.3f}  {row['tokens_per_second']:,} tokens/s"
