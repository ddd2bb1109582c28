"""``finsa predict``: texts as arguments, from a file, from a pipe, or one after another at a prompt.

Only words in and words out: the face answers, `runtime.bulk` does whole files. One line of output for each text.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import (
    FORMATS,
    AbstainBelow,
    BatchTokens,
    Bom,
    Device,
    Domain,
    DType,
    Engine,
    Id,
    Model,
    Text,
    Threads,
)
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.remarks import (
    UNLIKE,
    remark_on_cut,
    remark_on_refused,
    remark_on_sheets,
    remark_on_strangers,
    remark_on_torch,
    remark_on_unsure,
)
from finsa_moe.cli.standard import ask, quiet_pipe, say, say_json
from finsa_moe.cli.targets import check_targets
from finsa_moe.files import is_file
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.face import FinSA
    from finsa_moe.runtime.prediction import Prediction

# Red rises and green falls, as every Chinese quote board has it.
COLOURS = {"利好": "31", "利空": "32", "中性": "90"}
SCREEN = Path("-")
SECONDS = 10
"""From so many seconds on a run's rate says something: in shorter ones the engine's start takes most of the time."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("predict")(predict)


def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to answer; left out: from --input, a pipe, or a prompt.")
    ] = None,
    model: Model = None,
    input: Annotated[  # noqa: A002 - the option's own name
        Path | None,
        typer.Option(help=f"File of texts: {FORMATS}."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the answers: CSV, TSV, JSON lines, Parquet; - prints them as CSV, with --json as JSON lines."
        ),
    ] = None,
    text: Text = None,
    id: Id = None,  # noqa: A002
    domain: Domain = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all fields.")] = False,
    bom: Bom = False,
    abstain_below: AbstainBelow = 0.0,
    device: Device = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """Polarity of financial texts: 利空, 中性 or 利好, how sure, and which expert answered.

    A line of output has the polarity (with ? when uncertain, * when the text is unlike those that the model learnt
    from), its confidence, the expert and the text, by tabs.
    """
    from finsa_moe.errors import ConfigError
    from finsa_moe.face import load

    if input is not None and (texts or output is None):
        needs = "--input needs --output F for the answers, or --output - to print them"
        what = "texts and --input cannot both be given" if texts else needs
        raise ConfigError(f"{what}; e.g. finsa predict --input posts.csv --output answers.csv")
    if files := [given for given in texts or [] if is_file(given)]:
        each = ", and so for each file" if len(files) > 1 else ""
        raise ConfigError(f"{files[0]} is a file; write finsa predict --input {files[0]} --output answers.csv{each}")
    if input is None and (output is not None or text is not None or id is not None):
        raise ConfigError("--output, --text and --id belong to --input F; without it answers go to the screen")
    if input is not None and output is not None and output != SCREEN:
        from finsa_moe.runtime.bulk import rejects_of
        from finsa_moe.runtime.writers import JSON_LINES, check_ending

        check_ending(output)  # before a model is loaded for nothing
        if as_json and output.suffix.lower() not in JSON_LINES:
            raise ConfigError(
                f"--json prints JSON lines, and --output {output} is written as its ending says: "
                f"name {output.with_suffix('.jsonl')}, or leave --json out"
            )
        check_targets(output, rejects_of(output))
    finsa = load(
        model, device=device, dtype=dtype, engine=engine, threads=threads, batch_tokens=batch_tokens,
        abstain_below=abstain_below,
    )  # fmt: skip
    remark_on_torch(finsa, model)
    if input is not None and output is not None:
        ending = ".jsonl" if as_json else ".csv"
        _file(finsa, input, None if output == SCREEN else output, ending, text=text, id=id, domain=domain, bom=bom)
    elif texts and texts != ["-"]:
        answers = finsa.predictor.predict(texts, domain)
        with quiet_pipe():
            for answer in answers:
                _say(answer, as_json)
        remark_on_cut(sum(answer.truncated for answer in answers))
        remark_on_strangers(sum(answer.strange for answer in answers), _told_by(as_json))
    elif sys.stdin.isatty():
        _converse(finsa, domain, as_json)
    else:
        with quiet_pipe():
            _pipe(finsa, domain, as_json)


def _file(finsa: FinSA, source: Path, target: Path | None, ending: str, *, bom: bool, **columns: str | None) -> None:
    """Answer a file into another, or, where there is no target, onto stdout in the format of `ending`."""
    from finsa_moe.runtime.bulk import predict_file, predict_stream

    with Bar("0 rows", ends=False, hidden=target is None and sys.stdout.isatty()) as bar, quiet_pipe():

        def shown(rows: int) -> None:
            bar.show(f"{rows:,} rows", rows)

        if target is None:
            screen = sys.stdout.buffer
            tally = predict_stream(finsa.predictor, source, screen, ending, bom=bom, progress=shown, **columns)
        else:
            tally = predict_file(finsa.predictor, source, target, bom=bom, progress=shown, **columns)
    rate = f", {tally.answered / tally.seconds:,.0f} a second" if tally.seconds >= SECONDS else ""
    typer.echo(
        f"{target or source}: {tally.answered:,} of {tally.rows:,} rows answered by column {tally.column}{rate} "
        f"({tally.engine})",
        err=True,
    )
    if tally.encoding:
        typer.echo(f"{source} was read as {tally.encoding.upper()}: it is not in UTF-8", err=True)
    remark_on_sheets([source])
    remark_on_cut(tally.truncated, "column `truncated`")
    remark_on_unsure(tally.uncertain)
    remark_on_strangers(tally.strange, "column `novelty`")
    remark_on_refused(
        tally.refused, f", with the reason, in {tally.rejects}" if tally.rejects else f", the first in {tally.first}"
    )


def _pipe(finsa: FinSA, domain: str | None, as_json: bool) -> None:
    """Answer a pipe line by line: whatever has arrived is answered together, so a slow writer does not wait."""
    from finsa_moe.data.reading.rows import EMPTY
    from finsa_moe.errors import DataError
    from finsa_moe.runtime.pipe import FULL, arriving, decoded
    from finsa_moe.runtime.predictor import BULK
    from finsa_moe.runtime.repeats import Repeats

    line, refused, cut, strange, first = 0, 0, 0, 0, ""
    many, repeats = False, Repeats()
    for raw in arriving(sys.stdin.buffer):
        if line == 0:  # one engine answers all that comes, the one for as many as come first
            many = len(raw) >= BULK or sum(map(len, raw)) >= FULL
        texts = [decoded(part, first=line == 0 and at == 0) for at, part in enumerate(raw)]
        good = ["" if words is None else words for words in texts]
        answers = finsa.predictor.attempt(good, domain, bulk=many, repeats=repeats)
        for words, answer in zip(texts, answers, strict=True):
            line += 1
            if not isinstance(answer, DataError):
                cut, strange = cut + answer.truncated, strange + answer.strange
                _say(answer, as_json)
                continue
            reason = "broken UTF-8, or neither that nor GB18030" if words is None else EMPTY
            refused, first = refused + 1, first or f"line {line}: {reason}"
            if as_json:
                say_json({"line": line, "text": words, "error": reason})
            else:
                say(f"-\t-\t-\t{' '.join((words or '').split())}")
        sys.stdout.flush()
    if line == 0:
        raise DataError("no text: the pipe is empty; write one text a line, or give texts as arguments")
    remark_on_cut(cut)
    remark_on_strangers(strange, _told_by(as_json))
    if refused:
        typer.echo(f"{refused:,} of {line:,} lines refused (first: {first})", err=True)


def _converse(finsa: FinSA, domain: str | None, as_json: bool) -> None:
    from finsa_moe.errors import DataError

    with suppress(ImportError):
        import readline  # noqa: F401 - edits Chinese by characters, and takes lines over the terminal's 4096 bytes
    finsa.predictor.predict([], domain)  # an unknown domain is told before the first text
    typer.echo(f"experts: {', '.join(finsa.domains)}. One text a line; quit leaves.", err=True)
    while True:
        try:
            words = ask().strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo(err=True)
            return
        except UnicodeDecodeError as error:
            typer.echo(f"that line is not in {error.encoding.upper()}; type it anew, or quit", err=True)
            continue
        if words.casefold() in ("quit", "exit"):
            return
        if not words:
            continue
        answer = finsa.predictor.attempt([words], domain)[0]
        if isinstance(answer, DataError):
            typer.echo("no text in that line; type some words, or quit", err=True)
        elif as_json:
            _say(answer, as_json)
        else:
            say(_spoken(answer))


def _say(answer: Prediction, as_json: bool) -> None:
    if as_json:
        say_json({key: _rounded(value) for key, value in answer.as_dict().items()})
        return
    words = " ".join(answer.text.split())
    mark = ("?" if answer.uncertain else "") + ("*" if answer.strange else "")
    say(f"{_coloured(answer.sentiment)}{mark}\t{answer.confidence:.4f}\t{answer.expert}\t{words}")


def _told_by(as_json: bool) -> str:
    """What tells a strange text among the lines printed."""
    return "`novelty`" if as_json else "marked *: `novelty`"


def _spoken(answer: Prediction) -> str:
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in answer.expert_weights.items())
    notes = (
        (" · uncertain" if answer.uncertain else "")
        + (" · too long, its middle was cut" if answer.truncated else "")
        + (f" · {UNLIKE}" if answer.strange else "")
    )
    return (
        f"sentiment: {_coloured(answer.sentiment)}   confidence: {answer.confidence:.4f}   "
        f"expert: {answer.expert} ({weights})   {1000 * answer.seconds:.0f} ms{notes}"
    )


def _coloured(sentiment: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return sentiment
    return f"\x1b[1;{COLOURS[sentiment]}m{sentiment}\x1b[0m"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 6) if isinstance(value, float) else value
