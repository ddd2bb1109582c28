"""What of a model's answer is the rewrite."""

from __future__ import annotations

import pytest

from finsa_moe.data.augmenting.rewriting import bare, messages, unusable

TEXT = "主力资金大幅流出,股价承压"


@pytest.mark.parametrize(
    "answer",
    [
        TEXT, f"  {TEXT}\n", f"<think>先想想\n怎么改</think>\n\n{TEXT}", f"想了很久</think>{TEXT}", f"<THINK>嗯</THINK>{TEXT}",
        f"好的,以下是改写后的新闻:\n{TEXT}", f"当然可以!改写如下:\n\n{TEXT}", f"改写后的帖子:{TEXT}", f"改写:{TEXT}",
        f"**改写后的文本**:{TEXT}", f"“{TEXT}”", f"「{TEXT}」", f'"{TEXT}"', f"```\n{TEXT}\n```", f"```text\n{TEXT}\n```",
        f"好的,以下是改写后的新闻\n{TEXT}", f"以下是另一种说法:\n{TEXT}", f"好的!\n\n{TEXT}", f"当然可以。 \n{TEXT}",
        f"好的，以下是改写后的新闻：\n{TEXT}", f"改写后的帖子：{TEXT}", f"下面是改写结果：“{TEXT}”", f"好的！\n{TEXT}",
        f"<think>a</think><think>b</think>{TEXT}", f"下面是改写结果:\n“{TEXT}”", f"{TEXT}\n<think>还要再想",
        f"这是改写后的新闻:{TEXT}", f"可以，改写如下：{TEXT}", f"根据您的要求，改写版本：{TEXT}", f"这是另一种说法：\n{TEXT}",
    ],
)  # fmt: skip
def test_bare(answer: str) -> None:
    assert bare(answer) == TEXT


@pytest.mark.parametrize("answer", ["", " \n", "<think>一直想,没有答案", "```\n\n```", "\u200b\u2060", "“\u200b”"])
def test_nothing_is_left(answer: str) -> None:
    assert bare(answer) == ""


@pytest.mark.parametrize(
    "text", ["好的公司不怕跌", "这是底部:别怕", "他说“快跑”,我没听", "“快跑”,他说“跌了”", "根据公告,减持计划终止"]
)
def test_texts_that_only_look_like_preambles_stay(text: str) -> None:
    assert bare(text) == text


@pytest.mark.parametrize(
    "lines",
    [
        "这是要拉升的节奏\n明天继续加仓",
        "可以抄底了\n大家冲啊",
        "这是最好的结果\n大家拿稳",
        "这是最坏的结果:明天跌停",
        "可以\n大家冲啊",
        "这是公司改写历史的一刻：股价创新高",
        "可以改写格局的订单:股价大涨",
        "根据要求如下整改:公司已公告",
        "当然,这份财报改写了历史:净利翻倍",
    ],
)
def test_a_first_line_that_only_looks_like_a_preamble_stays(lines: str) -> None:
    assert bare(lines) == lines.replace("\n", " ")


def test_why_it_is_none() -> None:
    assert unusable("涨停了", "") == "empty"
    assert unusable("涨停了", "涨停了!") == "unchanged"
    assert unusable("涨停了", "涨" * 27) == "too long"
    assert unusable("涨停了", "封板了") is None
    assert unusable("涨停了", "涨" * 26) is None


def test_each_domain_is_asked_in_its_words() -> None:
    asked = {domain: messages("涨了", domain) for domain in ("news", "forum", "weibo")}
    assert all(said[1] == {"role": "user", "content": "涨了"} for said in asked.values())
    assert "新闻" in asked["news"][0]["content"]
    assert "帖子" in asked["forum"][0]["content"]
    assert len({said[0]["content"] for said in asked.values()}) == 3
