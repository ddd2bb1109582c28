"""What words come to over many explained texts: the method's lexicon table, and the words that matter most.

Explanations are added one at a time and only sums are kept, by domain, word and class. It draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.domains import ALL, check_apart
from finsa_moe.data.reading.encoding import open_text
from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
from finsa_moe.explain.explanation import Explanation
from finsa_moe.polarity import NAMES, Polarity

MODEL = "model"
"""The domain of texts that have none, explained by a model without experts."""
COLUMNS: dict[str, type] = {
    "word": str, "domain": str, "polarity": str, "frequency": int, "mean": float, "mean_abs": float, "sum": float,
    "abs_sum": float, "share": float,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WordRow:
    """One word in the texts of one domain, and its SHAP values for one class.

    Attributes:
        word: As first written.
        domain: The texts' domain, or ``all``.
        polarity: The class, in Chinese.
        frequency: Occurrences.
        mean: Mean SHAP value of an occurrence; above 0 it speaks for the class.
        mean_abs: Mean of the absolute values.
        sum: Sum of the values.
        abs_sum: Sum of the absolute values.
        share: `abs_sum` over that of all words of these texts.
    """

    word: str
    domain: str
    polarity: str
    frequency: int
    mean: float
    mean_abs: float
    sum: float
    abs_sum: float
    share: float

    def as_dict(self) -> dict[str, object]:
        """Plain dict, ready for JSON."""
        return asdict(self)


class WordTable:
    """Sums over the explained texts, by domain, word and class."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self._sums: dict[str, dict[str, NDArray[np.float64]]] = {}
        self._spelt: dict[str, str] = {}

    def add(self, explanation: Explanation, domain: str | None = None) -> None:
        """Count the words of one explained text.

        Args:
            explanation: Its words and values; words that were not read are not counted.
            domain: The text's own domain; None takes the expert's, or `MODEL`.

        Raises:
            DataError: If of several domains one is called ``all``.
        """
        name = domain or explanation.expert or MODEL
        if name not in self.texts:
            check_apart((*self.texts, name))
        self.texts[name] = self.texts.get(name, 0) + 1
        sums = self._sums.setdefault(name, {})
        for word, row in zip(explanation.words, explanation.values, strict=True):
            if word.read:
                key = word.key
                self._spelt.setdefault(key, word.word)
                entry = sums.setdefault(key, np.zeros(7))
                entry += (1.0, *row, *np.abs(row))

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains met, and ``all`` first where they are several."""
        own = tuple(sorted(self._sums))
        return (ALL, *own) if len(own) > 1 else own

    def rows(
        self,
        lexicon: Iterable[str] | None = None,
        *,
        polarities: Sequence[Polarity] = tuple(Polarity),
        domains: Sequence[str] | None = None,
        least: int = 1,
    ) -> list[WordRow]:
        """The table: by domain and class, the words with the largest absolute sum first.

        Args:
            lexicon: Only these words, in whatever spelling; None takes every word met.
            polarities: Which classes.
            domains: Which of `domains`; None takes all of them.
            least: Leave out words that occur less often.
        """
        asked = None if lexicon is None else {_key(word) for word in lexicon}
        found: list[WordRow] = []
        for domain in self.domains if domains is None else domains:
            sums = self._of(domain)
            totals = np.sum(list(sums.values()), axis=0) if sums else np.ones(7)
            kept = {k: s for k, s in sums.items() if s[0] >= least and (asked is None or k in asked)}
            for polarity in polarities:
                part = [self._row(key, domain, polarity, s, totals[4 + polarity]) for key, s in kept.items()]
                found += sorted(part, key=lambda row: (-row.abs_sum, -row.frequency, row.word))
        return found

    def strongest(self, domain: str, polarity: Polarity, n: int = 12, least: int = 1) -> list[WordRow]:
        """The `n` words that move a class most over all texts of a domain: by their sum, for or against it."""
        rows = self.rows(polarities=[polarity], domains=[domain], least=least)
        rows = [row for row in rows if any(character.isalnum() for character in row.word) or not row.word.isascii()]
        return sorted(rows, key=lambda row: (-abs(row.sum), row.word))[:n]

    def missing(self, lexicon: Iterable[str]) -> list[str]:
        """Words of a list that no text has."""
        return [word for word in dict.fromkeys(lexicon) if _key(word) not in self._spelt]

    def _of(self, domain: str) -> dict[str, NDArray[np.float64]]:
        if domain in self._sums or len(self._sums) < 2:
            return self._sums.get(domain, {})
        joined: dict[str, NDArray[np.float64]] = {}
        for sums in self._sums.values():
            for key, entry in sums.items():
                joined[key] = joined[key] + entry if key in joined else entry
        return joined

    def _row(self, key: str, domain: str, polarity: Polarity, s: NDArray[np.float64], total: float) -> WordRow:
        count, signed, absolute = float(s[0]), float(s[1 + polarity]), float(s[4 + polarity])
        share = absolute / total if total else 0.0
        return WordRow(
            self._spelt[key], domain, NAMES[polarity], int(count), signed / count, absolute / count, signed, absolute,
            float(share),
        )  # fmt: skip


def read_lexicon(path: Path) -> list[str]:
    """The words of a list: a line each, or the first column of a CSV or TSV whose header is ``word`` or ``词``.

    Lines that start with ``#`` are skipped.

    Raises:
        DataError: If the file cannot be read or holds no word.
    """
    try:
        with open_text(path) as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; name a file with one word a line") from error
    words = [_first(line) for line in lines if not line.startswith("#")]
    if words and words[0].casefold() in ("word", "words", "词", "词语", "term"):
        words = words[1:]
    words = list(dict.fromkeys(word for word in words if word))
    if not words:
        raise DataError(f"{path}: no word in it; write one word a line")
    return words


def _first(line: str) -> str:
    return line.replace("\t", ",").partition(",")[0].strip().strip('"').strip()


def _key(word: str) -> str:
    return normalise(word).casefold() or word
