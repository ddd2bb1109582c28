"""A text cut into the words that are explained, each with its place in the text as it was given.

A string in, `Word`s out that follow on each other without a gap. Chinese is cut by rjieba with the words of finance
added; numbers with sign and unit, stock codes, links, Latin words and emoji stay whole. It knows no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from finsa_moe.data.text import normalise, simplified
from finsa_moe.errors import require

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_EMOJI = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_DRESS = "(?:\ufe0f|[\U0001f3fb-\U0001f3ff])*"  # variation selector, skin tones
_UNITS = (
    "(?:个百分点|百分点|个基点|基点|[%‰]|pct|bps?|(?:[十百千]?万|[十百千万]?亿)?(?:美元|美金|港元|港币|欧元|日元|英镑|人民币|元|股|手|份|吨|桶|盎司|辆|台"
    "|平方米|分钟|小时|个交易日|交易日|个工作日|个季度|季度|个月|倍|点|块|毛|分|天|日|号|月|年|家|只|次|周|岁|连板|连阳|连阴|个)"
    "|[十百千]?万|[十百千万]?亿)?"
)
_PIECES = re.compile(
    "|".join((
        r"(?P<gap>\s+)",
        r"(?:https?://|www\.)[!-~]+",
        r"\$[^\s$()]{1,20}\((?:SH|SZ|BJ|HK|US)?[:.]?[A-Z0-9.]{1,8}\)\$",
        rf"\[[{_HAN}a-zA-Z]{{1,6}}\]",
        r"(?<![A-Za-z0-9])(?:SH|SZ|BJ|HK)[:.]?[0-9]{5,6}(?![0-9])",
        r"(?<![A-Za-z0-9.])[0-9]{5,6}\.(?:SH|SZ|SS|BJ|HK|OF|XSHG|XSHE)(?![A-Za-z])",
        rf"S?\*?ST(?=[{_HAN}])",
        r"[ABHK]股|[KM]线",
        "[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{2}",
        f"{_EMOJI}{_DRESS}(?:\u200d{_EMOJI}{_DRESS})*",
        r"[0-9]+(?::[0-9]{2})+|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]+/[0-9]+",
        r"[0-9]+[A-Za-z](?![A-Za-z])(?![0-9])",  # 5G, 3D
        rf"(?:(?<![0-9A-Za-z%‰])[+\-−])?[0-9]+(?:,[0-9]{{3}})*(?:\.[0-9]+)?{_UNITS}",
        r"[A-Za-z]+[A-Za-z0-9]*(?:[&.'’+_\-][A-Za-z0-9]+)*\+*",
        rf"(?P<han>[{_HAN}]+)",
        r"[^\W_0-9]+",
        r"(?P<other>(?P<mark>.)(?P=mark)*)",
    )),
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_TELLING = set("!?~…↑↓")
"""Marks that can speak for a class; the others go along with the word before them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a text.

    Attributes:
        start: Where it starts, in characters of the text as it was given.
        end: Where the next one starts: the slice holds the word and the separators that go along with it.
        at: Where the word itself starts, `start` but for separators at the very beginning of a text.
        word: The word itself, as written.
        read: Whether the model reads it; a text over the model's limit has its middle cut.
    """

    start: int
    end: int
    at: int
    word: str
    read: bool = True

    @property
    def key(self) -> str:
        """The spelling under which equal words meet: normalised, without case."""
        return normalise(self.word).casefold() or self.word


def segment(text: str, known: Sequence[str] = ()) -> list[Word]:
    """Cut a text into words; their slices joined are the text.

    Args:
        text: Any string; an empty one has no words.
        known: Words that shall be kept whole wherever the segmenter agrees, beside those of finance.

    Raises:
        MissingExtra: If rjieba is not installed.
    """
    if not text:
        return []
    same = _same_length(text)
    words: list[Word] = []
    lead = 0
    for start, end, player in _pieces(same, tuple(known)):
        if player:
            words.append(Word(lead if not words else start, end, start, text[start:end]))
        elif words:
            last = words[-1]
            words[-1] = Word(last.start, end, last.at, last.word)
    return words or [Word(0, len(text), 0, text)]


def _pieces(same: str, known: tuple[str, ...]) -> Iterator[tuple[int, int, bool]]:
    """Start, end, and whether it is a word of its own."""
    cutter = None
    for match in _PIECES.finditer(same):
        start, end = match.span()
        if match["han"]:
            cutter = cutter or _cutter(known)
            for _, first, last in cutter.tokenize(match[0]):
                yield start + first, start + last, True
        elif match["other"]:
            yield start, end, match[0][0] in _TELLING or unicodedata.category(match[0][0]) in ("So", "Sc")
        else:
            yield start, end, match["gap"] is None


def _same_length(text: str) -> str:
    """The text as it is normalised, as far as that keeps every character's place.

    Wide forms become narrow and traditional characters simplified one for one, so that offsets into this string are
    offsets into the text; what has no word to it, lone surrogates too, becomes a space.
    """
    narrow = "".join(map(_narrow, text))
    if narrow.isascii():
        return narrow
    simple = simplified(narrow)
    if len(simple) == len(narrow):
        return simple
    return "".join(one if len(one := simplified(c)) == 1 else c for c in narrow)  # a phrase changed its length


@lru_cache(maxsize=65536)
def _narrow(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Cn", "Co") or (kind == "Cf" and character not in "\u200c\u200d"):
        return " "
    form = unicodedata.normalize("NFKC", character)
    if form.isspace():
        return " "
    return form if len(form) == 1 else character


@lru_cache(maxsize=4)
def _cutter(known: tuple[str, ...]) -> Any:
    cutter = require("rjieba", "explain", "cutting a text into words").Jieba()
    lines = (Path(__file__).parent / "finance_words.txt").read_text(encoding="utf-8").splitlines()
    for word in (*(w for line in lines if not line.startswith("#") for w in line.split()), *map(_same_length, known)):
        cutter.add_word(word, None, None)
    return cutter
