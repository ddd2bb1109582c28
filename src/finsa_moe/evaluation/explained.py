"""Explained texts and tables of words as sections of the HTML page.

`Explanation`s and `WordRow`s go in, `report.Section`s come out. A word for the class is underlined, one against it
dashed, the stronger the deeper its colour; every value stands in a table as well. It computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from finsa_moe.evaluation import report
from finsa_moe.evaluation.comparison.examples import Example
from finsa_moe.evaluation.report import Cell, Section
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.word_table import WordRow, WordTable
from finsa_moe.polarity import ENGLISH, NAMES, Polarity, english

CSS = """
.said{line-height:2.3;font-size:1.08rem;margin:.6rem 0;overflow-wrap:anywhere}
.said mark{color:inherit;padding:.12rem .14rem;border-radius:4px;
background:color-mix(in srgb,var(--hue) calc(var(--w)*1%),transparent);border-bottom:3px solid var(--hue)}
.said mark.against{--hue:var(--accent);border-bottom-style:dashed}.said mark.weak{border-bottom-width:1px}
.said .unread{color:var(--soft);text-decoration:line-through}
.said.bullish{--hue:var(--bullish)}.said.bearish{--hue:var(--bearish)}.said.neutral{--hue:var(--neutral)}
.wrong{margin:1.1rem 0 0}h3{margin:1.4rem 0 0;font-size:1.02rem}
p.said{color:var(--ink);font-weight:400}details{margin:.4rem 0 1.2rem}summary{cursor:pointer;color:var(--soft)}
"""
WAYS = {
    "exact": "exact: every coalition of words was asked",
    "permutation": "sampled orders of the words",
    "partition": "Owen values: more words than the budget",
}


def texts_section(explanations: Sequence[Explanation], polarity: Polarity | None = None, of: int = 0) -> Section:
    """Each text with its words marked, the expert that spoke, and all values in a table to open.

    Args:
        explanations: In the order to be shown.
        polarity: The class that the marks speak of; None takes the one answered.
        of: How many texts there are, where these are the first of more.
    """
    note = f"The first {len(explanations):,} of {of:,} texts. " if of > len(explanations) else ""
    note += (
        "Solid underline: the word speaks for the class named; dashed: against it; the deeper the colour, the more. "
        "Values are SHAP values in probability: they lead from the answer with every word hidden to the answer given."
    )
    return Section("Texts", "".join(_text(entry, polarity) for entry in explanations), note)


def examples_section(examples: Sequence[Example], note: str = "") -> Section:
    """Wrong answers by test set, the surest first, each with the words that led to it where they are known."""
    parts, last = [], ""
    for example in examples:
        if example.name != last:
            parts.append(f"<h3>{escape(example.name)}</h3>")
            last = example.name
        who = f" · expert {example.expert}" if example.expert else ""
        parts.append(
            f'<p class="wrong">should be <b class="{ENGLISH[example.truth]}">{example.truth.chinese}</b>, answered '
            f'<b class="{ENGLISH[example.said]}">{example.said.chinese}</b> {example.confidence:.3f}{escape(who)}</p>'
        )
        parts.append(
            f'<p class="said" lang="zh">{escape(example.text)}</p>' if example.why is None
            else _said(example.why, example.said) + _values(example.why)
        )  # fmt: skip
    words = (
        "The surest errors of each test set. Solid underline: the word led to the wrong answer; dashed: it spoke "
        "against it; the deeper the colour, the more. The expert that answered is held while words are hidden."
    )
    plain = "The surest errors of each test set."
    told = words if any(example.why is not None for example in examples) else plain
    return Section("Wrong answers", "".join(parts), f"{told} {note}".strip())


def bars_section(words: WordTable, polarities: Sequence[Polarity], n: int = 12, least: int = 1) -> Section:
    """For each domain and class the `n` words that move it most, as bars that the browser draws."""
    note = (
        "Sum of SHAP values over all occurrences, in probability: with + the word speaks for the class, with − against "
        "it. The longest bar of a table is its strongest word."
    )
    tables = []
    for domain in words.domains:
        for polarity in polarities:
            rows = words.strongest(domain, polarity, n, least)
            most = max((abs(row.sum) for row in rows), default=1.0) or 1.0
            lines = [
                [row.word, f"{row.frequency:,}", Cell(_signed(row.sum, 3), bar=abs(row.sum) / most)] for row in rows
            ]
            head = f"{domain} · {polarity.chinese}"
            tables.append(f"<div>{report.table((head, 'times', 'sum'), lines)}</div>")
    return Section("Words that matter most", report.pictures(tables), note)


def words_section(rows: Sequence[WordRow], heading: str, note: str = "", most: int | None = None) -> Section:
    """The word table.

    Args:
        rows: By domain and class, in the order to be shown.
        heading: Over the table.
        note: Under the heading.
        most: About how many rows are shown, as many of each domain and class; None shows all.
    """
    groups: dict[tuple[str, str], list[WordRow]] = {}
    for row in rows:
        groups.setdefault((row.domain, row.polarity), []).append(row)
    each = max((len(of) for of in groups.values()), default=0)
    if most is not None and len(rows) > most:
        each = max(1, most // len(groups))
        note = f"The first {each:,} of each domain and class, {len(rows):,} rows in all. {note}".strip()
    lines = []
    for row in (row for of in groups.values() for row in of[:each]):
        lines.append([
            row.word, row.domain, Cell(row.polarity, english(row.polarity)), f"{row.frequency:,}",
            _signed(row.mean), f"{row.mean_abs:.4f}", _signed(row.sum, 3), f"{row.abs_sum:.3f}",
            Cell(f"{100 * row.share:.2f}", bar=min(1.0, 10 * row.share)),
        ])  # fmt: skip
    heads = ("word", "domain", "class", "frequency", "mean", "mean abs.", "sum", "abs. sum", "share %")
    if not lines:
        return Section(heading, report.text("No word of the list occurs in these texts."), note)
    return Section(heading, report.table(heads, lines, left=3), note)


def _text(entry: Explanation, polarity: Polarity | None) -> str:
    shown = entry.polarity if polarity is None else polarity
    head = (
        f'<p><b class="{ENGLISH[entry.polarity]}">{entry.sentiment}</b> {entry.confidence:.3f} · {escape(_who(entry))}'
        f" · marked: {shown.chinese}</p>"
    )
    return head + _said(entry, shown) + _values(entry)


def _said(entry: Explanation, shown: Polarity) -> str:
    """The text, its words marked by what they say of a class."""
    column = entry.value(shown)
    most = float(abs(column).max()) or 1.0
    parts = []
    for word, value in zip(entry.words, column.tolist(), strict=True):
        lead, tail = entry.text[word.start : word.at], entry.text[word.at + len(word.word) : word.end]
        parts.append(escape(lead) + _marked(word.word, value, most, read=word.read) + escape(tail))
    return f'<p class="said {ENGLISH[shown]}" lang="zh">{"".join(parts)}</p>'


def _marked(word: str, value: float, most: float, *, read: bool) -> str:
    if not read:
        return f'<span class="unread">{escape(word)}</span>'
    share = abs(value) / most
    if share < 0.05:
        return escape(word)
    names = " ".join(filter(None, ("against" if value < 0 else "", "weak" if share < 0.35 else "")))
    kind = f' class="{names}"' if names else ""
    return f'<mark{kind} style="--w:{55 * share:.0f}" title="{_signed(value)}">{escape(word)}</mark>'


def _signed(value: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _who(entry: Explanation) -> str:
    return "model" if entry.expert is None else f"expert {entry.speakers(3)}"


def _values(entry: Explanation) -> str:
    most = float(abs(entry.values).max()) or 1.0
    rows: list[list[object]] = [
        [word.word, *(Cell(_signed(v), bar=abs(v) / most) for v in values)]
        for word, values in zip(entry.words, entry.values.tolist(), strict=True)
        if word.read
    ]
    for name, scores in (("all words hidden", entry.base), ("the text", entry.scores)):
        rows.append([Cell(name, "muted"), *(Cell(f"{scores[key]:.4f}", "best") for key in ENGLISH)])
    way = f"{WAYS[entry.method]}; {entry.evaluations:,} evaluations" + (
        "; its middle was cut" if entry.truncated else ""
    )
    return f"<details><summary>values ({escape(way)})</summary>{report.table(('word', *NAMES), rows)}</details>"
