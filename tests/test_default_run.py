"""The run of the default model on a folder made here, with texts that judge it planted wherever it learns from: of the dev
files, and of the readings kept to judge by.
"""

from __future__ import annotations

import csv
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.text import normalise
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.training.heads import mean_head
from tests.families import made_rows, write_rows

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "runs"))
import readings  # noqa: E402

SIZES = """
pretrain: {vocab_size: 400, tokenizer_lines: 1000, hidden_size: 32, layers: 2, heads: 2, intermediate_size: 48, longest: 48,
  batch_tokens: 512, learning_rate: 5.0e-3, warmup_steps: 2, max_steps: 20, log_steps: 5, bf16: false}
adapt: {max_steps: 6, warmup_steps: 1, eval_steps: 3, batch_size: 8, bf16: false, trackers: none, max_length: 64, dropout: 0.1,
  token_dropout: 0.1}
expert: {max_steps: 6, warmup_steps: 1, eval_steps: 3, batch_size: 8, rank: 4, max_length: 64, trackers: none, loss: cross_entropy}
merge: {router_hidden: 8}
joint: {max_steps: 4, router_steps: 4, router_warmup_steps: 1, warmup_steps: 1, eval_steps: 2, batch_size: 8, trackers: none}
"""
PLANTED = {"news": "公司昨晚公告重大合同终止，三季度营收恐受影响", "forum": "这票主力天天砸盘，老股民都看不下去了"}
KIND = {"news": "news", "forum": "boards"}
KEPT = {  # by kind: what is read under the rubric to judge by, and stands in the files below besides
    "news": "隆华航运与三家货主签下明年的运价协议，交易所已收到备案",
    "boards": "东边不亮西边亮，隔壁板块轮着涨就我这只趴窝不动弹",
    "investors": "董秘您好，请问二期厂房封顶以后几时能把旧设备搬过去",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Laid out as the team's data; each planted text is a dev text, and all but equal ones stand in every other file."""
    root = tmp_path / "data"
    for place in ("news", "forum", "other", "unlabelled"):
        (root / place).mkdir(parents=True)
    for domain, planted in PLANTED.items():
        write_rows(root / domain / "dev.csv", [(planted, 0), *made_rows(domain, 9, seed=99)], domain)
        write_rows(root / domain / "train.csv", [(planted + "！", 0), *made_rows(domain, 120, seed=1)], domain)
    write_rows(
        root / "forum" / "extra_stocksentcn.csv",
        [(PLANTED["forum"], 0), (KEPT["boards"], 0), *made_rows("forum", 60, seed=5)], "forum",
    )  # fmt: skip
    write_rows(root / "forum" / "train_investors.csv", made_rows("forum", 30, seed=2), "forum")
    with (root / "other" / "announcement_weak_binary.csv").open("w", encoding="utf-8", newline="") as file:
        events = [[text, "利空" if label else "利好"] for text, label in made_rows("news", 120, seed=3)]
        csv.writer(file).writerows([["text", "label"], [PLANTED["news"], "利空"], [KEPT["news"], "利好"], *events])
    for name, domain in (
        ("finance", "news"),
        ("finance2", "news"),
        ("forum", "forum"),
        ("general", "news"),
        ("general2", "forum"),
    ):
        lines = [text for text, _ in made_rows(domain, 200, seed=len(name))]
        lines += [PLANTED[domain].replace("，", " "), PLANTED[domain]]
        lines += [KEPT["news"]] if domain == "news" else [KEPT["investors"], KEPT["investors"] + "呢？"]
        (root / "unlabelled" / f"{name}.txt.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    return root


@pytest.fixture
def read(tmp_path: Path) -> Path:
    """Readings: one of each kind to judge by, and a later one to learn, of a text near to one that judges another kind."""
    folder = tmp_path / "readings"
    (folder / "fresh").mkdir(parents=True)
    found = {f"fresh/{kind}.valid": [text] for kind, text in KEPT.items()} | {
        "fresh/boards": [KEPT["investors"] + "呢？"]
    }
    names = (*KEPT, *(f"fresh/{kind}{part}" for kind in (*KEPT, "other") for part in ("", ".valid")))
    for name in names:
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [[readings.mark(text), "中性"] for text in found.get(name, ())]
            csv.writer(file).writerows([["blake2b", "label"], *rows])
    return folder


def texts(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as opened:
        return [row["text"] for row in csv.DictReader(opened)]


def test_it_runs_to_a_runtime_and_never_learns_from_what_judges_it(
    data: Path, read: Path, tmp_path: Path, warm: Path
) -> None:
    config, out = tmp_path / "sizes.yaml", tmp_path / "out"
    config.write_text(SIZES, encoding="utf-8")
    settings = (
        "BACKBONE", "SKIP", "NEWS", "POSTS", "SHARE", "MORE_NEWS", "MORE_BOARDS", "MORE_INVESTORS", "STUDENT", "LAST", "COMPANIES", "READINGS",
    )  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if name not in settings},
        "CONFIG": str(config), "READ_ON": str(config), "ON_SEEDS": "13,21", "ON": "60", "PHRASES": "40", "FIGURES": "30", "READINGS": str(read), "START": "", "POOL": "1000", "TEACHERS": "13", "STUDENTS": "13 21", "SEEDS": "13 21",
        "BIN": str(warm), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = ["bash", str(ROOT / "runs" / "default_model.sh"), str(data), str(out)]
    for until, made, not_made in (("answers", "answers/investors.csv", "student"), ("", "runtime/config.json", "none")):
        asked = {**environment, "UNTIL": until}
        done = subprocess.run(command, env=asked, capture_output=True, text=True, timeout=6000)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (out / made).is_file()
        assert not (out / not_made).exists()

    facts = json.loads((out / "backbone" / "pretrain.json").read_text(encoding="utf-8"))
    assert facts["lines_dropped"] >= 8  # two in each of four files; made lines near to made dev lines besides
    for domain, planted in (("news", PLANTED["news"]), ("boards", PLANTED["forum"])):
        with (out / "data" / domain / "rejects.csv").open(encoding="utf-8") as file:
            assert any(planted in row["text"] and "held-out" in row["reason"] for row in csv.DictReader(file))
        assert planted not in (out / "data" / domain / "train.csv").read_text(encoding="utf-8")
        assert planted not in (out / "data" / domain / "valid.csv").read_text(encoding="utf-8")
    teacher, student, mean = (
        json.loads((out / name / "adapt.json").read_text()) for name in ("teachers/13", "students/21", "student")
    )
    apart = HeldOut([*KEPT.values(), *(text for domain in PLANTED for text in texts(data / domain / "dev.csv"))])
    learnt = {f"{kind}-answers": out / "answers" / f"{kind}.csv" for kind in KEPT}
    learnt["announcement_weak_binary"] = data / "other" / "announcement_weak_binary.csv"
    for task, file in learnt.items():
        assert any(form in texts(file) for kept in KEPT.values() for form in (kept, normalise(kept))), task
        assert student["tasks"][task]["dropped"] == sum(apart.match(text) is not None for text in texts(file)), task
    assert set(student["tasks"]) == {
        *teacher["tasks"], "announcement_weak_binary", "skills_news", "skills_forum", "written_news", "written_forum",
        "news-answers", "investors-answers", "boards-answers",
    }  # fmt: skip
    assert len(mean["mean_of"]) == 2
    one, two, both = (load_file(out / name / "model.safetensors") for name in ("students/13", "students/21", "student"))
    assert all(torch.allclose(both[name], (one[name] + two[name]) / 2, atol=1e-6) for name in both)
    start = json.loads((out / "seeds" / "13" / "experts" / "forum" / "metrics.json").read_text(encoding="utf-8"))
    assert start["heads"] == ["boards", "investors"]  # no FinFE here
    assert any(not torch.equal(one[name], two[name]) for name in both)
    for kind in ("investors", "boards"):
        assert PLANTED["forum"].split("，")[0] in (out / "answers" / f"pool.{kind}.csv").read_text(encoding="utf-8")
        assert student["tasks"][f"{kind}-answers"]["dropped"] >= 1
    for domain, planted in PLANTED.items():
        text = normalise(planted)  # as these files spell it
        for learnt in ("rows/{}/train", "rows/{}/valid", "table_rows/{}/train"):
            content = (out / f"{learnt.format(domain)}.csv").read_text(encoding="utf-8")
            assert not any(form in content for form in (text, planted)), learnt
        assert text in (out / "table_rows" / domain / "valid.csv").read_text(encoding="utf-8")  # for the temperatures
    shipped = json.loads((out / "runtime" / "config.json").read_text(encoding="utf-8"))
    tables = json.loads((out / "moe" / "metrics.json").read_text(encoding="utf-8"))["tables"]
    assert list(tables) == ["news", "forum", "router"]
    assert all(one["ngrams"] > 0 for one in tables.values())
    assert all([*shipped["ngrams"], shipped["router_ngrams"]])
    assert tables["router"]["rows"] == tables["news"]["rows"] + tables["forum"]["rows"] + 40  # the phrases are news

    of_seeds = [out / "seeds" / seed / "joint" / "moe_joint" for seed in ("13", "21")]
    banks = [load_mixture(folder, device="cpu").bank for folder in (out / "kept", *of_seeds)]
    for target in banks[0].targets:
        for expert in range(2):
            whole, one, two = (bank.update(target, expert) for bank in banks)
            assert torch.allclose(whole, 0.3 * (one + two) / 2, atol=1e-6)

    start = mean_head(out / "student", ["news", "news-answers"])
    shrunk, mean_of_seeds = (load_mixture(out / name, device="cpu").heads for name in ("kept", "mean"))
    for name, tensor in start.items():
        wanted = 0.7 * tensor + 0.3 * getattr(mean_of_seeds, name)[0]
        assert torch.allclose(getattr(shrunk, name)[0], wanted, atol=1e-6)

    kept, moe = (load_mixture(out / name, device="cpu") for name in ("kept", "moe"))  # news' expert alone read on
    for target in kept.bank.targets:
        assert torch.equal(kept.bank.update(target, 1), moe.bank.update(target, 1))
    assert any(not torch.equal(kept.bank.update(name, 0), moe.bank.update(name, 0)) for name in kept.bank.targets)
    assert not torch.equal(kept.heads.weight[0], moe.heads.weight[0])
    assert torch.equal(kept.heads.weight[1], moe.heads.weight[1])
    read_on = json.loads((out / "moe" / "metrics.json").read_text(encoding="utf-8"))["read_on"]
    assert list(read_on) == ["news"]
    assert (read_on["news"]["steps"], read_on["news"]["seeds"]) == (6, 2)
    factors = load_file(out / "moe" / "experts" / "news" / "adapter_model.safetensors")
    of_two = [load_file(out / f"read.expert.{seed}" / "adapter_model.safetensors") for seed in (13, 21)]
    for name, tensor in factors.items():
        assert torch.allclose(tensor, (of_two[0][name] + of_two[1][name]) / 2, atol=1e-6)
    assert not any(apart.match(text) for text in texts(out / "on" / "news" / "train.csv"))

    later = tmp_path / "later"  # the student goes on
    for name in ("readings", "data", "fresh"):
        shutil.copytree(out / name, later / name)
    begun = str(out / "student")
    card = json.loads((ROOT / "src" / "finsa_moe" / "assets" / "default" / "card.json").read_text(encoding="utf-8"))
    (later / "before.json").write_text(json.dumps(card | {"last": None}), encoding="utf-8")
    settings = {"STUDENT": begun, "BESIDE": begun, "LAST": "13 21", "COMPANIES": "1", "UNTIL": "last"}
    asked = {**environment, **settings}
    done = subprocess.run([*command[:3], str(later)], env=asked, capture_output=True, text=True, timeout=6000)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (later / "teachers").exists()
    parts = (later / "passes" / "13", later / "passes" / "21", out / "student")
    mean, *found = (load_file(folder / "model.safetensors") for folder in (later / "last", *parts))
    assert all(torch.allclose(mean[name], sum(part[name] for part in found) / 3, atol=1e-6) for name in mean)
    facts = json.loads((later / "passes" / "13" / "adapt.json").read_text(encoding="utf-8"))
    assert facts["heads"] == ["news", "boards", "investors", "written_news", "written_forum"]
    assert list(json.loads((later / "last" / "adapt.json").read_text())["tasks"]) == facts["heads"]
    for domain in PLANTED:
        content = (later / "last_rows" / KIND[domain] / "train.csv").read_text(encoding="utf-8")
        assert not any(form in content for form in (PLANTED[domain], normalise(PLANTED[domain])))
    for kind, text in KEPT.items():
        judging = "".join(texts(later / "last_rows" / kind / "valid.csv"))
        assert normalise(text) in judging
        for file in (later / "last_rows").glob("*/train.csv"):
            assert not any(apart.match(learnt) for learnt in texts(file)), file
    assert not (later / "seeds").exists()

    fewer = subprocess.run(
        [*command[:3], str(later)], env={**asked, "LAST": "13"}, capture_output=True, text=True, timeout=600
    )
    assert fewer.returncode == 1
    assert f"{later / 'last'}: was made of 21" in fewer.stderr  # not taken for the mean of one

    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert "done" in again.stdout
