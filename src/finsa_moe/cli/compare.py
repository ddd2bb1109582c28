"""``finsa compare``: models × test sets, trained on the same rows, as one table and one report.

It reads rows, makes the registry of models, and prints; the evaluation room runs and scores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finsa_moe.cli.options import Labels, named

if TYPE_CHECKING:
    from finsa_moe.evaluation.baselines.spec import Spec
    from finsa_moe.evaluation.comparison import Comparison, TestSet
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
    protocol: Annotated[
        str, typer.Option(help="ours; or finsa: also the paper's two tables, its published rows beside.")
    ] = "ours",
    labels: Labels = None,
) -> None:  # fmt: skip
    """Hold models against each other on the same rows: cluster intervals, paired tests, leaks beside the scores."""
    from finsa_moe.errors import ConfigError, require

    require("sklearn", "train", "comparing models")
    from finsa_moe.evaluation.cells import Cells
    from finsa_moe.evaluation.comparison import compare as judge
    from finsa_moe.evaluation.runner import planned, run

    if protocol not in ("ours", "finsa"):
        raise ConfigError(f"--protocol {protocol}: unknown; choose ours or finsa")
    drawn = [_seed(word) for word in seeds.split(",")]
    cells = planned(model, drawn, [float(x) for x in SHARES.split(",")] if curves else [])
    held = reference or model[0]
    if held not in model:
        raise ConfigError(f"--reference {held}: is none of the models compared: {', '.join(model)}")
    rows = _rows(train or [], "--train", labels)
    chosen = _rows(dev, "--dev", labels) if dev else None
    sets = _sets(test, rows, labels)
    store = Cells(out / "cells", _inputs(rows, chosen, sets))
    make, model_of = _registry()
    found = run(cells, rows, chosen, sets, store, make, model_of=model_of, say=lambda line: typer.echo(line, err=True))
    result = judge(sets, found, reference=held)
    _report(result, out, _command(model, test, train, dev, held, seeds, curves=curves), published=protocol == "finsa")


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


def _registry() -> tuple[Callable[[Spec], Any], Callable[[Spec], str]]:
    """What makes a model of a spec, and the fingerprint of one that is trained already."""
    from finsa_moe import shipped
    from finsa_moe.evaluation.baselines.registry import make
    from finsa_moe.evaluation.cells import of_folder
    from finsa_moe.evaluation.forms import MixtureForm
    from finsa_moe.face import load

    def place(spec: Spec) -> Path:
        return Path(spec.target) if spec.target else shipped.model()

    def mixture(spec: Spec) -> Any:
        gate = spec.word("gate", "", ("", "hard", "soft"))
        if not gate:
            return MixtureForm(load(place(spec)), spec)
        from finsa_moe.face import FinSA
        from finsa_moe.model.torch_engine import TorchEngine
        from finsa_moe.runtime.predictor import Predictor

        folder = place(spec) if spec.target else shipped.weights("backbone").parent  # exported graphs have a hard gate
        return MixtureForm(FinSA(Predictor(TorchEngine(folder, gate=gate))), spec)

    def made(spec: Spec) -> Any:
        if spec.name == "finsa":
            return mixture(spec)
        if spec.name in ("lora", "finetune"):
            from finsa_moe.training.contestants import contestants

            return make(spec, contestants(shipped.weights))
        return make(spec)

    def mark(spec: Spec) -> str:
        folder = place(spec) if spec.name == "finsa" else Path(spec.target)
        return of_folder(folder) if folder.is_dir() else spec.target

    return made, mark


def _command(
    model: list[str],
    test: list[str],
    train: list[str] | None,
    dev: list[str] | None,
    held: str,
    seeds: str,
    *,
    curves: bool,
) -> str:
    import shlex

    words = ["finsa", "compare"]
    for option, values in (("--model", model), ("--train", train or []), ("--dev", dev or []), ("--test", test)):
        words += [word for value in values for word in (option, value)]
    words += ["--reference", held, "--seeds", seeds, *(["--curves"] if curves else [])]
    return shlex.join(words)


def _report(result: Comparison, out: Path, command: str, *, published: bool) -> None:
    from rich.console import Console

    from finsa_moe.evaluation.comparison_page import page
    from finsa_moe.evaluation.comparison_tables import leak_lines, markdown, screen
    from finsa_moe.evaluation.published import markdown as protocol_markdown
    from finsa_moe.evaluation.published import protocol_tables

    out.mkdir(parents=True, exist_ok=True)
    facts = {**result.as_dict(), "command": command}
    _save(out / "comparison.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    ours = result.by_domain() if published else {}
    paper = f"\n## The paper's tables\n{protocol_markdown(ours)}" if ours else ""
    _save(out / "comparison.md", f"# Comparison\n\n{markdown(result)}{paper}\n```sh\n{command} --out DIR\n```\n")
    _save(out / "comparison.html", page(result, f"{command} --out DIR"))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(screen(result))
    for table in protocol_tables(ours):
        console.print(table)
    for line in leak_lines(result):
        console.print(line, highlight=False)
    console.print(f"written to {out}: comparison.html, comparison.md, comparison.json", highlight=False, soft_wrap=True)


def _save(path: Path, content: str) -> None:
    working = path.with_name(f".{path.name}.tmp{os.getpid()}")
    working.write_text(content, encoding="utf-8")
    working.replace(path)
