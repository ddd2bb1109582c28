"""Short lines whose figures decide: this year's beside last year's, points of a ratio, a central bank's step, a rating.

``python runs/figures.py OUT.csv [--rows N] [--seed S] [--hold-out FILE …]`` writes ``id,text,label``. Nothing of a line
but the order of two numbers, the sign of a change or what a ratio measures may tell its label: each frame comes with
all its turns. What somebody expects a central bank to do and the yields of government bonds are 中性, as in labelled
news. ``runs/phrases.py`` makes phrases without figures, ``runs/skills.py`` longer sentences.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from expert_rows import rows
from skills import DOWN, FLAT, TURNED, UP, WHEN, Draw, Row, drawn
from whole_csv import write

from finsa_moe.data.duplicates.held_out import HeldOut

WORDS = yaml.safe_load((Path(__file__).with_suffix("") / "words.yaml").read_text(encoding="utf-8"))
EARNED, COST, COUNTED, BAD_RATIOS, GOOD_RATIOS, BANKS, RATES, BONDS, HOUSES, LADDER, CLEARED, WARNED, FOREIGN = (
    WORDS[name].split()
    for name in (
        "earned", "cost", "counted", "bad_ratios", "good_ratios", "banks", "rates", "bonds", "houses", "ladder",
        "cleared", "warned", "foreign",
    )
)  # fmt: skip


def _money(draw: Draw, hundred_millions: float) -> str:
    """An amount as wires write it, in 亿元 or 万元."""
    if hundred_millions < 1 or (hundred_millions < 3 and draw.random.random() < 0.3):
        return f"{hundred_millions * 10_000:.{draw.of((0, 0, 2))}f}万元"
    return f"{hundred_millions:.{draw.of((0, 1, 2)) if hundred_millions >= 3 else 2}f}亿元"


def _ordered(draw: Draw) -> tuple[float, float]:
    """Two amounts, the second larger by more than rounding."""
    low = draw.random.choice((0.05, 0.4, 1.2, 6.0, 40.0)) * draw.random.uniform(1, 8)
    return low, low * draw.random.uniform(1.25, 4)


def _beside(draw: Draw, now: str, then: str) -> str:
    """Both periods, without a word that says which is more."""
    frame = draw.of((
        "{a},上年同期为{b}", "{a},去年同期{b}", "{a}(上年同期{b})", "{a},上年同期{b}", "{a},而去年同期为{b}",
        "{a},上一年度为{b}", "{a},此前一年{b}", "{a}。上年同期:{b}",
    ))  # fmt: skip
    return frame.format(a=now, b=then)


def periods(draw: Draw) -> Iterator[Row]:
    """What was earned, spent or counted, and what it was before."""
    noun, up = draw.of(((draw.of(EARNED), UP), (draw.of(EARNED), UP), (draw.of(COST), DOWN)))
    low, high = _ordered(draw)
    opening = draw.of(
        (draw.company() + draw.of(WHEN), "预计", draw.company() + "预计", draw.company() + "公告,预计", "")
    )
    for now, then, label in ((high, low, up), (low, high, TURNED[up])):
        if label == UP and "亏损" in noun:
            continue  # a loss that narrows: guidelines differ
        span = f"{_money(draw, now)}至{_money(draw, now * 1.1)}" if draw.random.random() < 0.3 else _money(draw, now)
        yield opening + noun + _beside(draw, span, _money(draw, then)), label


def counts(draw: Draw) -> Iterator[Row]:
    """The same of what is counted."""
    noun, unit = draw.of(COUNTED).split("/")
    low, high = (
        f"{value:.{draw.of((0, 1, 2))}f}{unit}" for value in (draw.random.uniform(3, 20), draw.random.uniform(26, 90))
    )
    opening = draw.company() + draw.of(WHEN) + noun
    yield opening + _beside(draw, high, low), UP
    yield opening + _beside(draw, low, high), DOWN


def turns(draw: Draw) -> Iterator[Row]:
    """From profit to loss and back."""
    opening = draw.of((draw.company() + draw.of(WHEN), draw.company() + "预计", ""))
    low, high = (_money(draw, value) for value in _ordered(draw))
    yield opening + _beside(draw, f"净亏损{low}", f"盈利{high}"), DOWN
    yield opening + _beside(draw, f"净利润-{high}", low), DOWN
    yield opening + _beside(draw, f"盈利{low}", f"亏损{high}"), UP
    yield opening + _beside(draw, f"净利润{low}", f"-{high}"), UP
    yield opening + _beside(draw, f"亏损{high}", f"亏损{low}"), DOWN


def points(draw: Draw) -> Iterator[Row]:
    """A ratio and its change."""
    ratio, up = draw.of(((draw.of(GOOD_RATIOS), UP), (draw.of(BAD_RATIOS), DOWN)))
    at = f"{draw.random.uniform(0.6, 88):.{draw.of((1, 2))}f}%"
    by = f"{draw.random.uniform(0.05, 6):.{draw.of((1, 2))}f}个百分点"
    since = draw.of(("较年初", "较上年末", "同比", "环比", "较上季末", "比去年同期", "较期初"))
    opening = draw.of((draw.company() + draw.of(WHEN), draw.company(), draw.of(WHEN), ""))
    frame = draw.of(("{r}{at},{s}{v}{by}", "{r}{s}{v}{by}", "{r}为{at},{s}{v}{by}", "{r}{s}{v}{by}至{at}"))
    for verb, label in (
        (draw.of(("上升", "提高", "提升", "上行", "增加")), up),
        (draw.of(("下降", "降低", "回落", "下行", "减少")), TURNED[up]),
    ):
        yield opening + frame.format(r=ratio, at=at, s=since, v=verb, by=by), label
    yield f"{opening}{ratio}{at},{since}{draw.of(('持平', '基本持平', '没有变化'))}", FLAT


def policy(draw: Draw) -> Iterator[Row]:
    """What a central bank did, kept, or is expected to do."""
    bank, colon = draw.of(BANKS), draw.of((":", "宣布", "今日宣布", "决定", ""))
    step = draw.of(("25个基点", "10个基点", "50个基点", "75个基点", "15个基点", "0.25个百分点", "0.5个百分点", "20bp"))
    rate, at = draw.of(RATES), f"{draw.random.uniform(0.5, 8):.2f}%"
    soon = draw.of(("下月", "9月", "年内", "三季度", "下次会议", "明年"))
    surprise = draw.of(("", "", ",超出市场预期", ",幅度超预期"))
    cut = draw.of((f"降息{step}", f"下调{rate}{step}", f"将{rate}下调{step}至{at}", f"降准{step}"))
    rise = draw.of((f"加息{step}", f"上调{rate}{step}", f"将{rate}上调{step}至{at}"))
    yield f"{bank}{colon}{cut}{surprise}", UP
    yield f"{bank}{colon}{rise}{surprise}", DOWN
    yield f"{bank}{colon}维持{rate}在{at}不变", FLAT
    move, odds = draw.of(("降息", "加息")), f"{draw.random.uniform(3, 97):.1f}%"
    yield draw.of((
        f"交易员预计{bank}{soon}{move}{step}的概率为{odds}", f"{draw.of(HOUSES)}预计{bank}{soon}{move}{step}",
        f"货币市场显示{bank}{soon}{move}概率为{odds}", f"{bank}{soon}{move}{step}的概率为{odds}",
    )), FLAT  # fmt: skip
    way = draw.of(("上行", "下行", "上涨", "下跌"))
    bond = f"{draw.of(BONDS)}{draw.of((2, 5, 10, 30))}年期国债收益率"
    yield f"{bond}{way}{draw.random.uniform(1, 15):.1f}个基点,报{at}", FLAT


def ratings(draw: Draw) -> Iterator[Row]:
    """A target price or a grade, moved."""
    low, money = draw.random.uniform(3, 200), draw.of(("元", "港元"))
    lower, higher = (f"{value:.{draw.of((0, 1, 2))}f}{money}" for value in (low, low * draw.random.uniform(1.15, 2)))
    house, name = draw.of(HOUSES), draw.company()
    frame = draw.of(("{h}将{c}目标价从{a}{v}至{b}", "{h}:{c}目标价由{a}{v}至{b}", "{h}{v}{c}目标价,由{a}至{b}"))
    yield frame.format(h=house, c=name, a=lower, b=higher, v=draw.of(("上调", "调高"))), UP
    yield frame.format(h=house, c=name, a=higher, b=lower, v=draw.of(("下调", "调低"))), DOWN
    one, two = sorted(draw.random.sample(range(len(LADDER)), 2))
    yield f"{house}将{name}评级由{LADDER[one]}上调至{LADDER[two]}", UP
    yield f"{house}将{name}评级由{LADDER[two]}下调至{LADDER[one]}", DOWN
    yield f"{house}维持{name}{draw.of(LADDER)}评级,目标价{higher}不变", FLAT
    yield f"*ST{name[:2]}{draw.of(CLEARED)}", UP
    yield f"{name}{draw.of(WARNED)}", DOWN


def english(draw: Draw) -> Iterator[Row]:
    """Headlines in English."""
    for label, frames in WORDS["english"].items():
        n, p = draw.of((25, 50, 75, 100, 200, 500)), draw.random.randint(3, 60)
        yield draw.of(frames).format(c=draw.of((*FOREIGN, draw.company())), n=n, p=p), label


GRAMMAR: tuple[Callable[[Draw], Iterator[Row]], ...] = (
    periods, periods, counts, turns, points, points, policy, ratings, english,
)  # fmt: skip


def lines(count: int, seed: int) -> list[Row]:
    """So many different lines."""
    return drawn(GRAMMAR, count, seed)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--hold-out", action="append", default=[], type=Path, metavar="FILE")
    args = parser.parse_args()
    apart = HeldOut([text for file in args.hold_out for text, _ in rows(file)])
    made = [row for row in lines(args.rows, args.seed) if apart.match(row[0]) is None]
    write(args.out, ("id", "text", "label"), ([f"figure-{at}", *row] for at, row in enumerate(made)))
    print(f"{args.out}: {len(made):,} lines")


if __name__ == "__main__":
    main()
