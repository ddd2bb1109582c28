"""Explanations on the screen: coloured where a person looks at it, plain text where a program does.

A word for the class is underlined, one against it italic, so that colour is not needed; the values stand below. It
computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finsa_moe.cli.screen import screen

if TYPE_CHECKING:
    from finsa_moe.explain.explanation import Explanation
    from finsa_moe.explain.word_table import WordRow, WordTable
    from finsa_moe.polarity import Polarity

# Red rises and green falls, as every Chinese quote board has it.
STYLES = ("green", "bright_black", "red")
AGAINST = "blue"
SHOWN, BAR = 10, 12


def show(entry: Explanation, polarity: Polarity | None = None) -> None:
    """One explained text: the answer, who gave it, the text with its words marked, and the strongest words."""
    from rich.text import Text

    from finsa_moe.polarity import ENGLISH, NAMES, Polarity

    console, shown = screen(markup=False), entry.polarity if polarity is None else polarity
    line = Text(entry.sentiment, style=f"bold {STYLES[entry.polarity]}")
    line.append(f"  {entry.confidence:.4f}  {entry.speakers(4)}", style="default not bold")
    console.print(line, soft_wrap=True)
    console.print(_marked(entry, shown), soft_wrap=True)
    moved = entry.top(len(entry.words), shown)
    top = moved[:SHOWN]
    most = max((abs(value) for _, value in top), default=1.0)
    width = max((_width(word.word) for word, _ in top), default=0)
    width = max(4, width)  # room for the line above them
    heads = "  ".join(" " * (7 - _width(name)) + name for name in NAMES)
    title = f"  for (+) or against (-) {NAMES[shown]}"
    title += " " * (width + 27 - _width(title))
    console.print(Text(title + heads, style="dim"), soft_wrap=True)
    for word, value in top:
        row = entry.values[entry.words.index(word)]
        bar = (("█" if value > 0 else "░") * max(1, round(BAR * abs(value) / most))).ljust(BAR)
        cells = "  ".join(f"{row[c]:+.4f}" for c in Polarity)
        out = Text(f"  {word.word}{' ' * (width - _width(word.word))}  {value:+.4f}  ")
        out.append(bar, style=STYLES[shown] if value > 0 else AGAINST)
        console.print(out.append(f"  {cells}"), soft_wrap=True)
    base, score = entry.base[ENGLISH[shown]], entry.scores[ENGLISH[shown]]
    way = "exact" if entry.exact else f"{'sampled' if entry.method == 'permutation' else 'Owen values'}"
    left = f"; {len(top)} of {len(moved)} words shown" if len(top) < len(moved) else ""
    cut = "; too long: the network read only its start and end" if entry.truncated else ""
    console.print(
        Text(f"  all words hidden {base:.4f}, words {score - base:+.4f}, answer {score:.4f}; {way}, "
             f"{entry.evaluations:,} evaluations{left}{cut}", style="dim"),
        soft_wrap=True,
    )  # fmt: skip


def show_words(
    table: WordTable, rows: Sequence[WordRow], lexicon: Sequence[str] | None, polarities: Sequence[Polarity], least: int
) -> None:
    """The lexicon's table, or the words that matter most for each class and domain."""
    from rich.table import Table

    console = screen(markup=False)
    for domain in table.domains:
        for polarity in polarities:
            if lexicon is None:
                part = table.strongest(domain, polarity, SHOWN, least)
                what = "words that matter most"
            else:
                whole = [r for r in rows if r.domain == domain and r.polarity == polarity.chinese]
                part, what = whole[: 2 * SHOWN], f"the list's words bear {100 * sum(r.share for r in whole):.1f} %"
            grid = Table(title=f"{domain} · {polarity.chinese}: {what}", title_justify="left", box=None, pad_edge=False)
            grid.add_column("word")
            for name in ("frequency", "mean", "mean abs.", "sum", "abs. sum", "share %"):
                grid.add_column(name, justify="right")
            for r in part:
                style = STYLES[polarity] if r.sum > 0 else AGAINST
                grid.add_row(
                    r.word, f"{r.frequency:,}", f"{r.mean:+.4f}", f"{r.mean_abs:.4f}", f"{r.sum:+.3f}",
                    f"{r.abs_sum:.3f}", f"{100 * r.share:.2f}", style=style,
                )  # fmt: skip
            if part:
                console.print(grid, "")


def _marked(entry: Explanation, polarity: Polarity) -> object:
    from rich.text import Text

    column = entry.value(polarity)
    most = float(abs(column).max()) or 1.0
    line = Text()
    for word, value in zip(entry.words, column.tolist(), strict=True):
        line.append(_clean(entry.text[word.start : word.at]))
        share, style = abs(value) / most, ""
        if not word.read:
            style = "dim strike"
        elif share >= 0.05:
            style = f"underline {STYLES[polarity]}" if value > 0 else f"italic {AGAINST}"
            style = f"bold {style}" if share >= 0.35 else style
        line.append(_clean(word.word), style=style)
        line.append(_clean(entry.text[word.at + len(word.word) : word.end]))
    return line


def _width(word: str) -> int:
    from rich.cells import cell_len

    return cell_len(word)


def _clean(piece: str) -> str:
    """On one line, and without what would steer a terminal."""
    return "".join(
        " " if character.isspace() else character
        for character in piece
        if character.isprintable() or character.isspace()
    )
