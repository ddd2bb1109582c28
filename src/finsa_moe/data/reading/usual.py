"""The names that columns usually bear, in Chinese and English, and how names are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

# In order of preference: a file with both a title and a content is read by its content.
USUAL: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "文本", "content", "内容", "正文", "sentence", "句子", "comment", "评论", "评论内容", "帖子",
        "帖子内容", "post", "post_content", "body", "微博", "微博正文", "review", "新闻", "新闻内容", "news",
        "title", "标题", "post_title", "帖子标题", "新闻标题", "headline", "summary", "摘要",
    ),
    "label": (
        "label", "标签", "labels", "sentiment", "情感", "polarity", "极性", "情感极性", "情感倾向", "情感标签", "倾向",
        "情绪", "情绪标签", "市场情绪", "类别", "class", "category", "target", "tag", "y",
    ),
    "id": (
        "id", "编号", "序号", "uid", "text_id", "doc_id", "news_id", "post_id", "comment_id", "新闻编号", "帖子编号",
        "idx", "index",
    ),
    "date": (
        "date", "日期", "time", "时间", "datetime", "发布时间", "发布日期", "发表时间", "publish_time", "pub_time",
        "publish_date", "pub_date", "post_time", "created_at", "timestamp",
    ),
    "domain": ("domain", "领域"),
    "source_id": ("source_id",),
    "by": (),
}  # fmt: skip


def fold(name: str) -> str:
    """A name without blanks round it, whatever its case and width."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def usual_name(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name as a file spells it, whatever its case and width; None where the file has none."""
    there: dict[str, str] = {}
    for name in names:
        there.setdefault(fold(name), name)
    return next((there[fold(name)] for name in wanted if fold(name) in there), None)
