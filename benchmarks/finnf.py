"""A folder like FinNF's raw one, from a seed: a CSV a stock, mixed encodings and separators, broken rows, copies.

``python -m benchmarks.finnf OUT [--files 5200] [--rows 1660000] [--seed 13]`` writes the files and, beside the folder,
``OUT.truth.json``: how many rows are broken, and every planted pair of texts with its true Jaccard similarity. The
words are drawn from lists of our own; the texts mean nothing and are as long as news flashes are.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe.data.duplicates.held_out import jaccard, ngrams

FIRST = "瑞晟岚柏钧霖禾曜泽铭翰宏祺沐启川朗昱恒嘉锦彤淮屿澜旭"
SECOND = "源和达信通丰科盛远新康泰隆华越立正安明诚业凯迪兴昌胜"
WORDS = """
净利润 营业收入 同比 环比 增长 下降 公告 披露 显示 股东 减持 增持 回购 计划
拟 以 不超过 万元 亿元 投资 建设 项目 签订 合同 获得 批准 专利 产品 上市
涨停 跌停 资金 净流入 净流出 主力 机构 调研 评级 买入 中性 目标价 市场 预期
政策 监管 问询 立案 处罚 诉讼 和解 重组 终止 恢复 停牌 复牌 分红 派息 股权
激励 质押 解除 担保 子公司 控股 海外 订单 产能 扩张 投产 检修 涨价 降价 库存
需求 供应 疲软 旺盛 回暖 承压 风险 提示 澄清 传闻 属实 不实 董事 辞职 聘任
高管 会议 审议 通过 议案 今日 昨日 上周 本月 季度 年报 快报 预增 预亏 扭亏
首亏 续盈 套牢 割肉 抄底 加仓 减仓 满仓 空仓 反弹 回调 破位 放量 缩量 洗盘
出货 吸筹 龙头 妖股
""".split()  # noqa: SIM905 - a table of words is read more easily than a list
MARKS = ("，", "。", "；", "、", "：", "")
# (share, label) as the paper's table has it for the news: bullish, neutral, bearish, written in the usual ways.
LABELS = (("利好", 0.4771), ("中性", 0.3907), ("利空", 0.1322))
DUPLICATES, NEAR, BROKEN = 0.06, 0.04, 0.0005


def words() -> list[str]:
    """Every word a text is made of: terms, and names so many that two texts seldom share three in a row."""
    names = [a + b for a in FIRST for b in SECOND]
    return [*WORDS, *WORDS, *names]


def texts(count: int, rng: np.random.Generator) -> list[str]:
    """Texts of 8 to 500 characters, half of them over fifty."""
    known = np.array(words(), dtype=object)
    lengths = np.clip(np.exp(rng.normal(3.0, 0.65, count)), 4, 190).astype(int)
    drawn = known[rng.integers(len(known), size=int(lengths.sum()))]
    chosen = rng.choice(len(MARKS), p=[0.1, 0.03, 0.02, 0.02, 0.02, 0.81], size=len(drawn))
    marks = np.array(MARKS, dtype=object)[chosen]
    figures = rng.integers(1, 99_999, size=count)
    pieces = (drawn + marks).tolist()
    ends = np.cumsum(lengths).tolist()
    found, start = [], 0
    for end, figure in zip(ends, figures.tolist(), strict=True):
        found.append(("".join(pieces[start:end]) + f"{figure / 100:.2f}%")[:500])
        start = end
    return found


def nearly(text: str, chance: random.Random) -> str:
    """The text with one to three of its characters changed, dropped or doubled."""
    letters = list(text)
    for _ in range(1 if len(text) < 60 else chance.randint(1, 3)):
        at = chance.randrange(len(letters))
        letters[at] = chance.choice([chance.choice(FIRST), "", letters[at] * 2])
    return "".join(letters)


def write_stock(path: Path, rows: list[list[str]], chance: random.Random) -> int:
    """One stock's file, in an encoding and with a separator as they come; the number of broken rows put in."""
    kind = chance.random()
    encoding = "gb18030" if kind < 0.03 else "utf-16" if kind < 0.04 else "utf-8-sig"
    separator = "\t" if chance.random() < 0.05 else ","
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(["id", "text", "label"])
    broken = 0
    for row in rows:
        writer.writerow(row)
        if chance.random() < BROKEN:
            broken += 1
            cells = chance.choice([("x", "只有两格"), ("x", "标签不明的一行", "看不懂"), ("x", "", "利好")])
            buffer.write(separator.join(cells) + "\n")
    path.write_bytes(buffer.getvalue().encode(encoding))
    return broken


def make(out: Path, files: int, rows: int, seed: int) -> dict[str, Any]:
    """Write the folder; returns what stands in it."""
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    out.mkdir(parents=True)
    names, shares = zip(*LABELS, strict=True)
    pairs: list[tuple[str, str, float]] = []
    broken = written = exact = 0
    per_file, done = rows / files, 0
    kept: list[str] = []  # what later files may repeat
    for number in range(files):
        count = round((number + 1) * per_file) - done
        done += count
        found = texts(count, rng)
        labels = rng.choice(names, p=shares, size=count).tolist()
        for at in range(count):
            draw = chance.random()
            if kept and draw < DUPLICATES:
                found[at] = chance.choice(kept)
                exact += 1
            elif kept and draw < DUPLICATES + NEAR:
                original = chance.choice(kept)
                found[at] = nearly(original, chance)
                pairs.append((original, found[at], jaccard(ngrams(original), ngrams(found[at]))))
        kept = [*chance.sample(found, min(20, count)), *kept[:4000]]
        table = [[str(at), text, label] for at, (text, label) in enumerate(zip(found, labels, strict=True), 1)]
        broken += write_stock(out / f"{600000 + number}.csv", table, chance)
        written += count
    truth = {"rows": written + broken, "broken": broken, "copies": exact, "near": pairs}
    out.with_name(out.name + ".truth.json").write_text(json.dumps(truth, ensure_ascii=False), encoding="utf-8")
    return truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=5200)
    parser.add_argument("--rows", type=int, default=1_660_000)
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    truth = make(args.out, args.files, args.rows, args.seed)
    print(f"{args.out}: {args.files:,} files, {truth['rows']:,} rows, {truth['broken']:,} broken, "
          f"{truth['copies']:,} copies, {len(truth['near']):,} near copies")  # fmt: skip


if __name__ == "__main__":
    main()
