"""``finsa compare``: models × test sets, trained on the same rows, as one table and one report.

It reads rows and makes the registry of models; the evaluation room runs and scores, `compared` shows and saves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finsa_moe.cli.options import Labels, named

if TYPE_CHECKING:
    from finsa_moe.evaluation.comparison import TestSet
    from finsa_moe.evaluation.runner import TrainRows

SEEDS, SHARES = "13,21,42,87,123", "0.05,0.1,0.25,0.5"
"""The paper's seeds; the shares of a learning curve below all rows."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("compare")(compare)


def compare(
    model: Annotated[
        list[str],
        typer.Option(
            "--model", metavar="SPEC",
            help="finsa[:DIR][?run=routed|oracle|EXPERT&gate=hard|soft], majority, lexicon, tfidf-lr, tfidf-svm, "
            "fasttext, textcnn, bilstm, lora, finetune, hf:DIR, llm:MODEL@ENDPOINT; ?per=domain trains one a domain. "
            "Repeatable.",
        ),
    ],
    test: Annotated[
        list[str],
        typer.Option(
            "--test", metavar="NAME=FILE", help="Labelled rows; news/latest is a set of domain news. Repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report and of what is kept between runs.")],
    train: Annotated[
        list[str] | None,
        typer.Option("--train", metavar="NAME=FILE", help="Labelled rows of a domain to train on. Repeatable."),
    ] = None,
    dev: Annotated[
        list[str] | None,
        typer.Option("--dev", metavar="NAME=FILE", help="Rows to choose settings by, never to judge by. Repeatable."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="SPEC", help="What others are held against; left out: the first.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of models that draw at random.")] = SEEDS,
    curves: Annotated[bool, typer.Option("--curves", help=f"Learning curves at {SHARES} of the rows.")] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Also every expert of a mixture on every test set, router or not.")
    ] = False,
    examples: Annotated[
        int, typer.Option(min=0, help="Surest wrong answers to show of each test set, explained; 0: show no text.")
    ] = 10,
    protocol: Annotated[
        str, typer.Option(help="ours; or finsa: also the paper's two tables, its published rows beside.")
    ] = "ours",
    labels: Labels = None,
) -> None:  # fmt: skip
    """Hold models against each other on the same rows: cluster intervals, paired tests, leaks beside the scores."""
    from finsa_moe.errors import ConfigError, require

    require("sklearn", "train", "comparing models")
    from finsa_moe.cli.compared import command, publish
    from finsa_moe.cli.contenders import experts, mistakes, registry
    from finsa_moe.evaluation.cells import Cells
    from finsa_moe.evaluation.experts import with_forms
    from finsa_moe.evaluation.judge import compare as judge
    from finsa_moe.evaluation.runner import planned, run

    if protocol not in ("ours", "finsa"):
        raise ConfigError(f"--protocol {protocol}: unknown; choose ours or finsa")
    drawn = [_seed(word) for word in seeds.split(",")]
    asked = with_forms(model, experts, [name.partition("/")[0] for name in named(test, "--test")]) if matrix else model
    cells = planned(asked, drawn, [float(x) for x in SHARES.split(",")] if curves else [])
    held = reference or model[0]
    if held not in model:
        raise ConfigError(f"--reference {held}: is none of the models compared: {', '.join(model)}")
    rows = _rows(train or [], "--train", labels)
    chosen = _rows(dev, "--dev", labels) if dev else None
    sets = _sets(test, rows, labels)
    store = Cells(out / "cells", _inputs(rows, chosen, sets))
    make, model_of = registry()

    def say(line: str) -> None:
        typer.echo(line, err=True)

    found = run(cells, rows, chosen, sets, store, make, model_of=model_of, say=say)
    words = command(
        model, test, train, dev, held, seeds, curves=curves, matrix=matrix, examples=examples, protocol=protocol
    )
    wrong, remark = mistakes(examples, held, sets, found, make, say)
    publish(judge(sets, found, reference=held), out, words, wrong, remark, published=protocol == "finsa")


def _seed(word: str) -> int:
    from finsa_moe.errors import ConfigError

    if not word.strip().isdigit():
        raise ConfigError(f"--seeds: {word!r} is no whole number; write for example {SEEDS}")
    return int(word)


def _table(path: Path, labels: str | None) -> Any:
    from finsa_moe.data.columns import Columns
    from finsa_moe.data.read import read_rows
    from finsa_moe.errors import DataError
    from finsa_moe.polarity import LabelMap

    table = read_rows([path], Columns(), LabelMap.parse(labels), None)
    if table.rejects.height:
        first = table.rejects.row(0, named=True)
        raise DataError(
            f"{path}, line {first['line']}: {first['reason']} ({table.rejects.height:,} such rows); mend or drop them"
        )
    if not table.frame.height:
        raise DataError(f"{path}: no row")
    return table.frame


def _rows(pairs: list[str], option: str, labels: str | None) -> TrainRows:
    from finsa_moe.evaluation.evaluate import class_ids
    from finsa_moe.evaluation.runner import TrainRows

    texts: list[str] = []
    ids: list[int] = []
    domains: list[str] = []
    for name, path in named(pairs, option).items():
        frame = _table(path, labels)
        texts += frame["text"].to_list()
        ids += class_ids(frame["label"]).tolist()
        domains += [name.partition("/")[0]] * frame.height
    return TrainRows(texts, ids, domains)


def _sets(pairs: list[str], train: TrainRows, labels: str | None) -> list[TestSet]:
    """The test sets, each with its clusters and what of it stands in the training rows."""
    import numpy as np
    import polars as pl

    from finsa_moe.data.leakage import audit
    from finsa_moe.evaluation.comparison import TestSet
    from finsa_moe.evaluation.evaluate import class_ids

    files = named(pairs, "--test")
    frames = {name: _table(path, labels).select("text", "label") for name, path in files.items()}
    taught = pl.DataFrame({"text": list(train.texts)}, schema={"text": pl.String})
    report = audit({"train": taught, **{f"test:{name}": frame for name, frame in frames.items()}})
    known = np.unique(report.of("train")["near"].to_numpy())
    made = []
    for name, frame in frames.items():
        near = report.of(f"test:{name}")["near"].to_numpy()
        made.append(TestSet(
            name, name.partition("/")[0], frame["text"].to_list(), class_ids(frame["label"]), near, np.isin(near, known)
        ))  # fmt: skip
    return made


def _inputs(rows: TrainRows, dev: TrainRows | None, sets: list[TestSet]) -> dict[str, list[object]]:
    inputs: dict[str, list[object]] = {"train": [list(rows.texts), list(rows.labels), list(rows.domains)]}
    if dev is not None:
        inputs["dev"] = [list(dev.texts), list(dev.labels), list(dev.domains)]
    for one in sets:
        inputs[f"test/{one.name}"] = [list(one.texts), one.truth.tolist()]
    return inputs
