"""Words of a text put for others of the same meaning, polarity and part of speech, from a lexicon of our own.

A text goes in, the same text in other words comes out, or nothing where no word is known. Whole words alone are
replaced, as the segmenter cuts them. Numbers and what names are made of are not in the lexicon and stay; so do titles,
tickers, topics and users, and the lexicon's guards: longer words that hold one of its own.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

from finsa_moe.errors import require

Group = tuple[str, ...]
_NAMES = re.compile(r"《[^》]*》|\$[^$]*\$|\[[^\]]*\]|#[^#]*#|@[^\s:：]+")  # titles, tickers, faces, topics, users


@cache
def _lexicon() -> dict[str, Any]:
    content = resources.files("finsa_moe.data.augmenting").joinpath("synonyms.toml").read_text(encoding="utf-8")
    return tomllib.loads(content)


@cache
def groups() -> dict[str, Group]:
    """Every word of the lexicon with its group."""
    return {word: tuple(group) for part in _lexicon()["groups"].values() for group in part for word in group}


@cache
def _guards() -> re.Pattern[str]:
    """The longest guard at each place, as group 1, so that one may begin within another."""
    return re.compile(f"(?=({'|'.join(map(re.escape, sorted(_lexicon()['guards'], key=len, reverse=True)))}))")


@cache
def segmenter() -> Any:
    """Cuts Chinese into words; those of the lexicon that it does not know are added, as likely as their parts together.

    Raises:
        MissingExtra: If rjieba is not installed.
    """
    cutter = require("rjieba", "data", "cutting texts into words").Jieba()
    for word in groups():
        if not cutter.has_word(word):
            cutter.add_word(word, None, None)
    return cutter


def replaced(text: str, chance: random.Random, share: float = 0.3) -> str | None:
    """The text with some of its words replaced.

    Args:
        text: Any text.
        chance: Draws which words, and by which.
        share: Part of the replaceable words that is replaced, one at least.

    Returns:
        The new text; None where no word has a synonym that fits.
    """
    words = list(segmenter().cut(text))
    places = [at for at in _free(text, words) if _fitting(words, at)]
    if not places:
        return None
    for at in chance.sample(places, max(1, round(share * len(places)))):
        if fitting := _fitting(words, at):  # beside what was replaced before it there may be none left
            words[at] = chance.choice(fitting)
    return "".join(words)


def _free(text: str, words: Sequence[str]) -> Iterator[int]:
    """Positions of the lexicon's words that neither a name nor a guard touches."""
    kept = [match.span() for match in _NAMES.finditer(text)] + [match.span(1) for match in _guards().finditer(text)]
    start = 0
    for at, word in enumerate(words):
        end = start + len(word)
        if word in groups() and all(right <= start or end <= left for left, right in kept):
            yield at
        start = end


def _fitting(words: Sequence[str], at: int) -> list[str]:
    """What may stand for a word where it stands: nothing that says a neighbour again (被冻结 after 被)."""
    before, after = (words[at - 1] if at else ""), (words[at + 1] if at + 1 < len(words) else "")
    return [
        other
        for other in groups()[words[at]]
        if other != words[at]
        and not (before and (before in other or before[-1] == other[0]))
        and not (after and (after in other or after[0] == other[-1]))
    ]
