"""``finsa augment``: new rows of a training split, in synonyms or rewritten by a language model the user names.

It reads, turns away what is no training split, asks the data room, and saves rows, refused rows and a count of cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finsa_moe.cli.options import HoldOut, Id, Label, Labels, Text, seed_for
from finsa_moe.cli.progress import Bar
from finsa_moe.cli.screen import idle
from finsa_moe.cli.targets import check_csv, check_targets, refuse_inputs

if TYPE_CHECKING:
    import polars as pl

    from finsa_moe.data.augmenting.augment import Augmented
    from finsa_moe.llm.client import Client

_OF_REWRITING = (
    "model_name", "api", "key_file", "max_tokens", "at_once", "per_minute", "timeout", "tries", "prices", "answers",
    "check",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("augment")(augment)


def augment(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="TRAIN.csv", help="Labelled rows of a training split.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="F.csv|DIR",
            help="File for the original rows and the new ones; or a folder to train on: they are its train.csv, and "
            "the splits beside the source, a valid.csv at least, go with it as they are.",
        ),
    ],
    synonyms: Annotated[
        float, typer.Option(help="Share of rows reworded by synonyms; the others are rewritten by a language model.")
    ] = 0.2,
    copies: Annotated[int, typer.Option(help="How many new rows to make of each row at most.")] = 3,
    words: Annotated[
        float, typer.Option(help="Share of the words with known synonyms that is replaced in a text.")
    ] = 0.3,
    only_new: Annotated[bool, typer.Option("--only-new", help="Leave the original rows out.")] = False,
    domain: Annotated[
        str | None, typer.Option(metavar="NAME", help="Domain of all rows; left out: the file's column `domain`.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of a language model that rewrites; left out: none is asked."),
    ] = None,
    model_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the model at the endpoint.")] = None,
    api: Annotated[str, typer.Option(metavar="openai|ollama", help="Interface that the endpoint offers.")] = "openai",
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="F", help="File with the API key; left out: the environment variable FINSA_API_KEY."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most tokens of an answer, thoughts included; left out: 1024; 4096 for models known to think.",
        ),
    ] = None,
    at_once: Annotated[int, typer.Option(help="How many requests to send at the same time.")] = 4,
    per_minute: Annotated[float, typer.Option(min=0, help="Most requests a minute; 0: no limit.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 60.0,
    tries: Annotated[int, typer.Option(help="How often a request is sent before it is given up.")] = 5,
    prices: Annotated[
        str | None, typer.Option(metavar="IN/OUT", help="Price of a million tokens of prompt and of answer.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="F", help="File that keeps the model's answers, so that no run asks twice; left out: beside --out."
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model folder, or 'default': a rewrite is kept only if this model gives it the row's label.",
        ),
    ] = None,
    hold_out: HoldOut = None,
    seed: Annotated[int, seed_for("which rows and words are changed")] = 13,
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    labels: Labels = None,
) -> None:
    """Make new rows of a training split; each names its original (source_id), and none may leak."""
    from finsa_moe.errors import ConfigError, DataError, require

    require("polars", "data", "finsa augment")
    from finsa_moe.data.augmenting.augment import AugmentSettings
    from finsa_moe.data.augmenting.augment import augment as make
    from finsa_moe.data.preparing.grown import check_folder, check_trainable, judging, judging_texts
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.data.reading.read import read_rows, read_texts
    from finsa_moe.polarity import LabelMap

    if endpoint is None and (useless := idle(context, *_OF_REWRITING)):
        raise ConfigError(f"{useless}: only for a model that rewrites; name one by --endpoint URL, or leave it out")
    beside = judging(source)
    read = [source, *beside, *(hold_out or [])]
    if _is_folder(out):
        check_folder(out, read)
    if out.name in ("", ".."):
        out = out.resolve()  # `.` has no name to put others beside
    kept = answers or _beside(out, ".answers.jsonl")
    check_targets(None if _is_folder(out) else out, _rejects_of(out), kept if endpoint is not None else None)
    if not _is_folder(out):
        _check_file(out)
    elif only_new:
        raise ConfigError(f"--out {out}: a folder is to be trained on, so it holds all rows; leave out --only-new")
    else:
        check_trainable(out, source, beside, named=(text or label) is not None)
    refuse_inputs({"--out": out, "--out's rejects": _rejects_of(out), "--answers": answers}, read)
    settings = AugmentSettings(synonyms, copies, words, seed)
    price = _prices(prices)
    asked = None
    if endpoint is not None:
        manners = (at_once, per_minute, timeout, tries, max_tokens)
        asked = _client(endpoint, model_name, api, key_file, manners, kept)
    judged_by = [*judging_texts(beside, text), *read_texts(hold_out or [], text)]
    table = read_rows([source], Columns(text=text, label=label, id=id), LabelMap.parse(labels), domain)
    table.check(allow_rejects=bool(table.frame.height))
    if only_new and (nameless := sum(table.ids.values())):
        raise DataError(
            f"{source}: {nameless:,} of {table.frame.height:,} rows have no id of their own, so new rows alone could "
            "not say what they were made of; name the column of ids by --id, or leave out --only-new"
        )
    if table.rejects.height:
        typer.echo(f"{table.rejects.height:,} rows cannot be used and are left out: {table.first_reject}", err=True)
    with Bar() as bar:
        found = make(
            table.frame, settings, judged_by=judged_by, asker=asked, check=_checker(check), progress=bar.show
        )  # fmt: skip
    _save(table.frame, found, out, source, beside, only_new=only_new)
    _tell(table.frame, found, out, asked, price)


def _rejects_of(out: Path) -> Path:
    return _beside(out, ".rejects.csv")


def _beside(out: Path, ending: str) -> Path:
    """A file called as the output, which stands beside it; a folder's name keeps its dots."""
    return out.with_name(out.name + ending) if _is_folder(out) else out.with_suffix(ending)


def _is_folder(out: Path) -> bool:
    """Whether a folder is meant: one that is there, not called as a table, or a name with no ending, not a file's."""
    return out.suffix.lower() != ".csv" if out.is_dir() else not out.suffix and not out.is_file()


def _check_file(out: Path) -> None:
    """Refuse a file that is no CSV, would be taken for a split that models are judged by, or is a split already.

    Raises:
        ConfigError: Naming what is allowed.
    """
    from finsa_moe.data.reading.sets import is_held_out, split_called
    from finsa_moe.errors import ConfigError

    check_csv(out, "--out")
    if is_held_out(out):
        raise ConfigError(f"--out {out}: called as a split that models are judged by; new rows are to learn from")
    if split_called(out) and out.exists():
        raise ConfigError(f"--out {out}: a split that is there already, and would be lost; name another")


def _client(
    url: str,
    model: str | None,
    form: str,
    key: Path | None,
    manners: tuple[int, float, float, int, int | None],
    kept: Path,
) -> Client:
    """What asks, in the form that the model's family takes."""
    from finsa_moe.evaluation.baselines.llm import fields
    from finsa_moe.evaluation.baselines.prompts import prompt_for
    from finsa_moe.llm.client import Client, Manners
    from finsa_moe.llm.endpoint import FORMS, Endpoint, read_key

    at_once, per_minute, timeout, tries, longest = manners
    family = prompt_for(model or "")
    how = Manners(
        at_once=at_once, per_minute=per_minute, tries=tries, longest=longest or max(Manners.longest, family.longest)
    )
    place = Endpoint(url, model or "", form, read_key(key), timeout, fields(family, how) if form == FORMS[0] else {})
    return Client(place, how, kept)


def _prices(value: str | None) -> tuple[float, float] | None:
    from finsa_moe.errors import ConfigError

    if value is None:
        return None
    try:
        first, second = (float(part) for part in value.split("/"))
    except ValueError as error:
        raise ConfigError(f"--prices {value!r}: write two numbers, as in 0.5/1.5") from error
    return first, second


def _checker(model: str | None) -> Callable[[Sequence[str]], list[str]] | None:
    if model is None:
        return None
    from finsa_moe.face import load

    finsa = load(None if model == "default" else model)
    return lambda texts: [answer.sentiment for answer in finsa.predict(list(texts))]


def _save(
    rows: pl.DataFrame, found: Augmented, out: Path, source: Path, beside: Sequence[Path], *, only_new: bool
) -> None:
    import polars as pl

    from finsa_moe.data.preparing.grown import grow
    from finsa_moe.data.preparing.stats import save_csv

    columns = [name for name in ("id", "text", "label", "domain", "date", "source_id") if name in rows.columns]
    parts = [found.rows] if only_new else [rows.select(columns), found.rows]
    whole = pl.concat(parts, how="diagonal")
    if _is_folder(out):
        grow(out, whole, beside, source)
    else:
        save_csv(whole, out)
    save_csv(found.refused, _rejects_of(out))


def _tell(
    rows: pl.DataFrame, found: Augmented, out: Path, asked: Client | None, price: tuple[float, float] | None
) -> None:
    from finsa_moe.data.augmenting.augment import CUT, NEAR
    from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD

    made = found.rows["made_by"].value_counts().rows()
    counts = ", ".join(f"{count:,} by {name}" for name, count in sorted(made)) or "none"
    remarks = {
        CUT: ": --max-tokens N leaves room for more",
        NEAR: f": finsa prepare parts texts from {CLUSTER_THRESHOLD} on, so it may be learnt, but not reworded",
    }
    typer.echo(f"{rows.height:,} rows, new: {counts}; refused {found.refused.height:,}")
    for reason, count in list(found.reasons().items())[:6]:
        typer.echo(f"  {count:,} × {reason}{remarks.get(reason, '')}")
    if found.left:
        typer.echo(
            f"{found.left:,} rows wait for a language model: name one by --endpoint URL --model-name NAME, or "
            "--synonyms 1 to put every row in synonyms"
        )
    if asked is not None:
        bill = asked.bill
        cost = f", cost {bill.cost(*price):.4f}" if price is not None else ""
        typer.echo(
            f"asked {bill.asked:,}, remembered {bill.remembered:,}, given up {bill.failed:,}; tokens "
            f"{bill.prompt_tokens:,} in, {bill.answer_tokens:,} out{cost}"
        )
    typer.echo(f"written: {out}, {_rejects_of(out)}")
