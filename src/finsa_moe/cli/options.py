"""Options that several verbs take, spelt once: what rows look like, where a model runs, how one is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from finsa_moe.errors import ConfigError

FORMATS = "CSV, TSV, TXT, JSON lines, JSON, these also as .gz; Parquet, .xlsx (one sheet: F.xlsx#NAME)"
"""What a file of rows may be."""

Model = Annotated[Path | None, typer.Option(help="Model folder; left out: the default model.")]
Domain = Annotated[str | None, typer.Option(help="Use this domain's expert instead of the router's choice.")]
AbstainBelow = Annotated[
    float, typer.Option(metavar="P", min=0, max=1, help="Mark answers with a confidence under P as uncertain.")
]

Text = Annotated[str | None, typer.Option("--text", metavar="COL[+COL]", help="Column of the text, or several joined.")]
Label = Annotated[str | None, typer.Option("--label", metavar="COL", help="Column of the label.")]
Id = Annotated[str | None, typer.Option("--id", metavar="COL", help="Column of the id.")]
Date = Annotated[str | None, typer.Option("--date", metavar="COL", help="Column of the date.")]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE-OR-MAP",
        help="Spelling of the classes: a map as 0=利空,1=中性,2=利好, a file of such lines, or finsa, for that map.",
    ),
]

Bom = Annotated[bool, typer.Option("--bom/--no-bom", help="Start CSV with a mark, so that Excel opens it.")]

Device = Annotated[
    str | None, typer.Option(help="Where the model runs, e.g. cpu or cuda:0; left out: chosen by what is there.")
]
BatchTokens = Annotated[int, typer.Option(min=1, help="Most tokens in a batch, padding included.")]
DType = Annotated[
    str | None, typer.Option(help="Number format: float32, bfloat16, for exported models int8; left out: as saved.")
]
Engine = Annotated[
    str | None,
    typer.Option(help="What runs an exported model: onnxruntime or openvino; left out: chosen by the number of texts."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of an exported model; left out: every core.")]

# As config.shipped_names has them; that file loads YAML, which no start should wait for.
SHIPPED = sorted(path.stem for path in (Path(__file__).parents[1] / "configs").glob("*.yaml"))
Config = Annotated[
    Path | None, typer.Option("--config", help=f"YAML file, or a shipped one by its name: {', '.join(SHIPPED)}.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated. All: finsa settings."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in --out.")]
HoldOut = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Texts that a model will be judged by: rows equal or near to one of them are dropped. Repeatable.",
    ),
]

# What near-duplicates are, as in data.duplicates.clusters, which is not loaded for a list of options.
CLUSTER_THRESHOLD, GRAMS = 0.7, 4
NEAR = "Jaccard similarity of their n-grams from which on two texts count as near."
Threshold = Annotated[float, typer.Option(help=NEAR)]
Grams = Annotated[int, typer.Option("--n", help="Length of an n-gram, in characters.")]


def seed_for(what: str) -> Any:
    """The option of a random seed that draws `what`; numpy takes seeds from 0 to 2³² − 1."""
    return typer.Option(min=0, max=2**32 - 1, help=f"Random seed for {what}.")


def pairs_of(pairs: list[str], option: str, example: str = "news=work/news") -> dict[str, Path]:
    """``NAME=PATH`` options as a mapping, in the order given."""
    named: dict[str, Path] = {}
    for pair in pairs:
        name, sign, folder = pair.partition("=")
        if not sign or not name or not folder:
            raise ConfigError(f"{option} {pair}: write NAME=PATH, for example {option} {example}")
        if name in named:
            raise ConfigError(f"{option} {pair}: {name} was given before; each domain has one folder")
        named[name] = Path(folder)
    return named
