"""``finsa score``: files by the million into shards of answers, by every core of this machine or a cluster of Ray.

It checks, calls the scale room and prints; what is written, and how a run goes on, is that room's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import AbstainBelow, BatchTokens, Domain, DType, Engine, Id, Text
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.remarks import remark_on_cut, remark_on_refused, remark_on_strangers, remark_on_unsure
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.scale.score import RunReport

_MEASURED = 2.0
"""Seconds of answering from which on a rate says something; it leaves out the start of the workers."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("score")(score)


def score(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...", help="Files, folders, or URLs of a store: Parquet, CSV, JSON lines.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for answers (shards), refused rows and the record of what is done (manifest)."
        ),
    ],
    model: Annotated[Path | None, typer.Option(help="Exported model; left out: the default model.")] = None,
    text: Text = None,
    id: Id = None,  # noqa: A002
    domain: Domain = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, one core each; left out: every core.")] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="pool (processes of this machine) or ray; left out: pool, or ray where --ray-address is given."
        ),
    ] = None,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster, e.g. ray://head:10001 or auto.")] = None,
    shard_rows: Annotated[
        int | None,
        typer.Option(min=1, help="Rows in each shard of new files; left out: chosen by how many rows there are."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check finished shards by their checksums, not only by their sizes.")
    ] = False,
    skip_bad_files: Annotated[
        bool,
        typer.Option(
            "--skip-bad-files",
            help="Leave out, by name, files that cannot be read or lack the column; the status is 2 if there are any.",
        ),
    ] = False,
    abstain_below: AbstainBelow = 0.0,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
) -> None:
    """Answer every row of many files; the same command again does only what is missing.

    DIR/scores holds Parquet files with all columns and the answers, DIR/rejects every row that was refused, and
    DIR/manifest.jsonl what each shard was made of.
    """
    from finsa_moe.errors import ConfigError, DataError, require

    if backend not in (None, "pool", "ray"):
        raise ConfigError(f"--backend {backend}: choose pool or ray")
    if backend == "pool" and ray_address is not None:
        raise ConfigError("--ray-address belongs to --backend ray; leave one of them out")
    require("pyarrow", "scale", "finsa score")
    backend = backend or ("ray" if ray_address is not None else "pool")
    if backend == "ray":
        require("ray", "ray", "--backend ray")
    from finsa_moe.scale.score import score as run

    try:
        with Bar("looking at the files") as bar:
            report = run(
                sources, out, model=model, workers=workers, backend=backend, ray_address=ray_address,
                shard_rows=shard_rows, verify=verify, skip_bad_files=skip_bad_files, progress=_shown(bar), text=text,
                id=id, domain=domain, abstain_below=abstain_below, batch_tokens=batch_tokens, dtype=dtype,
                engine=engine,
            )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo(f"stopped; finished shards are in {out}: the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    _tell(report, out)
    if report.bad:
        raise DataError(
            f"{len(report.bad):,} files are bad and were left out (named above and in {out / 'manifest.jsonl'}); the "
            "others are answered: mend these and run the same command again"
        )


def _shown(bar: Bar) -> Callable[[int, int, int], None]:
    """Shows the rows done of how many, ``before`` of them by earlier runs, and the pace of this one."""
    began = 0.0

    def show(done: int, total: int, before: int) -> None:
        nonlocal began
        began = began or time.perf_counter()  # the first call comes when the files have been looked at
        gone = time.perf_counter() - began
        pace = f"{(done - before) / gone:,.0f} a second" if done > before and gone else "loading the model"
        bar.show(f"{done:,} of {total:,} rows", done, total, pace)

    return show


def _tell(report: RunReport, out: Path) -> None:
    for path, reason in (*report.skipped.items(), *report.bad.items()):
        typer.echo(f"left out: {path}: {reason}", err=True)
    if report.changed:
        typer.echo(f"{report.changed:,} files have changed since they were scored, and were scored again", err=True)
    if report.gone:
        typer.echo(
            f"{len(report.gone):,} files scored before are no longer there (first: {report.gone[0]}): their answers "
            "stay; if they were copied elsewhere and scored there, their rows count twice: name another --out",
            err=True,
        )
    if report.unfinished:
        typer.echo(
            f"{len(report.unfinished):,} files of an earlier run that did not come to its end may lack answers (first: "
            f"{report.unfinished[0]}): name them again",
            err=True,
        )
    if report.unplaced:
        typer.echo(
            f"{report.unplaced:,} rows refused by earlier runs stand no longer in {out / 'rejects'}: name their files "
            "again to have them written anew",
            err=True,
        )
    if report.cut_before:
        name, rows = next(iter(report.cut_before.items()))
        typer.echo(
            f"{len(report.cut_before):,} files keep the shards that they were begun with (first: {name}, of {rows:,} "
            "rows): --shard-rows is for new files; name another --out to cut them anew",
            err=True,
        )
    if report.fewer_parts:
        name, lacking = next(iter(report.fewer_parts.items()))
        typer.echo(
            f"{len(report.fewer_parts):,} files keep the columns of their folders that they were begun with (first: "
            f"{name}, without {', '.join(lacking)}): name another --out to have all",
            err=True,
        )
    if report.kept:
        typer.echo(f"{report.kept:,} shards were there already", err=True)
    rate = f", {report.new_rows / report.answering:,.0f} a second" if report.answering >= _MEASURED else ""
    typer.echo(
        f"{out}: {report.answered:,} of {report.rows:,} rows answered in {report.shards:,} shards; this run "
        f"{report.new_rows:,} rows{rate}",
        err=True,
    )
    remark_on_cut(report.truncated, "column `truncated`")
    remark_on_unsure(report.uncertain)
    remark_on_strangers(report.strange, "column `novelty`")
    remark_on_refused(report.refused - report.unplaced, f", with place and reason, in {out / 'rejects'}")
