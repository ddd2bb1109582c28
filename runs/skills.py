"""Sentences from a small grammar of our own that turn on one word or number: growth, order, denial, irony.

``python runs/skills.py NEWS.csv FORUM.csv [--rows N] [--seed S]`` writes ``id,text,label`` of each domain. A few
thousand labelled flashes hold each such contrast a few dozen times; here every frame comes with all its turns and
changing names, so that only what turns it can be learnt. It knows nothing of the behavioural suite.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from whole_csv import write

UP, FLAT, DOWN = "利好", "中性", "利空"
TURNED = {UP: DOWN, DOWN: UP, FLAT: FLAT}
Row = tuple[str, str]

FIRST = "瑞晟岚柏钧霖禾曜泽铭翰宏祺沐启川朗昱恒嘉"
SECOND = "源和达信通丰科盛远新康泰隆华越立正安明诚"
TRADE = (
    "股份",
    "科技",
    "电子",
    "医药",
    "能源",
    "重工",
    "材料",
    "证券",
    "地产",
    "食品",
    "汽车",
    "化工",
    "航运",
    "半导体",
)
WHEN = ("上半年", "一季度", "前三季度", "三季度", "去年全年", "7月份", "本报告期", "上月", "2025年度")
GOOD = (
    "净利润",
    "营业收入",
    "扣非净利润",
    "毛利率",
    "销量",
    "新签订单",
    "经营现金流",
    "产能利用率",
    "每股收益",
    "出货量",
)
MONEY = ("净利润", "营业收入", "扣非净利润", "新签订单", "经营现金流", "合同销售额")
OWED = ("亏损额", "存货", "坏账", "逾期金额", "有息负债")
BAD = ("资产负债率", "不良贷款率", "亏损额", "存货", "坏账", "退货率", "融资成本", "逾期金额", "客诉量", "质押比例")
ROSE = ("增长", "上升", "提高", "大增", "攀升", "增加", "回升")
FELL = ("下降", "下滑", "减少", "大降", "回落", "走低", "缩水")
SOURCES = ("市场预期", "机构一致预测", "此前指引", "分析师预估")
EVENTS = {  # what is good when it happens, and the same undone
    UP: ("获得药监局批准", "中标海外项目", "通过上市审核", "完成战略融资", "签下长期供货合同", "获大股东增持", "摘帽"),
    DOWN: (
        "被立案调查",
        "出现债券违约",
        "遭主要客户终止合作",
        "被冻结银行账户",
        "收到退市风险警示",
        "发生安全事故",
        "被大股东减持",
    ),
}
DENIED = ("并未{}", "没有{}", "公告澄清：不存在{}的情形", "目前未{}")
HEDGED = ("有望{}", "或将{}", "预计年内{}", "不排除{}的可能")
OPEN = ("是否会{}尚无定论", "能否{}还要等公告", "会不会{}公司未予置评")
FACTS = (
    "{}将于下周三召开临时股东大会",
    "{}聘任新的董事会秘书",
    "{}变更办公地址和联系电话",
    "{}披露半年度报告预约时间",
    "{}举行投资者开放日活动",
    "{}董事会换届选举完成",
)


class Draw:
    """Random parts of sentences."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.of = self.random.choice

    def company(self) -> str:
        """An invented name."""
        return self.of(FIRST) + self.of(SECOND) + self.of(TRADE)

    def percent(self) -> str:
        """A share that is no small one."""
        return self.of((f"{self.random.uniform(6, 95):.1f}%", "两成", "近三成", "逾四成", "一半", "六成多", "近八成"))

    def pair(self) -> tuple[float, float]:
        """Two numbers, the second clearly larger."""
        low = self.random.uniform(0.5, 60)
        return round(low, 2), round(low * self.random.uniform(1.08, 2.5), 2)


def growth(draw: Draw) -> Iterator[Row]:
    """A measure rises or falls; for some measures a rise is bad."""
    measures, up = draw.of(((GOOD, UP), (BAD, DOWN)))
    frame = draw.of(("{c}{w}{m}同比{v}{p}", "{c}：{w}{m}较上年同期{v}{p}", "{w}{c}{m}环比{v}{p}"))
    slots = {"c": draw.company(), "w": draw.of(WHEN), "m": draw.of(measures), "p": draw.percent()}
    yield frame.format(v=draw.of(ROSE), **slots), up
    yield frame.format(v=draw.of(FELL), **slots), TURNED[up]


def order(draw: Draw) -> Iterator[Row]:
    """Two numbers, and which came first."""
    measures, up = draw.of(((MONEY, UP), (OWED, DOWN)))
    low, high = draw.pair()
    frame = draw.of(
        (
            "{c}{m}由{a}亿元变为{b}亿元",
            "{c}{w}{m}{b}亿元，上年同期为{a}亿元",
            "{c}去年{m}{a}亿元，今年{b}亿元",
            "{c}{m}从{a}亿元到{b}亿元",
        )
    )
    slots = {"c": draw.company(), "w": draw.of(WHEN), "m": draw.of(measures)}
    yield frame.format(a=low, b=high, **slots), up
    yield frame.format(a=high, b=low, **slots), TURNED[up]


def target(draw: Draw) -> Iterator[Row]:
    """A price target or a price, moved."""
    low, high = draw.pair()
    frame = draw.of(("{c}目标价由{a}元调至{b}元", "券商将{c}目标价从{a}元改为{b}元", "{c}股价从{a}元到{b}元"))
    name = draw.company()
    yield frame.format(c=name, a=low, b=high), UP
    yield frame.format(c=name, a=high, b=low), DOWN


def expectation(draw: Draw) -> Iterator[Row]:
    """Beside what was expected."""
    name, when, measure, source = draw.company(), draw.of(WHEN), draw.of(MONEY), draw.of(SOURCES)
    for words, label in (
        (("高于", "好于", "超出"), UP),
        (("低于", "不及", "逊于"), DOWN),
        (("符合", "基本持平于"), FLAT),
    ):
        yield f"{name}{when}{measure}{draw.of(words)}{source}", label
    low, high = draw.pair()
    yield f"{name}{when}{measure}{high}亿元，{source}{low}亿元", UP
    yield f"{name}{when}{measure}{low}亿元，{source}{high}亿元", DOWN


def losses(draw: Draw) -> Iterator[Row]:
    """A loss that narrows is good, a profit that narrows is not."""
    name, when = draw.company(), draw.of(WHEN)
    yield f"{name}{when}亏损{draw.of(('收窄', '缩小', '大幅减少'))}{draw.percent()}", UP
    yield f"{name}{when}亏损{draw.of(('扩大', '加深', '进一步增加'))}{draw.percent()}", DOWN
    yield f"{name}{when}{draw.of(('扭亏为盈', '实现扭亏', '由亏转盈'))}", UP
    yield f"{name}{when}{draw.of(('由盈转亏', '首次出现亏损', '盈转亏'))}", DOWN
    yield f"{name}{when}盈利{draw.of(('收窄', '缩水', '减少'))}{draw.percent()}", DOWN


def happening(draw: Draw) -> Iterator[Row]:
    """An event: reported, denied, hedged, open, and ended."""
    label = draw.of((UP, DOWN))
    event, name = draw.of(EVENTS[label]), draw.company()
    yield f"{name}{event}", label
    yield name + draw.of(DENIED).format(event), TURNED[label]
    yield name + draw.of(HEDGED).format(event), label
    yield name + draw.of(OPEN).format(event), FLAT
    yield draw.of(FACTS).format(draw.company()), FLAT


def undone(draw: Draw) -> Iterator[Row]:
    """Verbs that undo: a plan to sell that is ended is good."""
    bad = draw.of(("减持计划", "风险警示", "股份冻结", "立案调查", "债务违约状态", "停产措施"))
    good = draw.of(("增持计划", "回购方案", "重组事项", "合作协议", "定增项目", "收购计划"))
    name = draw.company()
    yield f"{name}{draw.of(('终止', '撤销', '取消'))}{good}", DOWN
    yield f"{name}{bad}被{draw.of(('解除', '撤销', '终止'))}", UP
    yield f"{name}推出{good}", UP
    yield f"{name}新增{bad}", DOWN


def heavier(draw: Draw) -> Iterator[Row]:
    """Good and bad together: the heavier side decides."""
    name, when = draw.company(), draw.of(WHEN)
    yield f"{name}{when}营收小幅增长，但净利润{draw.of(FELL)}{draw.percent()}，并{draw.of(EVENTS[DOWN])}", DOWN
    yield f"{name}股价略有回调，不过{draw.of(EVENTS[UP])}，全年业绩指引大幅上调", UP
    yield f"{name}{when}营收增长{draw.of(('一成', '两成'))}，净利润下降{draw.of(('一成', '两成'))}", FLAT


STOCK = ("这票", "它", "咱这股", "大盘", "这只股", "龙头", "这个板块", "手里这只", "老朋友", "我的小票")
ASIDE = ("", "", "，老铁们", "，不解释", "。", "！", "[大笑]", "，信我", "，就这样", "……")
POSTS: tuple[
    tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...
] = (  # bullish, bearish, neutral of one frame
    (("{s}跌不动了，该抄底了", "{s}没什么好跌的了"), ("{s}涨不动了，该跑了", "{s}没什么空间可涨了"), ("{s}今天收平",)),
    (("幸好没卖{s}", "卖飞了{s}，后悔死"), ("幸好没买{s}", "没早点卖{s}，后悔死"), ("{s}该买还是该卖？",)),
    (("别再看空{s}了", "谁说{s}要跌的？打脸了吧"), ("别再幻想{s}反弹了", "谁说{s}要涨的？打脸了吧"), ("{s}怎么看？",)),
    (("{s}不会再新低了", "{s}回调就是上车机会"), ("{s}不会再新高了", "{s}反弹就是出货机会"), ("{s}什么时候分红？",)),
    (("拿着{s}真踏实", "{s}让我吃上肉了"), ("拿着{s}真闹心", "{s}又让我吃面了"), ("{s}有群吗？",)),
    (
        ("主力在{s}里悄悄吸筹", "{s}洗盘而已，不怕"),
        ("主力在{s}里悄悄出货", "{s}诱多而已，别上当"),
        ("{s}今天成交多少？",),
    ),
    (("{s}要是跌破支撑我还敢加仓", "满仓{s}等起飞"), ("{s}站不上均线我就清仓", "空仓躲开{s}"), ("{s}明天开盘吗？",)),
    (
        ("{s}终于不阴跌了，主升浪来了",),
        ("真是好股，{s}一年让我亏掉一半", "谢谢{s}，又送我一个跌停"),
        ("{s}的公告谁看懂了？",),
    ),
    (
        ("割肉的人要拍断大腿了，{s}起来了",),
        ("{s}跌得可真稳，从没让我失望过", "恭喜{s}的各位，又站岗了"),
        ("有人去{s}股东会吗？",),
    ),
    (("利空出尽，{s}该起来了",), ("利好出尽，{s}该歇了", "{s}发利好都不涨，完了"), ("{s}发了个公告，内容一般",)),
)


def post(draw: Draw) -> Iterator[Row]:
    """A frame of the boards in its turns."""
    stock, aside = draw.of(STOCK), draw.of(ASIDE)
    for label, turns in zip((UP, DOWN, FLAT), draw.of(POSTS), strict=True):
        yield draw.of(turns).format(s=stock) + aside, label


GRAMMARS: dict[str, tuple[Callable[[Draw], Iterator[Row]], ...]] = {
    "news": (growth, order, target, expectation, losses, happening, undone, heavier),
    "forum": (post,),
}


def drawn(grammar: Sequence[Callable[[Draw], Iterator[Row]]], count: int, seed: int) -> list[Row]:
    """So many different sentences of a grammar, or all there are: each of its rules in turn."""
    draw, found = Draw(seed), dict[str, str]()
    for turn in range(20 * count):
        found.update(grammar[turn % len(grammar)](draw))
        if len(found) >= count:
            break
    return list(found.items())[:count]


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("news", type=Path)
    parser.add_argument("forum", type=Path)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    for domain, path in (("news", args.news), ("forum", args.forum)):
        made = drawn(GRAMMARS[domain], args.rows, args.seed)
        write(path, ("id", "text", "label"), ([f"skill-{domain}-{at}", *row] for at, row in enumerate(made)))
        print(f"{path}: {len(made):,} sentences")


if __name__ == "__main__":
    main()
