"""``finsa explain``: which words made an answer what it is, for texts and for files of them.

Only options in and words out: the explain room computes, `cli.explained` prints, `cli.outputs` saves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import (
    FORMATS,
    BatchTokens,
    Bom,
    Device,
    Domain,
    DType,
    Engine,
    Id,
    Label,
    Labels,
    Model,
    Text,
    Threads,
    seed_for,
)  # fmt: skip
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.remarks import remark_on_refused, remark_on_torch
from finsa_moe.cli.targets import refuse_inputs
from finsa_moe.files import is_file
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.cli.outputs import Outputs
    from finsa_moe.explain.explain import ExplainSettings
    from finsa_moe.explain.file import Tally
    from finsa_moe.face import FinSA
    from finsa_moe.polarity import LabelMap, Polarity


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("explain")(explain)


def explain(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to explain; left out: from --input, or from a pipe, one a line.")
    ] = None,
    model: Model = None,
    input: Annotated[  # noqa: A002 - the option's own name
        Path | None, typer.Option(help=f"File of texts: {FORMATS}.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="F.jsonl", help="File for the explanations of --input; the same command continues a stopped run."
        ),
    ] = None,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    labels: Labels = None,
    domain: Domain = None,
    evaluations: Annotated[
        int,
        typer.Option(
            metavar="N", help="How often the model may be asked about one text, each time with other words hidden."
        ),
    ] = 2000,
    seed: Annotated[int, seed_for("the sampled orders in which words are hidden")] = 13,
    polarity: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="CLASS", help="Class whose reasons are shown; left out: the class that was answered."
        ),
    ] = None,
    only_label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="With --input: explain only rows with this label.")
    ] = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(metavar="F", help="List of words, one a line: the table shows these instead of all words."),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, metavar="N", help="Leave out words that occur less than N times.")
    ] = 1,
    table: Annotated[
        Path | None, typer.Option(metavar="F", help="Save the table of words: CSV, TSV, JSON lines, Parquet.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Save the words that matter most as bars.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Save one self-contained page.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one explanation a line; with --input, the table of words.")
    ] = False,
    bom: Bom = False,
    device: Device = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """Which words made an answer what it is: SHAP values by word and class, and which expert spoke.

    The expert that answers a text is held while its words are hidden, so the reasons are that expert's.
    """
    from finsa_moe.cli.outputs import Outputs
    from finsa_moe.errors import ConfigError, require
    from finsa_moe.explain.explain import ExplainSettings
    from finsa_moe.explain.shapley import check_budget
    from finsa_moe.explain.word_table import read_lexicon
    from finsa_moe.polarity import LabelMap

    if input is not None and texts:
        raise ConfigError(
            "texts and --input cannot both be given; e.g. finsa explain --input posts.csv --output why.jsonl"
        )
    if files := [given for given in texts or [] if is_file(given)]:
        each = ", and so for each file" if len(files) > 1 else ""
        raise ConfigError(f"{files[0]} is a file; write finsa explain --input {files[0]} --html why.html{each}")
    if input is None and (output or text or label or id or only_label or labels):
        raise ConfigError("--output, --text, --label, --labels, --id and --only-label belong to --input F")
    check_budget(evaluations)
    known = read_lexicon(lexicon) if lexicon is not None else None
    spelt = LabelMap.parse(labels)
    asked = Outputs(
        _class(polarity, "--class", LabelMap()), known, min_count, table, plot, html, output, bom=bom, as_json=as_json
    )
    asked.check()
    targets = {"--output": output, "--table": table, "--plot": plot, "--html": html}
    refuse_inputs(targets, [path for path in (input, lexicon) if path is not None])
    only = _class(only_label, "--only-label", spelt)
    if sys.stderr.isatty():  # seconds go by before the first words
        typer.echo("explaining …", err=True)
    # shap compiles what runs in 50 ms for twelve seconds; who wants it compiled sets the variable to 0
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    require("rjieba", "explain", "cutting a text into words")
    with _hidden("matplotlib", "pyspark"):  # shap would load them for pictures and trees that nobody asks of it here
        require("shap", "explain", "explaining an answer")
    from finsa_moe.face import load

    finsa = load(model, device=device, dtype=dtype, engine=engine, threads=threads, batch_tokens=batch_tokens)
    remark_on_torch(finsa, model)
    settings = ExplainSettings(evaluations=evaluations, seed=seed, known=tuple(known or ()))
    if input is not None:
        from finsa_moe.data.reading.columns import Columns

        columns = Columns(text=text, label=label, id=id)
        tally = _file(finsa, input, asked, settings, columns=columns, labels=spelt, only=only, domain=domain,
                      output=output, named=_named(finsa, model, dtype))  # fmt: skip
        asked.finish(f"finsa explain, {input.name}: {tally.explained:,} texts", shown=True)
    else:
        _texts(finsa, texts or _piped(), asked, settings, domain)
        asked.finish("finsa explain", shown=known is not None)


def _class(word: str | None, option: str, labels: LabelMap) -> Polarity | None:
    from finsa_moe.errors import ConfigError
    from finsa_moe.polarity import NAMES

    if word is None:
        return None
    found = labels(word)
    if found is None:
        raise ConfigError(f"{option} {word}: no class; write one of {', '.join(NAMES)}, or bearish, neutral, bullish")
    return found


def _piped() -> list[str]:
    from finsa_moe.data.text import normalise
    from finsa_moe.errors import ConfigError, DataError
    from finsa_moe.runtime.pipe import arriving, decoded

    if sys.stdin.isatty():
        raise ConfigError("nothing to explain; give texts, or --input F, e.g. finsa explain 主力又在砸盘")
    texts = []
    for number, line in enumerate(chain.from_iterable(arriving(sys.stdin.buffer)), 1):
        text = decoded(line, first=number == 1)
        if text is None:
            raise DataError(f"line {number} of the pipe: neither whole UTF-8 nor GB18030; mend it or leave it out")
        if normalise(text):
            texts.append(text)
    if not texts:
        raise DataError("no text: the pipe is empty; write one text a line, or give texts as arguments")
    return texts


def _texts(finsa: FinSA, texts: list[str], asked: Outputs, settings: ExplainSettings, domain: str | None) -> None:
    from finsa_moe.cli.explained import show
    from finsa_moe.errors import DataError
    from finsa_moe.explain.explain import stream
    from finsa_moe.explain.ledger import json_line

    for portion in stream(finsa, texts, domain=domain, settings=settings):
        for entry in portion:
            if isinstance(entry, DataError):
                raise entry
            asked.use(entry, None)
            if asked.as_json:
                sys.stdout.write(json_line(entry.rounded().as_dict()))
            else:
                show(entry, asked.polarity)


def _file(
    finsa: FinSA, source: Path, asked: Outputs, settings: ExplainSettings, *, named: dict[str, str], **how: object
) -> Tally:
    from finsa_moe.explain.file import explain_file

    with Bar("0 rows explained", ends=False) as bar:
        try:
            tally = explain_file(
                finsa, source, asked.use, settings=settings, named=named,
                progress=lambda rows: bar.show(f"{rows:,} rows explained", rows), **how,  # type: ignore[arg-type]
            )  # fmt: skip
        except KeyboardInterrupt:
            if how.get("output") is not None:
                typer.echo("stopped; what is done is kept: the same command goes on", err=True)
            raise typer.Exit(130) from None
    rate = tally.evaluations / max(tally.seconds, 1e-9)
    resumed = f", {tally.resumed:,} of them taken over" if tally.resumed else ""
    typer.echo(
        f"{source}: {tally.explained:,} of {tally.rows:,} rows explained{resumed}; {tally.evaluations:,} evaluations "
        f"in {tally.seconds:,.0f} s" + ("" if tally.resumed else f" ({rate:,.0f} a second)"),
        err=True,
    )
    if tally.left_out:
        what = "1 row bears" if tally.left_out == 1 else f"{tally.left_out:,} rows bear"
        typer.echo(f"{what} another label", err=True)
    remark_on_refused(
        tally.refused, f", with the reason, in {tally.rejects}" if tally.rejects else f" (first: {tally.first})"
    )
    return tally


def _named(finsa: FinSA, model: Path | None, dtype: str | None) -> dict[str, str]:
    """What tells one model from another: its files, and how they are run."""
    from finsa_moe import shipped
    from finsa_moe.evaluation.fingerprints import of_folder

    return {"folder": of_folder(shipped.place(model)), "engine": finsa.predictor.engine.name, "dtype": dtype or ""}


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Modules that cannot be imported meanwhile, unless they are already."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
