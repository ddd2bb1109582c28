"""A comparison as tables: on the screen, and as Markdown.

In comes a `Comparison`, out come rows of words. Percent; the best of a set is marked, and so is what is not surely
different from the reference. It computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from finsa_moe.evaluation.baselines import accounts
from finsa_moe.evaluation.comparison.comparison import POOLED, Comparison, Entry, TestSet
from finsa_moe.evaluation.comparison.examples import Example
from finsa_moe.evaluation.comparison.experts import matrices
from finsa_moe.evaluation.comparison.method import NUMBERS

UNSURE = "≈"
"""Stands after a score whose difference from the reference may be chance."""
METHOD = "Percent, mean over seeds; macro averages run over the classes of the set."
COSTS = ("model", "seeds", "training rows", "seconds, all seeds")


def score_words(entry: Entry) -> str:
    """Macro-F1 with its spread over seeds."""
    spread = f" ± {100 * entry.sd:.1f}" if entry.sd is not None else ""
    return f"{100 * entry.macro_f1.value:.1f}{spread}"


def interval_words(entry: Entry) -> str:
    """The interval of macro-F1."""
    return f"{100 * entry.macro_f1.low:.1f}–{100 * entry.macro_f1.high:.1f}"


def difference_words(entry: Entry) -> str:
    """The difference from the reference with its interval, and p-values."""
    if entry.against is None or entry.test is None:
        return "reference"
    gap = entry.against
    return (
        f"{_points(gap.value)} ({_points(gap.low)} to {_points(gap.high)}), p {_p(gap.p)}; McNemar {_p(entry.test.mid)}"
    )


def screen(found: Comparison) -> Table:
    """Models by test set."""
    table = Table("model", *(f"{name}\n{texts:,} texts" for name, texts in found.slices.items()), "mean")
    for model in found.models:
        row = []
        for name in found.slices:
            entry = found.at(model, name)
            words = Text(f"{score_words(entry)}{_mark(entry)}\n")
            words.append(interval_words(entry), style="dim")
            if found.best(name) == model:
                words.stylize("bold", 0, len(score_words(entry)))
            row.append(words)
        table.add_row(Text(found.called(model)), *row, f"{100 * found.mean(model):.1f}", end_section=True)
    return table


def markdown(found: Comparison, examples: Sequence[Example] = ()) -> str:
    """The same as Markdown, then the method's numbers, differences, what each expert makes of a set, leaks, errors."""
    heads = ["model", *(f"{name} ({texts:,})" for name, texts in found.slices.items()), "mean"]
    lines = _head(heads)
    for model in found.models:
        row = [f"`{found.called(model)}`"]
        for name in found.slices:
            entry = found.at(model, name)
            score = score_words(entry)
            score = f"**{score}**" if found.best(name) == model else score
            row.append(f"{score}{_mark(entry)} ({interval_words(entry)})")
        lines.append("| " + " | ".join([*row, f"{100 * found.mean(model):.1f}"]) + " |")
    lines += [
        "",
        f"{UNSURE}: not surely different from `{found.called(found.reference)}` (95 % paired cluster bootstrap).",
    ]
    lines += unranked_lines(found)
    lines += [f"`{name}`: `{spec}`." for spec, name in found.names.items()]
    if found.pooled:
        lines += [f"{POOLED}: the texts of all sets together; mean: of the sets' scores, each as much as another."]
    lines += ["", METHOD, "", *_head(["test set", "model", *NUMBERS])]
    for name, model, numbers in method_rows(found):
        lines.append(f"| {name} | `{model}` | " + " | ".join(f"{100 * x:.1f}" for x in numbers) + " |")
    lines += [
        "",
        *_head(
            [
                "model",
                "test set",
                f"difference from `{found.called(found.reference)}`",
                "accuracy",
                "surest 70 %",
                "ECE",
            ]
        ),
    ]
    for model in found.models:
        for name in found.slices:
            entry = found.at(model, name)
            told = (entry.scores.accuracy, entry.surest, entry.scores.ece)
            lines.append(f"| `{found.called(model)}` | {name} | {difference_words(entry)} | "
                         + " | ".join(f"{100 * x:.1f}" for x in told) + " |")  # fmt: skip
    for matrix in matrices(found):
        values = matrix.values(found)
        lines += ["", f"Macro-F1 of `{found.called(matrix.mixture)}` by who answers:", ""]
        lines += _head(["answered by", *(one.name for one in found.sets)])
        lines += [
            "| " + " | ".join([row, *(f"{100 * x:.1f}" for x in of.values())]) + " |" for row, of in values.items()
        ]
    lines += _sent_lines(found)
    lines += ["", *_head(COSTS)]
    lines += ["| " + " | ".join([f"`{row[0]}`", *row[1:]]) + " |" for row in cost_rows(found)]
    if asked := account_rows(found):
        lines += [
            "",
            f"What was asked of chat models, all seeds. {accounts.NOTE}",
            "",
            *_head(["model", *accounts.HEADS]),
        ]
        lines += ["| " + " | ".join([f"`{row[0]}`", *row[1:]]) + " |" for row in asked]
    lines += ["", *leak_lines(found)]
    if examples:
        lines += [
            "",
            "The surest wrong answers:",
            "",
            *_head(["test set", "should be", "answer", "confidence", "text"]),
        ]
        for e in examples:
            said = e.text.replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {e.name} | {e.truth.chinese} | {e.said.chinese} | {e.confidence:.3f} | {said} |")
    return "\n".join(lines) + "\n"


def _sent_lines(found: Comparison) -> list[str]:
    """Texts by test set and the expert that the router chose."""
    lines = []
    for model in found.models:
        if counts := found.sent(model):
            lines += ["", f"Texts by expert that `{found.called(model)}` sent them to:", ""]
            lines += _head(["test set", *next(iter(counts.values()))])
            lines += ["| " + " | ".join([name, *(f"{n:,}" for n in of.values())]) + " |" for name, of in counts.items()]
    return lines


def cost_rows(found: Comparison) -> list[list[str]]:
    """For each model its seeds, its training rows and the seconds of all seeds together."""
    rows = []
    for model in found.models:
        facts = found.facts.get(model, {})
        seeds = int(facts.get("seeds", 1))
        trained = f"{int(facts['rows']) // seeds:,}" if "rows" in facts else "–"
        rows.append(
            [found.called(model), str(seeds), trained, f"{facts['seconds']:,.0f}" if "seconds" in facts else "–"]
        )
    return rows


def account_rows(found: Comparison) -> list[list[str]]:
    """For each chat model how many answers could be used and what they cost, under `accounts.HEADS`."""
    told = {model: found.facts.get(model, {}).get("account") for model in found.models}
    return [[found.called(model), *accounts.cells(account)] for model, account in told.items() if account is not None]


def method_rows(found: Comparison) -> list[tuple[str, str, list[float]]]:
    """Test set, model and fractions under `NUMBERS`, mean over seeds."""
    return [
        (name, found.called(model), [found.at(model, name).metric(metric) for metric in NUMBERS])
        for name in found.slices for model in found.models
    ]  # fmt: skip


def leak_lines(found: Comparison) -> list[str]:
    """For each test set, a line on how much of it stands in the training rows; then `chosen_lines`."""
    chosen = chosen_lines(found.sets)
    if not found.leaks:
        nobody = "Nobody looked whether these texts stand in what the models learnt from: no training rows were given."
        return [nobody, *chosen]
    lines = []
    for name, (leaked, texts) in found.leaks.items():
        apart = any(of[name].clean is not None for of in found.entries.values())
        scored = "scores without them are in the JSON file as `clean`" if apart else "the others are too few to score"
        lines.append(
            f"{name}: {leaked:,} of {texts:,} texts stand in the training rows given, equal or near"
            + (f" ({scored})." if leaked else ".")
        )
    return lines + chosen


def unranked_lines(found: Comparison) -> list[str]:
    """A line on the models that are never called the best, where there are any."""
    names = ", ".join(found.called(model) for model in found.models if model not in found.ranked)
    return [f"Not ranked, since added for the matrix or told each text's domain: {names}."] if names else []


def chosen_lines(sets: Sequence[TestSet]) -> list[str]:
    """For each test set that shares texts with the rows that settings were chosen by, a line that says how many."""
    counts = [(one, int(one.chosen_by.sum())) for one in sets if one.chosen_by is not None]
    return [
        f"{one.name}: {rows:,} of {len(one.texts):,} texts stand in the --dev rows, equal or near: settings were "
        "chosen by them."
        for one, rows in counts if rows
    ]  # fmt: skip


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _mark(entry: Entry) -> str:
    return f" {UNSURE}" if entry.against is not None and not entry.against.sure else ""


def _head(names: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
