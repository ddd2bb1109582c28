"""``finsa evaluate``: a model on labelled files, as tables on the screen, and as JSON and one HTML page where asked.

It reads, measures, prints and saves; every number comes from the evaluation room.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import (
    FORMATS,
    BatchTokens,
    Date,
    Device,
    DType,
    Engine,
    Id,
    Label,
    Labels,
    Text,
    Threads,
    seed_for,
)
from finsa_moe.cli.remarks import remark_on_sheets, remark_on_torch
from finsa_moe.cli.screen import remark_on_fonts, screen, typed
from finsa_moe.cli.targets import check_targets, refuse_inputs
from finsa_moe.files import write
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.data.reading.read import Table
    from finsa_moe.evaluation.published import Ours
    from finsa_moe.evaluation.results import Evaluation
    from finsa_moe.face import FinSA


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="Model folder; 'default' is the project's own.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=f"Labelled rows: {FORMATS}.")],
    domain: Annotated[
        str | None, typer.Option(help="Domain of all rows; left out: the files' column `domain`.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", metavar="F", help="Save every number as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Save one self-contained page.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="How many right and how many wrong rows to show.")] = 5,
    protocol: Annotated[
        str,
        typer.Option(
            help="routed, or finsa: as in the paper, each text by the expert of its given domain, without the router."
        ),
    ] = "routed",
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Evaluate the other rows when some cannot be used.")
    ] = False,
    seed: Annotated[int, seed_for("the rows shown and for the intervals")] = 13,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
    device: Device = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """Measure a model: routed, with each expert fixed, and with the true domain's expert; by domain and over all."""
    from finsa_moe.errors import ConfigError, require

    require("polars", "data", "evaluating files")
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.evaluation.evaluate import PROTOCOLS
    from finsa_moe.evaluation.evaluate import evaluate as measure
    from finsa_moe.evaluation.published import as_dict, of_evaluation, section
    from finsa_moe.face import load

    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol {protocol}: unknown; choose one of {', '.join(PROTOCOLS)}")
    check_targets(json_out, html)
    refuse_inputs({"--json": json_out, "--html": html}, files)
    columns = Columns(text=text, label=label, id=id, date=date)
    table = _read(files, columns, labels, domain, allow_rejects=allow_rejects)
    finsa = load(model, device=device, dtype=dtype, engine=engine, threads=threads, batch_tokens=batch_tokens)
    remark_on_torch(finsa, model)
    remark_on_sheets(files)
    if domain is not None:
        finsa.predictor.predict([], domain)  # a domain that the mixture does not know is an error before the work
    frame = table.frame if domains_known(table) else table.frame.drop("domain")
    began = time.perf_counter()
    result = measure(finsa, frame, protocol=protocol, samples=samples, seed=seed)
    paper = of_evaluation(result, _files(table)) if protocol == "finsa" else {}
    refused, command = table.rejects.height, typed(context)
    _show(result, paper, refused=refused, seconds=time.perf_counter() - began)
    if json_out is not None:
        told = {"command": command, **_facts(result, model, finsa, table)}
        facts = {**told, **({"paper": as_dict(paper)} if paper else {})}
        _save(json_out, json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    if html is not None:
        from finsa_moe.evaluation.report import Section, code, html_page
        from finsa_moe.evaluation.sections import evaluation_sections

        names = ", ".join(source.path.name for source in table.sources)
        title = f"{model.resolve().name}: {result.n:,} rows"
        sections = evaluation_sections(result)
        if paper:
            sections.insert(2, section(paper))  # after the summary and the scores of all runs
        sections.append(Section("How to reproduce", code(command)))
        left_out = f"; {refused:,} rows left out" if refused else ""
        _save(html, html_page(title, sections, f"finsa evaluate, protocol {protocol}, on {names}{left_out}"))
        remark_on_fonts([*finsa.domains, *(frame["domain"].unique() if "domain" in frame.columns else ())])


def _read(files: list[Path], columns: Columns, labels: str | None, domain: str | None, *, allow_rejects: bool) -> Table:
    """The labelled rows; one that cannot be used is an error, as a score without it would be of another test set."""
    from finsa_moe.data.reading.read import read_rows
    from finsa_moe.data.reading.sets import one_split
    from finsa_moe.polarity import LabelMap

    for path in files:
        one_split(path)
    table = read_rows(files, columns, LabelMap.parse(labels), domain)
    table.check("mend them, or leave them out by --allow-rejects", allow_rejects=allow_rejects)
    return table


def domains_known(table: Table) -> bool:
    """Whether the rows have domains: all of them or none, as scores by domain over some rows would mislead."""
    from finsa_moe.errors import DataError

    missing = table.frame["domain"].null_count()
    if 0 < missing < table.frame.height:
        row = table.frame.filter(table.frame["domain"].is_null()).row(0, named=True)
        raise DataError(
            f"{row['file']}, line {row['line']}: no domain, while other rows have one ({missing:,} of "
            f"{table.frame.height:,} rows); give --domain NAME or evaluate the files apart"
        )
    return missing == 0


def _files(table: Table) -> dict[str, list[str]]:
    """Names of the files that hold rows of each domain."""
    found: dict[str, list[str]] = {}
    for domain, path in table.frame.select("domain", "file").unique(maintain_order=True).rows():
        found.setdefault(domain, []).append(Path(path).name)
    return found


def _show(result: Evaluation, paper: Mapping[str, Ours], *, refused: int, seconds: float) -> None:
    from finsa_moe.evaluation.published import absent, protocol_tables
    from finsa_moe.evaluation.tables import class_table, confusion_table, routing_table, rows_table, runs_table

    console = screen(markup=False)
    run = result.leading
    for table in (runs_table(result), class_table(run), confusion_table(run), routing_table(result)):
        if table is not None:
            console.print(table, "")
    for title, rows in (("answered wrongly", result.wrong), ("answered rightly", result.correct)):
        if rows:
            console.print(rows_table(title, rows), "")
    for table in protocol_tables(paper):
        console.print(table, "")
    for line in absent(paper):
        console.print(line)
    skipped = f", {refused:,} rows left out" if refused else ""
    console.print(f"{result.n:,} rows{skipped}, {len(result.runs)} runs, {seconds:.1f} s")


def _facts(result: Evaluation, model: Path, finsa: FinSA, table: Table) -> dict[str, object]:
    from finsa_moe import __version__, shipped
    from finsa_moe.evaluation.fingerprints import of_weights

    return {
        "finsa_moe": __version__,
        "model": str(model),
        "fingerprint": of_weights(shipped.place(model)),
        "domains": list(finsa.domains),
        "files": [{"file": str(s.path), "rows": s.rows, "columns": s.columns} for s in table.sources],
        "refused": table.rejects.height,
        **result.as_dict(),
    }


def _save(path: Path, content: str) -> None:
    write(path, content)
    typer.echo(f"saved {path}", err=True)
