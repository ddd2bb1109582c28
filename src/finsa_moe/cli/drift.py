"""``finsa drift``: whether new texts are still those that a model knows.

It asks the drift room, prints and saves; every number comes from there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import BatchTokens, DType, Engine, Model, Text, Threads, seed_for
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.screen import remark_on_fonts, screen
from finsa_moe.cli.targets import check_picture, check_targets, refuse_inputs
from finsa_moe.files import write
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.drift.shift import Drift
    from finsa_moe.runtime.distinct import Pool

_FEW = 100


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("drift")(drift)


def drift(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Texts as they were, such as the training rows.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Texts as they come now.")],
    fail_on_drift: Annotated[
        bool,
        typer.Option(
            "--fail-on-drift",
            help="Exit with status 1 when a change exceeds one of the limits below, its whole interval included.",
        ),
    ] = False,
    max_novel: Annotated[
        float, typer.Option(min=0, max=1, help="Limit: how much the share of texts unlike all training texts may rise.")
    ] = 0.05,
    max_routing: Annotated[
        float, typer.Option(min=0, max=1, help="Limit: how much the share of texts that an expert answers may change.")
    ] = 0.1,
    max_sentiment: Annotated[
        float, typer.Option(min=0, max=1, help="Limit: how much the share of a class may change.")
    ] = 0.1,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Save the picture.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", metavar="F", help="Save every number as JSON.")] = None,
    words: Annotated[
        int,
        typer.Option(min=0, help="How many words to show that became more frequent, and how many that became rarer."),
    ] = 15,
    draws: Annotated[int, typer.Option(min=100, help="Number of bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, seed_for("the bootstrap draws")] = 13,
    model: Model = None,
    text: Text = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """How new texts differ from old ones: novel texts, routing, sentiment mix and words, each with an interval.

    A limit is passed when the whole 95 % interval of a change lies beyond it: a small file raises no alarm by chance.
    """
    from finsa_moe.errors import require

    check_targets(plot, json_out)
    check_picture(plot, "--plot")
    refuse_inputs({"--plot": plot, "--json": json_out}, [old, new])
    for module in ("polars", "rjieba", *(["matplotlib"] if plot else [])):
        require(module, "data", "finsa drift")
    from finsa_moe.data.reading.columns import find_text
    from finsa_moe.drift.shift import compare
    from finsa_moe.face import load
    from finsa_moe.runtime.distinct import read_pool
    from finsa_moe.runtime.rows import columns

    for file in (old, new):
        find_text(list(columns(file)), text, file)  # what is wrong with the second is told before the first is read
    finsa = load(model, dtype=dtype, engine=engine, threads=threads, batch_tokens=batch_tokens)
    with Bar() as bar:
        pools = [read_pool(finsa.predictor, file, text=text, progress=bar.show) for file in (old, new)]
        found = compare(*pools, words=words, draws=draws, seed=seed, progress=bar.show)
    _show(found)
    for file, pool in zip((old, new), pools, strict=True):
        _remark(file, pool)
    limits = {"novel": max_novel, "routing": max_routing, "sentiment": max_sentiment}
    _save(found, limits, old, new, plot, json_out)
    passed = found.beyond(limits)
    for one in passed:
        low, high = (100 * end for end in one.interval)
        typer.echo(
            f"drift: {one.kind} {'' if one.kind == 'novel' else one.name + ' '}{100 * one.old:.1f} % → "
            f"{100 * one.new:.1f} %, a change of {100 * one.change:+.1f} points ({low:+.1f} to {high:+.1f}), over "
            f"{100 * limits[one.kind]:g}",
            err=True,
        )
    if fail_on_drift and passed:
        raise typer.Exit(1)


def _remark(file: Path, pool: Pool) -> None:
    if pool.refused:
        typer.echo(f"{file}: {pool.refused:,} of {pool.rows:,} rows are broken or have no text", err=True)
    if len(pool) < _FEW:
        typer.echo(f"{file}: only {len(pool):,} distinct texts: intervals are rough under {_FEW}", err=True)
    if pool.novelty is None:
        typer.echo(f"{file}: this model cannot say how novel a text is; `finsa export` it to know", err=True)


def _show(found: Drift) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = screen()
    console.print(f"{found.old_rows:,} rows ({found.old_texts:,} distinct texts) before, "
                  f"{found.new_rows:,} ({found.new_texts:,}) now\n")  # fmt: skip
    shares = Table("share of rows", box=None, pad_edge=False)
    for head in ("before", "now", "change", "95 %"):
        shares.add_column(head, justify="right")
    for one in found.changes:
        low, high = (100 * end for end in one.interval)
        name = "novel" if one.kind == "novel" else f"{one.kind} {escape(one.name)}"
        shares.add_row(
            name,
            f"{100 * one.old:.1f}",
            f"{100 * one.new:.1f}",
            f"{100 * one.change:+.1f}",
            f"{low:+.1f} to {high:+.1f}",
        )
    console.print(shares, "")
    if not found.words:
        console.print("no word surely shifted")
        return
    table = Table("word", box=None, pad_edge=False)
    for head in ("before", "now", "log-odds", "95 %", "z"):
        table.add_column(head, justify="right")
    for word in found.words:
        low, high = word.interval
        table.add_row(
            escape(word.word), f"{word.old:,}", f"{word.new:,}", f"{word.log_odds:+.2f}", f"{low:+.2f} to {high:+.2f}",
            f"{word.z:+.1f}",
        )  # fmt: skip
    console.print(table)


def _save(
    found: Drift, limits: dict[str, float], old: Path, new: Path, plot: Path | None, json_out: Path | None
) -> None:
    if json_out is not None:
        entry = {
            "old": str(old), "new": str(new), "limits": limits, "drift": bool(found.beyond(limits)), **found.as_dict(),
        }  # fmt: skip
        write(json_out, json.dumps(entry, ensure_ascii=False, indent=1) + "\n")
    if plot is not None:
        from finsa_moe.drift.figure import drift_picture

        write(plot, drift_picture(found, old.stem, new.stem))
        remark_on_fonts()
