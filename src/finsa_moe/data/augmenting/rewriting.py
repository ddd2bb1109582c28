"""What a language model is asked to put a text in other words, and what of its answer is the text.

A text and its domain go in, messages come out; an answer goes in, the bare rewrite comes out, or the reason why it is
none. It knows neither endpoints nor files.
"""

from __future__ import annotations

import re

from finsa_moe.data.text import duplicate_key, normalise
from finsa_moe.llm.thoughts import without_thoughts

# The words round the text, by domain; any other domain is asked in the last form.
_ASKED = {
    "news": (
        "改写下面这条财经新闻:换一种说法和句式,保留公司、数字、日期等全部事实,情绪(利空、中性或利好)不变,长度相近。"
        "只输出改写后的新闻,不要解释。"
    ),
    "forum": (
        "改写下面这条股吧帖子:保留发帖人的态度(看多、看空或中性)、口语和情绪,换一种说法,长度相近。"
        "只输出改写后的帖子,不要解释。"
    ),
    "": (
        "改写下面这段中文财经文本:意思和情绪(利空、中性或利好)不变,换一种说法,长度相近。只输出改写后的文本,不要解释。"
    ),
}
_FENCE = re.compile(r"^```[a-zA-Z]*\s*\n(.*?)\n?```\s*$", re.DOTALL)
_POLITE = r"(?:好的|当然可以|没问题|以下是|下面是)"
_PLAIN = r"(?:当然|可以的?|这是|根据(?:您的)?要求)"
# Without a word on the rewriting, or a colon that ends its line, it may be the text itself that is so polite; words
# with which texts begin as well want one that speaks of a rewrite that is there.
_PREAMBLE = re.compile(
    rf"^(?:(?:{_POLITE}[^\n]{{0,40}}(?:改写|如下)|{_PLAIN}[^\n]{{0,40}}改写(?:后|结果|版本|如下))"
    r"[^\n]{0,12}(?:[:：]\s*|\n+)"
    rf"|(?:{_POLITE}|{_PLAIN})[^\n]{{0,40}}[:：][^\S\n]*\n+"
    r"|(?:好的|当然可以|没问题)[,，。!！]?[^\S\n]*\n+)"
)
_NAMED = re.compile(
    r"^\**(?:改写(?:后)?(?:的)?(?:新闻|帖子|评论|文本|内容|版本|结果)?(?:如下)?|输出|答案)\**\s*[:：]\s*"
)
_QUOTES = {"“": "”", "「": "」", "『": "』", '"': '"', "'": "'"}


def messages(text: str, domain: str) -> list[dict[str, str]]:
    """What is said to the model."""
    return [
        {"role": "system", "content": _ASKED.get(domain, _ASKED[""])},
        {"role": "user", "content": text},
    ]


def bare(answer: str) -> str:
    """The rewrite alone, on one line: thoughts, fences, preambles, names, quotes are off; empty if none is visible."""
    text = without_thoughts(answer, broken=True).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    text = _PREAMBLE.sub("", text, count=1).strip()
    text = _NAMED.sub("", text, count=1).strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return " ".join(text.split()) if normalise(text) else ""


def unusable(original: str, rewrite: str, longest: float = 2.0) -> str | None:
    """Why a rewrite is none; None when it may be one.

    Args:
        original: The text it was made of.
        rewrite: The bare rewrite.
        longest: Most times the original's length, with twenty characters to spare.
    """
    if not rewrite:
        return "empty"
    if duplicate_key(rewrite) == duplicate_key(original):
        return "unchanged"
    if len(rewrite) > longest * len(original) + 20:
        return "too long"
    return None
