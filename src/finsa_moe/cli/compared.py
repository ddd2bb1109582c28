"""What a comparison leaves behind: the table on the screen, the page, Markdown, JSON, and the command that made them.

A `Comparison` and wrong answers go in; a file appears whole or not at all.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finsa_moe.cli.screen import screen
from finsa_moe.files import write

if TYPE_CHECKING:
    from finsa_moe.evaluation.comparison.comparison import Comparison
    from finsa_moe.evaluation.comparison.examples import Example

FILES = ("comparison.html", "comparison.md", "comparison.json")
"""What `publish` writes."""


def command(
    model: list[str], test: list[str], train: list[str] | None, dev: list[str] | None, held: str, seeds: str,
    *, curves: bool, matrix: bool, examples: int, protocol: str, given: Mapping[str, str | None],
) -> str:  # fmt: skip
    """The command line that gives the same result, in one line without its output folder.

    `given` are further options by their name, such as how rows are read; None is one left out.
    """
    words = ["finsa", "compare"]
    for option, values in (("--model", model), ("--train", train or []), ("--dev", dev or []), ("--test", test)):
        words += [word for value in values for word in (option, value)]
    words += ["--reference", held, "--seeds", seeds, "--examples", str(examples)]
    words += [name for name, on in (("--curves", curves), ("--matrix", matrix)) if on]
    words += ["--protocol", protocol] if protocol != "ours" else []
    return shlex.join([*words, *(word for option, value in given.items() if value for word in (option, value))])


def publish(
    result: Comparison, out: Path, words: str, examples: Sequence[Example], remark: str, prints: Mapping[str, str], *,
    published: bool,
) -> None:  # fmt: skip
    """Write ``comparison.html``, ``.md`` and ``.json`` into a folder, and show the tables.

    Args:
        result: What was measured.
        out: The folder, made if it is not there.
        words: The command that gives the same result.
        examples: Wrong answers to show.
        remark: What is said above the wrong answers.
        prints: By spec of a mixture, the fingerprint of its weights.
        published: Whether the paper's two tables are wanted.
    """
    import typer

    from finsa_moe.evaluation.comparison.page import page
    from finsa_moe.evaluation.comparison.tables import UNSURE, leak_lines, markdown, unranked_lines
    from finsa_moe.evaluation.comparison.tables import screen as table
    from finsa_moe.evaluation.published import absent, as_dict, of_comparison, protocol_tables, section
    from finsa_moe.evaluation.published import markdown as protocol_markdown

    out.mkdir(parents=True, exist_ok=True)
    ours = of_comparison(result) if published else {}
    paper = f"\n{protocol_markdown(ours)}\n" if ours else ""
    told = f"# Comparison\n\n{markdown(result, examples)}{paper}\n```sh\n{words} --out DIR\n```\n"
    facts = {**_facts(result, words, examples, prints), **({"paper": as_dict(ours)} if ours else {})}
    write(out / "comparison.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    write(out / "comparison.md", told)
    shown = section(ours) if ours else None
    write(out / "comparison.html", page(result, f"{words} --out DIR", examples, remark, shown))
    console = screen(markup=False)
    console.print(table(result))
    held = result.called(result.reference)
    console.print(f"Bold: the best. {UNSURE}: not surely different from {held}, the reference.")
    for line in unranked_lines(result):
        console.print(line)
    for one in protocol_tables(ours):
        console.print(one)
    for line in (*absent(ours), *leak_lines(result)):
        console.print(line)
    typer.echo(f"written to {out}: {', '.join(FILES)}")


def _facts(result: Comparison, words: str, examples: Sequence[Example], prints: Mapping[str, str]) -> dict[str, Any]:
    from finsa_moe import __version__
    from finsa_moe.evaluation.comparison.experts import matrices

    return {
        "finsa_moe": __version__,
        "fingerprints": dict(prints),
        **result.as_dict(),
        "matrices": {matrix.mixture: matrix.values(result) for matrix in matrices(result)},
        "wrong": [example.as_dict() for example in examples],
        "command": words,
    }
