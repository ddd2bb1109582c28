"""Words of a text put for others of the same meaning, polarity and part of speech, from a lexicon of our own.

A text goes in, the same text in other words comes out, or nothing where no word is known. Whole words alone are
replaced, as the segmenter cuts them; numbers and names are not in the lexicon and stay.
"""

from __future__ import annotations

import random
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from finsa_moe.errors import require

Group = tuple[str, ...]
_OFTEN = 20_000  # so that a word of ours wins over its parts


@cache
def groups() -> dict[str, Group]:
    """Every word of the lexicon with its group."""
    content = resources.files("finsa_moe.data.augmenting").joinpath("synonyms.toml").read_text(encoding="utf-8")
    sections = tomllib.loads(content).values()
    return {word: tuple(group) for parts in sections for lists in parts.values() for group in lists for word in group}


@cache
def segmenter() -> Any:
    """Cuts Chinese into words; the lexicon's own words stay whole.

    Raises:
        MissingExtra: If rjieba is not installed.
    """
    cutter = require("rjieba", "data", "cutting texts into words").Jieba()
    for word in groups():
        cutter.add_word(word, _OFTEN, None)
    return cutter


def replaced(text: str, chance: random.Random, share: float = 0.3) -> str | None:
    """The text with some of its words replaced.

    Args:
        text: Any text.
        chance: Draws which words, and by which.
        share: Part of the replaceable words that is replaced, one at least.

    Returns:
        The new text; None where no word has a synonym.
    """
    words = list(segmenter().cut(text))
    places = [at for at, word in enumerate(words) if word in groups()]
    if not places:
        return None
    for at in chance.sample(places, max(1, round(share * len(places)))):
        words[at] = chance.choice([other for other in groups()[words[at]] if other != words[at]])
    return "".join(words)
