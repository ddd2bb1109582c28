"""The main job on the packaged sample, end to end, by the verbs a user would type; everything lands in `demo/`.

Run by ``make demo``. It prepares two domains, trains an expert on each, merges them, trains jointly, evaluates on rows
that no stage has seen, answers five texts and writes one page to look at.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from pathlib import Path

import polars as pl
from outcome import show

from finsa_moe.cli import main as finsa

DEMO = Path("demo")
PRETRAINED = Path("models/default/backbone")
"""The default model's backbone; without it the demo trains a tiny one on its own thousand rows."""
CONFIG = str(Path(__file__).with_name("demo.yaml").relative_to(Path.cwd()))
DOMAINS = ("news", "forum")
TEXTS = (
    "澜江重工公告:中标城际铁路项目,合同金额12.6亿元,约占上年营收的三成。",
    "北屿医药因信息披露违规被立案调查,股价开盘跌停。",
    "国家统计局将于下周三公布一季度主要经济数据。",
    "主力又在砸盘,套了半年了,真想割肉走人",
    "放量突破前高,拿稳了,这波行情才刚开始!",
)


def step(*words: str) -> None:
    """Print a command as a user would type it, and run it."""
    print(f"\n$ finsa {shlex.join(words)}", flush=True)
    status = finsa(list(words))
    if status:
        sys.exit(status)


def train() -> None:
    """Raw rows to a trained mixture."""
    step("demo-data", "--out", f"{DEMO}/raw")
    texts: list[str] = []
    for domain in DOMAINS:
        out = f"{DEMO}/data/{domain}"
        step("prepare", f"{DEMO}/raw/{domain}.csv", "--domain", domain, "--out", out, "--ratios", "60/20/20")
        texts += pl.read_csv(f"{out}/train.csv")["text"].to_list()
    step("stats", *(f"{DEMO}/data/{domain}" for domain in DOMAINS), "--plot", f"{DEMO}/polarity.png")
    (DEMO / "train.txt").write_text("\n".join(texts), encoding="utf-8")
    if PRETRAINED.is_dir():
        print(f"\n$ cp -r {PRETRAINED} {DEMO}/backbone", flush=True)
        shutil.copytree(PRETRAINED, DEMO / "backbone")
    else:
        step("pretrain", f"{DEMO}/train.txt", "--out", f"{DEMO}/backbone", "--config", CONFIG)
    for domain in DOMAINS:
        step("train-expert", domain, f"{DEMO}/data/{domain}", "--out", f"{DEMO}/experts/{domain}",
             "--backbone", f"{DEMO}/backbone", "--config", CONFIG)  # fmt: skip
    experts = [word for domain in DOMAINS for word in ("--expert", f"{domain}={DEMO}/experts/{domain}")]
    step("merge", *experts, "--out", f"{DEMO}/moe_init", "--config", CONFIG)
    data = [word for domain in DOMAINS for word in ("--data", f"{domain}={DEMO}/data/{domain}")]
    step("train-joint", f"{DEMO}/moe_init", *data, "--out", f"{DEMO}/model", "--config", CONFIG)


def main() -> None:
    """Start afresh, train, show."""
    started = time.monotonic()
    if DEMO.exists():
        shutil.rmtree(DEMO)
    DEMO.mkdir()
    train()
    print("\n== held-out rows: the mixture, each expert alone, and what it must beat", flush=True)
    splits = {d: {s: DEMO / "data" / d / f"{s}.csv" for s in ("train", "valid", "test")} for d in DOMAINS}
    show(
        DEMO / "model" / "moe_joint", splits, DEMO, texts=TEXTS, title="FinSA-MoE demo",
        subtitle="trained and tested on the packaged sample, a thousand rows written to learn the tool on",
    )  # fmt: skip
    print(f"\n{time.monotonic() - started:.0f} s. Look at {DEMO}/index.html; "
          f"ask more with: finsa predict --model {DEMO}/model/moe_joint")  # fmt: skip


if __name__ == "__main__":
    main()
