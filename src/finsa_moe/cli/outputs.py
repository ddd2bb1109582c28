"""What `finsa explain` leaves behind: the table of words, on the screen and in a file, the picture and the page.

It gathers explanations while they come, and writes once all are there; a file appears whole or not at all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from finsa_moe.cli.screen import remark_on_fonts
from finsa_moe.cli.targets import check_picture, check_targets
from finsa_moe.explain.explanation import Explanation
from finsa_moe.explain.word_table import COLUMNS, WordRow, WordTable
from finsa_moe.files import write
from finsa_moe.polarity import Polarity

TEXTS, ROWS = 100, 600
"""Texts and rows of words that a page shows."""
NOTE = (
    "Means and sums of SHAP values over all occurrences. Share: of the absolute values of all words of these texts; its"
    " bar is ten times as long."
)


@dataclass
class Outputs:
    """What was asked for, and the words met so far.

    Attributes:
        polarity: The class spoken of; None takes the class answered for texts, all classes for tables.
        lexicon: The words asked for; None takes all.
        least: Words that occur less often are left out.
        table: File for the table of words.
        plot: File for the bars.
        html: File for the page.
        explanations: File that `explain.file` writes.
        bom: Whether CSV starts with a byte order mark.
        as_json: Whether the screen gets JSON.
    """

    polarity: Polarity | None
    lexicon: list[str] | None
    least: int
    table: Path | None
    plot: Path | None
    html: Path | None
    explanations: Path | None = None
    bom: bool = False
    as_json: bool = False
    words: WordTable = field(default_factory=WordTable)
    kept: list[Explanation] = field(default_factory=list)

    def check(self) -> None:
        """Refuse files that cannot be written, before any work.

        Raises:
            ConfigError: For one that cannot be a file, or an ending that names no table or picture.
            MissingExtra: For a Parquet table, if polars is not installed.
        """
        check_targets(self.explanations, self.table, self.plot, self.html)
        check_picture(self.plot, "--plot")
        if self.table is not None:
            from finsa_moe.runtime.writers import check_ending

            check_ending(self.table)

    def use(self, explanation: Explanation, domain: str | None = None) -> None:
        """Count one explanation, of a text of this domain."""
        self.words.add(explanation, domain)
        if len(self.kept) < TEXTS:
            self.kept.append(explanation)

    def finish(self, title: str, *, shown: bool) -> None:
        """Write what was asked for, then print the table of words where `shown`, whose reader may leave early."""
        rows = self.words.rows(self.lexicon, polarities=self.polarities, least=self.least)
        self._save(rows, title)
        missing = self.words.missing(self.lexicon or ())
        if shown and self.as_json:
            entry = {"texts": self.words.texts, "words": [row.as_dict() for row in rows]}
            told = entry if self.lexicon is None else {**entry, "missing": missing}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        elif shown:
            from finsa_moe.cli.explained import show_words

            show_words(self.words, rows, self.lexicon, self.polarities, self.least)
        if missing:
            some = ", ".join(missing[:8]) + (" …" if len(missing) > 8 else "")
            typer.echo(f"{len(missing):,} of {len(self.lexicon or ()):,} words occur in no text: {some}", err=True)
        saved = [str(path) for path in (self.table, self.plot, self.html) if path is not None]
        if saved:
            typer.echo(f"written: {', '.join(saved)}", err=True)

    @property
    def polarities(self) -> tuple[Polarity, ...]:
        """The classes of the tables."""
        return tuple(Polarity) if self.polarity is None else (self.polarity,)

    def _save(self, rows: Sequence[WordRow], title: str) -> None:
        if self.table is not None:
            from finsa_moe.runtime.writers import Writer

            with Writer(self.table, list(COLUMNS), COLUMNS, bom=self.bom) as out:
                out.write([list(row.as_dict().values()) for row in rows])
                out.commit()
        if self.plot is None and self.html is None:
            return
        from finsa_moe.evaluation.word_figure import word_bars

        if self.plot is not None:
            write(self.plot, word_bars(self.words, least=self.least))
            remark_on_fonts()
        if self.html is not None:
            write(self.html, self._page(rows, title))

    def _page(self, rows: Sequence[WordRow], title: str) -> str:
        from finsa_moe.evaluation.explained import CSS, bars_section, texts_section, words_section
        from finsa_moe.evaluation.report import html_page

        sections = []
        total = sum(self.words.texts.values())
        several = total > 1
        if several:
            sections.append(bars_section(self.words, self.polarities, least=self.least))
        if several or self.lexicon is not None:
            sections.append(words_section(rows, "Words" if self.lexicon is None else "Lexicon", NOTE, ROWS))
        sections.append(texts_section(self.kept, self.polarity, total))
        return html_page("Why the answers are what they are", sections, title, CSS)
