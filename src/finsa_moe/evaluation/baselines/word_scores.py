"""Words and what they count in a text: the lexicon of the package read, and a text's hits found.

A TOML file in, a `Lexicon` out; a text in, its hits out, each with its signed weight after negation, degree, turning,
fading and reversal. It knows neither labels nor probabilities.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from finsa_moe.data.text import normalise

FILE = Path(__file__).parent / "lexicon.toml"
_SIGNS = {"bullish": 1.0, "bearish": -1.0, "none": 0.0}
_SENTENCE = re.compile(r"[^。!?;]+")
_CLAUSE = re.compile(r"[^,、:。!?; ]+")


@dataclass(frozen=True)
class Modifier:
    """What a word does to one near it: its weight times `factor`, at most `reach` characters between the two."""

    factor: float
    reach: int


@dataclass(frozen=True)
class Hit:
    """A word of the lexicon found in a text.

    Attributes:
        word: As it stands there.
        start: Its place in the normalised text, in characters.
        weight: Above 0 it speaks for bullish, below 0 for bearish.
    """

    word: str
    start: int
    weight: float

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.start + len(self.word)


@dataclass(frozen=True)
class Lexicon:
    """Words with signed strengths, and the words that change those.

    Attributes:
        strengths: By word, -3 to 3; 0 for a longer word that only undoes a shorter one.
        leading: By word, what it does to the next hit of its clause: negation, turning verbs, degree.
        fading: By word, what it does to the hit right before it; it is then no hit of its own.
        reversal: Words such as 但, after which a sentence weighs more.
        before: What the part of a sentence before the last such word counts.
        after: What the part behind it counts.
    """

    strengths: Mapping[str, float]
    leading: Mapping[str, Modifier]
    fading: Mapping[str, Modifier]
    reversal: frozenset[str]
    before: float
    after: float

    @classmethod
    def read(cls, file: Path = FILE) -> Lexicon:
        """Read a lexicon in the form of the packaged one, which explains itself."""
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        groups, reversal = table["group"], table["reversal"]
        return cls(
            {word: _SIGNS[g["polarity"]] * g["strength"] for g in groups for word in g["words"].split()},
            _modifiers([table["negation"], table["turning"], *table["degree"]]),
            _modifiers([table["fading"]]),
            frozenset(reversal["words"].split()), reversal["before"], reversal["after"],
        )  # fmt: skip

    def hits(self, text: str) -> list[Hit]:
        """The words that count in a text, in order; its normalised form is what is read."""
        text, found = normalise(text), []
        for sentence in _SENTENCE.finditer(text):
            own: list[Hit] = []
            turn = -1
            for clause in _CLAUSE.finditer(text, *sentence.span()):
                more, last = self._clause(text, *clause.span())
                own += more
                turn = max(turn, last)
            weights = [1.0 if turn < 0 else self.after if hit.start > turn else self.before for hit in own]
            found += [replace(hit, weight=hit.weight * w) for hit, w in zip(own, weights, strict=True)]
        return found

    def _clause(self, text: str, start: int, end: int) -> tuple[list[Hit], int]:
        """Hits of one clause before reversal, and where its last reversal word stands (-1: none)."""
        hits: list[Hit] = []
        waiting: list[tuple[int, Modifier]] = []  # where a leading word ended, and what it does
        turn, at = -1, start
        while at < end:
            word = self._longest(text, at, end)
            if not word:
                at += 1
                continue
            fading, strength = self.fading.get(word), self.strengths.get(word)
            if fading and hits and at - hits[-1].end <= fading.reach:
                hits[-1] = replace(hits[-1], weight=hits[-1].weight * fading.factor)
            elif strength:
                factors = [modifier.factor for over, modifier in waiting if at - over <= modifier.reach]
                hits.append(Hit(word, at, strength * math.prod(factors)))
                waiting = []  # 不涨不跌: each negation is spent on the word it meets first
            elif word in self.leading:
                waiting.append((at + len(word), self.leading[word]))
            elif word in self.reversal:
                turn = at
            at += len(word)
        return hits, turn

    def _longest(self, text: str, at: int, end: int) -> str:
        for length in self._lengths.get(text[at], ()):
            if at + length <= end and (word := text[at : at + length]) in self._every:
                return word
        return ""

    @cached_property
    def _every(self) -> frozenset[str]:
        return frozenset({*self.strengths, *self.leading, *self.fading, *self.reversal})

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        lengths: dict[str, set[int]] = defaultdict(set)
        for word in self._every:
            lengths[word[0]].add(len(word))
        return {first: sorted(found, reverse=True) for first, found in lengths.items()}


def _modifiers(parts: Sequence[Mapping[str, object]]) -> dict[str, Modifier]:
    return {
        word: Modifier(float(str(part["factor"])), int(str(part["reach"])))
        for part in parts
        for word in str(part["words"]).split()
    }
