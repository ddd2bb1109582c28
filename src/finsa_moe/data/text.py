"""One text in, the same text in its one canonical spelling out; and the key under which equal texts meet.

Model input, duplicate search and every comparison of texts go through `normalise`, in training and at inference alike.
It knows nothing of files, labels or tables, and it never cuts a text short.

What it decides: NFKC; control and invisible characters and lone surrogates dropped; runs of white space made one
space; links written ``[链接]``, of a user's name the ``@``; ``$名字(SH600000)$`` written ``名字``; stock codes bare
(``600000.SH``, ``SH600000`` → ``600000``); traditional characters made simplified; a character or emoji code said four
times or more said three times, but for digits and Latin letters. Emoji, and the boards' codes such as ``[大笑]``, stay:
they carry polarity; the shade of a skin and the choice of a picture's style do not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Protocol

LINK, USER = "[链接]", "@"

# Zero-width joiners (U+200C, U+200D) stay: emoji sequences are built with them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
# Only ASCII belongs to a link, so that the sentence behind it stays; it ends before a closing point or comma.
_LINK = re.compile(
    r"(?:https?://|(?<![a-z0-9])www\.|(?<![a-z0-9.])t\.cn/)[a-z0-9\-._~:/?#@!$&'*+,;=%]*[a-z0-9/#=&%_\-]",
    re.IGNORECASE,
)
# A name ends at a space, a colon or the next name: without one there is no telling it from the sentence behind it.
_USER = re.compile(r"(?<![A-Za-z0-9._@])@[\w\-·]{1,20}(?=[\s:@])")
_STYLE = tuple("\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_FOUR = re.compile(r"(.)\1\1\1", re.DOTALL)  # five times as fast as the search that follows it
_RUN = re.compile(r"([^0-9A-Za-z])\1{3,}", re.DOTALL)
_CODES = re.compile(r"(\[[^\[\]]{1,8}\])\1{3,}")
_CASHTAGS = re.compile(
    r"(?:\$[^\s$()](?:[^$()]{0,18}[^\s$()])? ?\((?:SH|SZ|BJ|HK|US)?[:.]?[A-Z0-9.]{1,8}\)\$)+", re.IGNORECASE
)
_CASHTAG_NAME = re.compile(r"\$([^$()]+?) ?\([^()]*\)\$")
_FIVE_DIGITS = re.compile("[0-9]{5}")
_CODE = re.compile(
    r"(?<![a-z0-9.])(?:(?:SH|SZ|BJ|HK)[:.]?([0-9]{5,6})|([0-9]{5,6})\.(?:SH|SZ|SS|BJ|HK|OF|XSHG|XSHE))(?![a-z0-9])",
    re.IGNORECASE,
)
# Wide forms met in nearly every text. Replacing them first lets NFKC pass on its quick check, six times as fast.
_WIDE = tuple((wide, unicodedata.normalize("NFKC", wide)) for wide in "，：；？！（）％\u3000")
# Nested cash-tags open one layer a pass; a bound keeps a hostile text of 100,000 characters from costing minutes.
_PASSES = 8


def normalise(text: str) -> str:
    """The canonical spelling of a text; applying it again changes nothing.

    Args:
        text: Any string, lone surrogates and NUL bytes included.

    Returns:
        The text as the models read it; empty when nothing visible was there. It always encodes as UTF-8.
    """
    for _ in range(_PASSES):
        spelt = _characters(text)
        marked = _marks(spelt)
        bare = _tickers(marked)
        simple = bare if bare.isascii() else simplified(bare)
        text = _thrice(simple)
        # What was taken out may have kept apart what is now a letter, link or name; else a second look is idle.
        new = bare != marked or (marked != spelt and "." in text) or (text != simple and ("@" in text or "$" in text))
        if not new:
            break
    return text


def duplicate_key(text: str) -> str:
    """The key that texts share which differ only in case, white space and punctuation.

    A sign before a number and the point within one are kept, for 涨 3.2% and 涨 32%, +5% and -5% are not one text; so
    are emoji and arrows. Never empty for a non-empty text: a text of punctuation alone is its own key.
    """
    canonical = normalise(text)
    folded = canonical.casefold()
    return _punctuation().sub("", folded) or folded.replace(" ", "") or text


def is_mark(character: str) -> bool:
    """Whether a character is punctuation or a space whatever stands beside it."""
    return unicodedata.category(character)[0] in "PZ" and character not in "-."


def _characters(text: str) -> str:
    if not text.isprintable():  # a fast C check; a plain text skips the search for what is invisible
        text = _INVISIBLE.sub("", text)
    if not text.isascii():
        for mark in _STYLE:  # before NFKC, which would compose what a mark kept apart
            if mark in text:
                text = text.replace(mark, "")
        if not unicodedata.is_normalized("NFKC", text):  # a fast C check, which most stored texts pass
            for wide, narrow in _WIDE:
                text = text.replace(wide, narrow)
            text = unicodedata.normalize("NFKC", text)
    return " ".join(text.split())


def _marks(text: str) -> str:
    if "." in text:
        low = text.lower()
        if "://" in low or "www." in low or "t.cn/" in low:  # asking first is ten times as fast as searching
            text = _LINK.sub(LINK, text)
    if "@" in text:
        text = _USER.sub(USER, text)
    return text


def _tickers(text: str) -> str:
    if "$" in text:
        text = _CASHTAGS.sub(_names, text)
    if _FIVE_DIGITS.search(text):
        text = _CODE.sub(_digits, text)
    return text


def _thrice(text: str) -> str:
    if _FOUR.search(text):
        text = _RUN.sub(r"\1\1\1", text)
    return _CODES.sub(r"\1\1\1", text) if "][" in text else text


def _names(match: re.Match[str]) -> str:
    return " ".join(_CASHTAG_NAME.findall(match[0]))


def _digits(match: re.Match[str]) -> str:
    return match[1] or match[2]


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


@cache
def _converter() -> _Converter:
    from opencc import OpenCC  # its dictionaries take a moment to load, and ASCII texts never need them

    converter: _Converter = OpenCC("t2s")
    return converter


def simplified(text: str) -> str:
    """The text with traditional characters made simplified; a phrase may change its length by it."""
    convert = _converter().convert
    simpler = convert(text)
    while simpler != text:  # a few characters take two steps (薴 → 苧 → 苎)
        text, simpler = simpler, convert(simpler)
    return text


@cache
def _punctuation() -> re.Pattern[str]:
    marks = "".join(re.escape(chr(code)) for code in range(0x10000) if is_mark(chr(code)))
    # '-' stays as the sign of a number, not within 2026-03-01 or T-1; '.' stays between digits.
    return re.compile(rf"[{marks}]+|-(?![0-9])|(?<=[0-9a-z])-|(?<![0-9])\.|\.(?![0-9])")
