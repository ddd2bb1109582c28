"""``finsa compare``: models × test sets, trained on the same rows, as one table and one report.

The judging room reads the rows and makes the models, the evaluation room runs and scores, `compared` shows and saves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from finsa_moe.cli.options import BatchTokens, Date, Device, DType, Id, Label, Labels, Text, pairs_of
from finsa_moe.runtime import BATCH_TOKENS

SEEDS, SHARES = "13,21,42,87,123", "0.05,0.1,0.25,0.5"
"""The paper's seeds; the shares of a learning curve below all rows."""
FILE = "news=work/news/test.csv"
"""What an option of rows looks like."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("compare")(compare)


def compare(
    model: Annotated[
        list[str],
        typer.Option(
            "--model", metavar="[NAME=]SPEC",
            help="finsa[:DIR][?run=routed|oracle|EXPERT&gate=hard|soft], majority, lexicon, tfidf-lr, tfidf-svm, "
            "fasttext, textcnn, bilstm, lora, finetune, hf:DIR, llm:MODEL@ENDPOINT; ?per=domain trains one a domain; "
            "NAME is what tables call it. Repeatable.",
        ),
    ],
    test: Annotated[
        list[str],
        typer.Option(
            "--test", metavar="NAME=FILE",
            help="Labelled test rows; the domain stands before a slash, as in news/latest. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the report, and for results that a next run reuses.")],
    train: Annotated[
        list[str] | None,
        typer.Option("--train", metavar="NAME=FILE", help="Labelled rows of a domain to train on. Repeatable."),
    ] = None,
    dev: Annotated[
        list[str] | None,
        typer.Option("--dev", metavar="NAME=FILE", help="Rows to choose settings on, never scored. Repeatable."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="NAME|SPEC", help="Model that the others are compared with; left out: the first."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Random seeds, by commas; a model that uses none runs once.")] = SEEDS,
    curves: Annotated[bool, typer.Option("--curves", help=f"Learning curves at {SHARES} of the rows.")] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Also score each expert of a mixture alone on every test set.")
    ] = False,
    examples: Annotated[
        int,
        typer.Option(
            min=0, help="How many of the surest wrong answers to show and explain of each test set; 0: show no text."
        ),
    ] = 10,
    protocol: Annotated[
        str, typer.Option(help="ours, or finsa: also the paper's two tables, with its published results beside.")
    ] = "ours",
    text: Text = None,
    label: Label = None,
    id: Id = None,  # noqa: A002
    date: Date = None,
    labels: Labels = None,
    device: Device = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    dtype: DType = None,
) -> None:  # fmt: skip
    """Hold models against each other on the same rows: cluster intervals, paired tests, leaks beside the scores.

    --device is for every torch model whose spec names none (exported ones stay on the CPU), --batch-tokens and --dtype
    for mixtures; what is trained here takes its settings from its spec.
    """
    from finsa_moe.errors import ConfigError, require

    require("sklearn", "train", "comparing models")
    from finsa_moe.cli.compared import FILES, command, publish
    from finsa_moe.cli.targets import check_targets
    from finsa_moe.data.reading.columns import Columns
    from finsa_moe.evaluation.baselines.spec import Spec
    from finsa_moe.evaluation.comparison.cells import Cells
    from finsa_moe.evaluation.comparison.experts import with_forms
    from finsa_moe.evaluation.comparison.runner import planned, run
    from finsa_moe.evaluation.comparison.scoring import compare as judge
    from finsa_moe.evaluation.comparison.tables import chosen_lines
    from finsa_moe.evaluation.fingerprints import of_weights
    from finsa_moe.judging.contenders import Running, experts, fingerprints, registry
    from finsa_moe.judging.mistakes import mistakes
    from finsa_moe.judging.rows import inputs, judged_sets, labelled
    from finsa_moe.polarity import LabelMap

    if protocol not in ("ours", "finsa"):
        raise ConfigError(f"--protocol {protocol}: unknown; choose ours or finsa")
    models, names = Spec.named(model)
    drawn = [_seed(word) for word in seeds.split(",")]
    if doubled := [seed for at, seed in enumerate(drawn) if seed in drawn[:at]]:
        raise ConfigError(f"--seeds {seeds}: {doubled[0]} stands twice; name every seed once")
    tested = pairs_of(test, "--test", FILE)
    domains = [name.partition("/")[0] for name in tested]
    asked = with_forms(models, experts, domains) if matrix else models
    cells = planned(asked, drawn, [float(x) for x in SHARES.split(",")] if curves else [])
    held = next((spec for spec, name in names.items() if name == reference), reference or models[0])
    if held not in models:
        raise ConfigError(f"--reference {held}: is none of the models compared: {', '.join(model)}")
    if out.is_dir():
        check_targets(*(out / name for name in FILES))
    columns, spelling = Columns(text=text, label=label, id=id, date=date), LabelMap.parse(labels)
    rows = labelled(pairs_of(train or [], "--train", FILE), columns, spelling)
    chosen = labelled(pairs_of(dev, "--dev", FILE), columns, spelling) if dev else None
    sets = judged_sets(tested, rows, chosen, columns, spelling)
    for line in chosen_lines(sets):
        typer.echo(f"warning: {line}", err=True)
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made ({error.strerror}); name a folder") from None
    store = Cells(out / "cells", inputs(rows, chosen, sets))
    print_of = cache(of_weights)  # the forms of a mixture share a folder
    make, model_of = registry(Running(device, dtype, batch_tokens), print_of)

    def say(line: str) -> None:
        typer.echo(line, err=True)

    prints = fingerprints(asked, print_of)
    found = run(cells, rows, chosen, sets, store, make, model_of=model_of, say=say)
    given = {
        "--text": text, "--label": label, "--id": id, "--date": date, "--labels": labels, "--device": device,
        "--batch-tokens": None if batch_tokens == BATCH_TOKENS else str(batch_tokens), "--dtype": dtype,
    }  # fmt: skip
    words = command(
        model, test, train, dev, held, seeds, curves=curves, matrix=matrix, examples=examples, protocol=protocol,
        given=given,
    )  # fmt: skip
    added = [spec for spec in asked if spec not in models]
    result = judge(sets, found, reference=held, names=names, added=added)
    wrong, remark = mistakes(examples, held, sets, found, make, say, result.called)
    publish(result, out, words, wrong, remark, prints, published=protocol == "finsa")


def _seed(word: str) -> int:
    from finsa_moe.errors import ConfigError

    if not word.strip().isdecimal() or int(word) >= 2**32:
        raise ConfigError(f"--seeds: {word!r} is no whole number under 2^32; write for example {SEEDS}")
    return int(word)
