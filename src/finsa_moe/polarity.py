"""The three classes: their ids, their names, and every word they are usually written by.

A label column in, polarities out. Bare numbers are never guessed (1 is neutral in one published set and positive in
the next): they need a `LabelMap`. This module knows nothing of files, models or anything else of the package.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from finsa_moe.errors import DataError


class Polarity(IntEnum):
    """Polarity of a financial text; the integer is the class id in every model, file and array."""

    BEARISH = 0
    NEUTRAL = 1
    BULLISH = 2

    @property
    def chinese(self) -> str:
        """The Chinese name: 利空, 中性 or 利好."""
        return CHINESE[self]

    @property
    def english(self) -> str:
        """The English name in lower case: bearish, neutral or bullish."""
        return self.name.lower()


CHINESE = {Polarity.BEARISH: "利空", Polarity.NEUTRAL: "中性", Polarity.BULLISH: "利好"}
NAMES: tuple[str, ...] = tuple(CHINESE[p] for p in Polarity)
ENGLISH: tuple[str, ...] = tuple(p.english for p in Polarity)


def english(name: str) -> str:
    """The English name of a class by its Chinese one, as in `NAMES`; ValueError for another word."""
    return ENGLISH[NAMES.index(name)]


def chinese(name: str) -> str:
    """The Chinese name of a class by its English one, as in `ENGLISH`; ValueError for another word."""
    return NAMES[ENGLISH.index(name)]


WORDS: dict[Polarity, tuple[str, ...]] = {
    Polarity.BEARISH: (
        "利空", "消极", "负面", "负向", "看空", "看跌", "悲观", "利淡", "做空", "下跌", "空头", "偏空", "负",
        "bearish", "bear", "negative", "neg", "pessimistic", "short", "down", "sell",
    ),
    Polarity.NEUTRAL: (
        "中性", "中立", "无明显倾向", "观望", "持平", "无倾向", "中",
        "neutral", "neu", "hold", "flat", "mixed",  # not "none": that is how a missing label is often written
    ),
    Polarity.BULLISH: (
        "利好", "积极", "正面", "正向", "看多", "看涨", "乐观", "利多", "做多", "上涨", "多头", "偏多", "正",
        "bullish", "bull", "positive", "pos", "optimistic", "long", "up", "buy",
    ),
}  # fmt: skip
_BY_WORD = {word: polarity for polarity, words in WORDS.items() for word in words}
_TRADITIONAL = {"負面": "负面", "負向": "负向", "觀望": "观望", "積極": "积极", "樂觀": "乐观", "悲觀": "悲观",
                "看漲": "看涨", "上漲": "上涨", "消極": "消极", "多頭": "多头", "空頭": "空头"}  # fmt: skip

PRESETS: dict[str, dict[str, Polarity]] = {"finsa": {str(int(p)): p for p in Polarity}}


def _fold(value: object) -> str:
    text = unicodedata.normalize("NFKC", str(value)).strip().casefold()
    return _TRADITIONAL.get(text, text)


def parse_word(value: object) -> Polarity | None:
    """The polarity a word stands for, or None when it is no such word (a bare number never is one)."""
    return _BY_WORD.get(_fold(value))


@dataclass(frozen=True)
class LabelMap:
    """A user's own spelling of the classes, looked up before the usual words.

    Built by `LabelMap.parse` from ``"0=利空,1=中性,2=利好"``, from a preset's name (``"finsa"``: 0 bearish, 1 neutral,
    2 bullish) or from a file with one ``value=label`` a line.
    """

    entries: Mapping[str, Polarity] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: str | Mapping[object, object] | None) -> LabelMap:
        """Read a map; an empty source gives the map that knows only the usual words.

        Raises:
            DataError: If an entry is not ``value=label`` or its right side is no known class word.
        """
        if not source:
            return cls()
        if isinstance(source, str):
            if source in PRESETS:
                return cls(PRESETS[source])
            pairs = _pairs(source)
        else:
            pairs = [(str(key), str(value)) for key, value in source.items()]
        entries: dict[str, Polarity] = {}
        for key, value in pairs:
            polarity = parse_word(value)
            if polarity is None:
                raise DataError(
                    f"--labels: {key}={value}: {value!r} is no class; write one of 利空, 中性, 利好 after the '='"
                )
            if entries.setdefault(_fold(key), polarity) is not polarity:
                raise DataError(
                    f"--labels: {key!r} is given as {entries[_fold(key)].chinese} and as {polarity.chinese}; keep one"
                )
        return cls(entries)

    def given(self, value: object) -> Polarity | None:
        """The polarity that this map alone gives one raw label, or None."""
        return self._entry(_fold(value))

    def __call__(self, value: object) -> Polarity | None:
        """The polarity of one raw label, or None when neither this map nor the usual words know it."""
        key = _fold(value)
        found = self._entry(key)
        return _BY_WORD.get(key) if found is None else found

    def _entry(self, key: str) -> Polarity | None:
        found = self.entries.get(key)
        if found is None and key.endswith(".0"):  # a numeric column with gaps is read as floats: 1.0 means 1
            found = self.entries.get(key[:-2])
        return found


def _pairs(source: str) -> list[tuple[str, str]]:
    text = source
    if "=" not in source:
        try:
            text = ",".join(_decoded(Path(source).read_bytes()).splitlines())
        except UnicodeDecodeError as error:
            raise DataError(
                f"--labels: {source} is neither UTF-8 nor GB18030 (fails at byte {error.start}); save it as UTF-8"
            ) from error
        except (OSError, ValueError) as error:
            raise DataError(
                f"--labels: {source!r} is neither a readable file nor a preset ({', '.join(PRESETS)}) nor a map; "
                "write for example --labels 0=利空,1=中性,2=利好"
            ) from error
    pairs = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key, sign, value = entry.partition("=")
        if not sign or not key.strip() or not value.strip():
            raise DataError(f"--labels: {entry!r} is not value=label; write for example 1=利好")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _decoded(content: bytes) -> str:
    """A map in either encoding; one read in the wrong one would have no class words, so that it is refused."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")
