"""The main job on the packaged sample, end to end, by the verbs a user would type; everything lands in `demo/`.

Run by ``make demo``. It prepares two domains, trains a small backbone on their training texts, an expert on each, merges
them, trains jointly, evaluates on rows that no stage has seen, answers five texts and writes one page to look at.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from pathlib import Path

import polars as pl

from finsa_moe import load
from finsa_moe.cli import main as finsa
from finsa_moe.data.read import read_rows
from finsa_moe.evaluation.evaluate import evaluate
from finsa_moe.evaluation.figures import training_curves
from finsa_moe.evaluation.metrics import score
from finsa_moe.evaluation.report import Section, html_page, picture, pictures
from finsa_moe.evaluation.sections import answers_section, evaluation_sections
from finsa_moe.evaluation.tables import runs_table
from finsa_moe.evaluation.tfidf import TfidfBaseline

DEMO = Path("demo")
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
    step("demo-data", "--out", "demo/raw")
    texts: list[str] = []
    for domain in DOMAINS:
        out = f"demo/data/{domain}"
        step("prepare", f"demo/raw/{domain}.csv", "--domain", domain, "--out", out, "--ratios", "60/20/20")
        texts += pl.read_csv(f"{out}/train.csv")["text"].to_list()
    Path("demo/train.txt").write_text("\n".join(texts), encoding="utf-8")
    step("pretrain", "demo/train.txt", "--out", "demo/backbone", "--config", "runs/demo.yaml")
    for domain in DOMAINS:
        step("train-expert", domain, f"demo/data/{domain}", "--out", f"demo/experts/{domain}",
             "--backbone", "demo/backbone", "--config", "runs/demo.yaml")  # fmt: skip
    experts = [word for domain in DOMAINS for word in ("--expert", f"{domain}=demo/experts/{domain}")]
    step("merge", *experts, "--out", "demo/moe_init")
    data = [word for domain in DOMAINS for word in ("--data", f"{domain}=demo/data/{domain}")]
    step("train-joint", "demo/moe_init", *data, "--out", "demo/model", "--config", "runs/demo.yaml")


def show() -> None:
    """Evaluate on the test rows, answer five texts, write the page."""
    model = load(DEMO / "model" / "moe_joint")
    frames = {
        split: pl.concat([read_rows([DEMO / "data" / domain / f"{split}.csv"]).frame for domain in DOMAINS])
        for split in ("train", "valid", "test")
    }
    print(f"\n== {len(frames['test'])} test rows that no stage has seen", flush=True)
    result = evaluate(model, frames["test"], samples=3)
    ours = runs_table(result)
    beside = baselines(frames)
    for name, each in beside.items():
        for where, scores in each.items():
            print(name, where, scores.macro_f1)
    from rich.console import Console

    console = Console(width=140 if not sys.stdout.isatty() else None)
    console.print(ours)
    answers = model.predict(list(TEXTS))
    for answer in answers:
        print(f"{answer.sentiment} {answer.confidence:4.0%}  {answer.expert:6s} {answer.text}")
    curves = training_curves(sorted(DEMO.rglob("statistics.jsonl")), DEMO / "training.png")
    figures = [picture(DEMO / "data" / domain / "polarity.png", f"Polarity of {domain}", domain) for domain in DOMAINS]
    sections = [
        answers_section(answers),
        *evaluation_sections(result, beside),
        Section("Data", pictures(figures)),
        Section("Training", picture(curves, "Loss and validation score by step")),
    ]
    page = html_page("FinSA-MoE demo", sections, "trained and tested on the packaged sample in a few minutes")
    (DEMO / "index.html").write_text(page, encoding="utf-8")
    print("\ndemo/index.html shows it all; ask more by: finsa predict --model demo/model/moe_joint")
