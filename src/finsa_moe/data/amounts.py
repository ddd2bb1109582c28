"""Which of two amounts is more, said in words: 净利润1亿元(同比减少),去年同期2亿元.

A canonical text in, the text as models read it out. A network of six layers that reads digit by digit compares
``1亿元`` with ``9800万元`` little better than by chance (EXPERIMENTS.md), a table of n-grams cannot; arithmetic can.
The words stand behind the amount of now where a text sets it beside an earlier one of the same unit, or behind one of
earnings or sales beside what was expected. A text without such a pair, or one that says itself what became more, stays
as it is. What is more is said, not whether that is good: this hangs on what is counted, and is the model's.

`normalise` does not do this: what a text says decides which texts are copies, these words are our own.
"""

from __future__ import annotations

import re
from itertools import pairwise

from finsa_moe.data.text import normalise

NEAR = 24
"""Characters between two amounts that are compared, at most."""
EQUAL = 0.005
"""Share of the larger by which two amounts differ at least that are not the same."""
MORE, LESS, SAME = "(同比增加)", "(同比减少)", "(同比持平)"
TURNED, FELL, SMALLER, LARGER = "(扭亏为盈)", "(由盈转亏)", "(同比减亏)", "(亏损扩大)"
BEAT, MISSED, MET = "(高于预期)", "(低于预期)", "(符合预期)"
WORDS = (MORE, LESS, SAME, TURNED, FELL, SMALLER, LARGER, BEAT, MISSED, MET)
_SCALES = {"": 1.0, "百": 1e2, "千": 1e3, "万": 1e4, "十万": 1e5, "百万": 1e6, "千万": 1e7, "亿": 1e8, "万亿": 1e12}
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_SCALE = "万亿|千万|百万|十万|亿|万|千|百"
_UNIT = (
    "个?百分点|平方米|平米|人民币|人次|人公里|千瓦时|千米|公里|美元|港元|欧元|日元|英镑|港币|元|辆|台|吨|户|人|只|家|件|艘|架|"
    "套|间|个|次|桶|股|万标准箱|标准箱|盎司|倍|天|%"
)
_AMOUNT = re.compile(
    rf"(?<![\d.A-Za-z])(?P<sign>-?)(?P<low>{_NUMBER})"
    rf"(?:(?P<low_scale>{_SCALE})?(?:{_UNIT})?(?:至|到|-|~|—|–)(?P<high>-?{_NUMBER}))?"
    rf"(?P<scale>{_SCALE})?(?P<unit>{_UNIT})?(?:/(?:股|人|吨|公斤|平方米|平米|桶|盎司|张|件|辆|份))?(?![\d年月日号时])"
)
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)年")
_PAST = (
    r"(?:去年|上年|前年|上一年度?|前一年|此前一年|一年前|上期|上季度?|前一季度?|上个?月|上周|年初|期初|上年末|去年底"
    r"|(?:19|20)\d\d年)"
)
"""An earlier time, as it stands before its amount."""
_SINCE = r"[^\d,。;!?]{0,10}(?:\d{1,2}月)?[^\d,。;!?]{0,8}"
_THEN = re.compile(rf"\)?[,。;:(、/ ]{{0,2}}[^\d,。;!?]{{0,4}}{_PAST}{_SINCE}")
"""Between two amounts of which the second is the earlier: ``,去年同期``, ``(上年同期为``, ``,2023年同期``."""
_PRESENT = "(?:今年|本年|本期|本季|本月|本周|报告期|如今|现在|目前|年末|期末|今)"
_NOW = re.compile(rf"[,。;、/ ]{{0,2}}[^\d,。;!?]{{0,4}}(?:{_PRESENT}|(?:19|20)\d\d年){_SINCE}")
_BEFORE = re.compile(rf"{_PAST}{_SINCE}$")
"""The other order: before the first ``去年``, between the two ``,今年``."""
_FROM = re.compile(r"(?:由|从)[^\d,。;!?]{0,8}$")
_TO = re.compile(r"(?:[^\d,。;!?]{0,4}(?:变为|变成|变动至|调整为)|至|到|→)[^\d,。;!?]{0,6}")
"""As one change: ``由…变为…``, ``从…到…``."""
_ANY = re.compile(
    r"去年|上年|前年|上一年|前一|年前|上期|上季|上月|上个月|上周|年初|期初|同期|同月|同季|同项"
    r"|预期|预估|预测|由[^\d,。;!?]{0,9}\d|从[^\d,。;!?]{0,9}\d|年.{1,40}[12]\d\d\d年|\([12]\d\d\d年"
)
"""A text without a match has no earlier amount. A search is fast whose ways each begin with a letter of their own."""
_CHANGE = re.compile(r"[增减升降涨跌缩]|回落|下滑|收窄|扩大|[多少]了|[高低]于|[上下]调|提[高升]")
"""Words by which a text says itself what became more, or by how much."""
_CHANGED = re.compile(rf"(?:[同环]比[^\d,。;]{{0,4}}|(?:{_CHANGE.pattern}|长|少|加|动|持)[了至到约近超]?)$")
_EXPECTED = re.compile(r"(?:预期|预估|预测|前值|此前)[^\d,。;]{0,6}$")
"""What is said of an amount that is of no time past, nor of now."""
_HOPED = re.compile(
    r"[,;(、 ]{0,2}(?:[而但]|而此前)?(?:此前|市场|分析师|机构|华尔街|路透|彭博|一致)?(?:普遍|平均|的)?"
    r"(?:预期|预估|预测)(?:值|均值|中值)?[为是约:]?"
)
"""Between an amount and what was expected of it."""
_SOLD = re.compile(r"营收|收入|净利|利润|收益|EPS|销售|盈利|亏|交付|订单", re.IGNORECASE)
"""What is good to be more than expected; of prices and rates that hangs on who asks."""
_LOST, _EARNED = re.compile(r"亏[^\d,。;]{0,4}$"), re.compile(r"(?:盈|赚|利|收益|EPS)[^\d,。;]{0,6}$", re.IGNORECASE)
_CLAUSE, _NAMED = 10, 24
"""Characters before an amount that tell of its time and sign, and of what it is."""
_PERIOD = re.compile(
    rf"{_PAST}|{_PRESENT}|同[期月季项]|[上下]半年|[第前]?[一二三四]季度?|全年|年度|中期|人民币|[底末与和]"
    r"|[为的是仅只有约达高才还也亦而但]|vs|VS|\W|\d"
)
"""What may stand beside an earlier amount and names no other thing."""


def read(text: str) -> str:
    """A raw text as models read it: in its canonical spelling, amounts compared. Reading it again changes nothing."""
    return told(normalise(text))


def told(text: str) -> str:
    """A canonical text with words behind each amount that stands beside an earlier one of its unit."""
    if not _ANY.search(text):
        return text
    amounts = [match for match in _AMOUNT.finditer(text) if match["scale"] or match["unit"]]
    parts, start = [], 0
    for first, second in pairwise(amounts):
        if found := _compared(text, first, second):
            end, said = found
            parts += [text[start:end], said]
            start = end
    return "".join([*parts, text[start:]])


def _compared(text: str, first: re.Match[str], second: re.Match[str]) -> tuple[int, str] | None:
    """Where the amount of now ends, and what is said of it; None where the two are no now and then."""
    between = text[first.end() : second.start()]
    if len(between) > NEAR or (first["unit"] and second["unit"] and first["unit"] != second["unit"]):
        return None
    before, named = (text[max(0, first.start() - reach) : first.start()] for reach in (_CLAUSE, _NAMED))
    if _HOPED.fullmatch(between) and _SOLD.search(named) and not (_CHANGED.search(before) or _EXPECTED.search(before)):
        return _hoped(text, first, second, lost=bool(_LOST.search(before)))
    if _CHANGE.search(between) or _CHANGED.search(before) or _EXPECTED.search(before) or _EXPECTED.search(between):
        return None
    later = _later(before, between)
    if later is None or not _same(named, between):
        return None
    now, then = (first, second) if later == 0 else (second, first)
    lost, told_of = {}, {}
    for match, words in ((first, before), (second, between)):
        lost[match], told_of[match] = bool(_LOST.search(words)), bool(_EARNED.search(words))
    if lost[first] and not told_of[second]:  # 净亏损2亿元,上年同期1亿元
        lost[second] = True
    a, b = (-_value(match) if lost[match] else _value(match) for match in (now, then))
    if abs(a - b) <= EQUAL * max(abs(a), abs(b)):
        said = SAME
    elif (any(lost.values()) or any(told_of.values())) and min(a, b) < 0:
        worse, better = (FELL, TURNED) if (a < 0) != (b < 0) else (LARGER, SMALLER)
        said = better if a > b else worse
    else:
        said = MORE if a > b else LESS
    return None if text.startswith(WORDS, now.end()) else (now.end(), said)


def _hoped(text: str, found: re.Match[str], hoped: re.Match[str], *, lost: bool) -> tuple[int, str] | None:
    """As `_compared`, of an amount and of what was expected of it, both losses or none."""
    a, b = (-_value(match) if lost else _value(match) for match in (found, hoped))
    said = MET if abs(a - b) <= EQUAL * max(abs(a), abs(b)) else BEAT if a > b else MISSED
    return None if text.startswith(WORDS, found.end()) else (found.end(), said)


def _later(before: str, between: str) -> int | None:
    """Which of two amounts is of now, 0 or 1, by the words before the first and between them; None for neither."""
    years = [found[-1] for words in (before, between) if (found := _YEAR.findall(words))]
    if years and not re.search(r"同[期月季项]|^\((?:19|20)\d\d年", between):
        if len(years) == 2:
            return None if years[0] == years[1] else int(years[1] > years[0])
        if _YEAR.search(between) and not re.search("[今去]年|[本报]", before):
            return None
    if _THEN.fullmatch(between):
        return 0
    if (_FROM.search(before) and _TO.fullmatch(between)) or (_BEFORE.search(before) and _NOW.fullmatch(between)):
        return 1
    return None


def _same(before: str, between: str) -> bool:
    """Whether what stands between two amounts names nothing, or what the first is of, or what is earned or lost."""
    named = _PERIOD.sub("", between)
    if len(named) < 2 or _LOST.search(between) or _EARNED.search(between) or _FROM.search(before):
        return True
    return any(named[at : at + 2] in before for at in range(len(named) - 1))


def _value(match: re.Match[str]) -> float:
    """An amount as a number; of a range the middle."""
    scale = _SCALES[match["scale"] or ""]
    low = float(match["low"].replace(",", "")) * (_SCALES[match["low_scale"]] if match["low_scale"] else scale)
    high = float(match["high"].replace(",", "")) * scale if match["high"] else low
    value = (low + high) / 2
    return -value if match["sign"] else value
