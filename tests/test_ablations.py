"""The table of the ablations against numbers computed by scikit-learn, and what it says of a point without effect."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from types import ModuleType

import numpy as np
import pytest

from finsa_moe.evaluation.comparison.cells import Answers
from tests.fakes import fake_finsa
from tests.families import made_rows, write_rows

RUNS = Path(__file__).parents[1] / "runs"


@dataclass(frozen=True)
class Point:
    knob: str
    value: str


@pytest.fixture
def ablations() -> Iterator[ModuleType]:
    """The script's table, from a folder that is no package."""
    spec = importlib.util.spec_from_file_location("ablation_table", RUNS / "ablation_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablation_table"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ablation_table"]


def answers(classes: np.ndarray, wrong: int, rng: np.random.Generator) -> Answers:
    """So many of the first answers wrong; routing right on nine texts of ten."""
    given = classes.copy()
    given[:wrong] = (given[:wrong] + 1) % 3
    probs = np.eye(3, dtype=np.float32)[given]
    experts = ["news" if at % 10 else "forum" for at in range(len(classes))]
    own = np.eye(3, dtype=np.float32)[classes]
    facts = {"seconds": 7.0, "rows": 40_000, "steps": 1250 + wrong, "joint_steps": 900}
    return Answers({"news": probs, "news/own": own}, {"news": experts}, facts)


def test_the_table_and_picture(ablations: ModuleType, tmp_path: Path) -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    truth = {"news": rng.integers(0, 3, 300)}
    base, worse, same = Point("base", "b"), Point("rank", "4"), Point("loss", "plain")
    found = {(base, seed): answers(truth["news"], 30, rng) for seed in (13, 21)}
    found |= {(worse, 13): answers(truth["news"], 90, rng), (worse, 21): answers(truth["news"], 96, rng)}
    found[same, 13] = answers(truth["news"], 30, rng)
    apart = {"news": np.arange(300)}
    lines = ablations.table(found, truth, apart, base).splitlines()
    rows = {line.split(" | ")[0].strip("| "): line for line in lines[2:]}

    def scored(wrong: int) -> float:
        given = answers(truth["news"], wrong, rng).probs["news"].argmax(-1)
        return float(100 * f1_score(truth["news"], given, average="macro"))

    low = (scored(90), scored(96))
    assert f"| {np.mean(low):.1f} ± {stdev(low):.1f} |" in rows["rank"]
    assert f"| 1 | {scored(30):.1f} |" in rows["loss"]  # one seed has no spread
    assert "| rows | steps | joint steps | seconds |" in lines[0]
    assert rows["rank"].endswith("| 40,000 | 1,340–1,346 | 900 | 7 |")
    assert rows["base"].endswith("| 40,000 | 1,280 | 900 | 7 |")
    assert {line.count("|") for line in lines[:5]} == {lines[0].count("|")}
    assert f"**{np.mean(low) - scored(30):+.1f}**" in rows["rank"]  # surely worse
    assert "| +0.0 (+0.0 to +0.0) |" in rows["loss"]
    assert "| 90.0 |" in rows["base"]
    assert f"| {100 - scored(30):+.1f} |" in rows["base"]
    ablations.picture(found, truth, base, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_intervals_draw_clusters(ablations: ModuleType) -> None:
    """Ten copies of every text say no more than the texts: drawn as clusters, the interval stays as wide."""
    truth = np.random.default_rng(3).integers(0, 3, 60)
    base, worse = Point("base", "b"), Point("rank", "4")

    def width(copies: int, clusters: np.ndarray) -> float:
        found = {}
        for point, wrong in ((base, 6), (worse, 15)):
            told = answers(truth, wrong, np.random.default_rng(0))
            probs = {name: np.repeat(part, copies, axis=0) for name, part in told.probs.items()}
            found[point, 13] = Answers(probs, {"news": told.experts["news"] * copies}, {"seconds": 1.0})
        text = ablations.table(found, {"news": np.repeat(truth, copies)}, {"news": clusters}, base)
        assert f"news {60 * copies:,} texts in {len(np.unique(clusters)):,}" in text
        ends = re.search(r"\(([-+.\d]+) to ([-+.\d]+)\)", text)
        assert ends
        return float(ends[2]) - float(ends[1])

    alone, copied, apart = width(1, np.arange(60)), width(10, np.repeat(np.arange(60), 10)), width(10, np.arange(600))
    assert copied == pytest.approx(alone, abs=0.11)  # the table has one digit
    assert apart < alone / 2.5


def test_every_point_turns_one_knob_and_its_settings_exist(
    ablations: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(RUNS))
    script = importlib.import_module("ablations")
    from finsa_moe.config import ExpertConfig, JointConfig, MergeConfig

    turns = {  # the settings that a knob may change
        "base": set(), "routing_weight": {"routing_weight"}, "balance_weight": {"balance_weight"},
        "warm-up": {"router_steps", "warm_heads"}, "route_at": {"route_at"}, "rank": {"rank", "alpha"}, "loss": {"loss"},
        "one LoRA": {"epochs", "rank", "alpha"}, "experts": {"epochs", "warm_heads"},
    }  # fmt: skip
    assert len({point.name for point in script.POINTS}) == len(script.POINTS)
    for point in script.POINTS:
        changed = {word.partition("=")[0] for word in (*point.expert, *point.merging, *point.joint)}
        assert changed <= turns[point.knob], point.name
        assert changed or point == script.BASE
        values = {word.partition("=")[2] for word in (*point.expert, *point.merging, *point.joint)}
        said = {"plain": "cross_entropy"}.get(point.value, point.value)
        assert point.knob not in changed or values == {said}, point.name
        ExpertConfig.load(None, [*script.EXPERT, *point.expert])
        MergeConfig.load(None, [*script.MERGE, *point.merging])
        JointConfig.load(None, [*script.MIXED, *point.joint])
    assert {point.value for point in script.POINTS if point.knob == "routing_weight"} == {"0", "0.5", "1", "2"}
    assert len({script.fingerprint(point, "b") for point in script.POINTS if point.knob != "one LoRA"}) >= 14


def test_another_backbone_in_the_same_folder_is_another_point(
    ablations: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(RUNS))
    script = importlib.import_module("ablations")
    (tmp_path / "b").mkdir()
    marks = set()
    for content in ("one", "two", "one"):
        (tmp_path / "b" / "model.safetensors").write_text(content, encoding="utf-8")
        marks.add(script.fingerprint(script.BASE, str(tmp_path / "b")))
    assert len(marks) == 2


def test_a_cell_counts_its_experts_whole_whichever_cell_trained_them(
    ablations: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(RUNS))
    script = importlib.import_module("ablations")
    trained = {"rows": 10, "steps": 2, "wall_seconds": 100.0}  # as a finished one gives back at once
    monkeypatch.setattr(script, "train_expert", lambda *_, **__: trained)
    monkeypatch.setattr(script, "merge", lambda _, folder, **__: folder.mkdir(parents=True))
    monkeypatch.setattr(script.finsa_moe, "load", lambda _: fake_finsa())
    (point,) = (point for point in script.POINTS if point.name == "one LoRA=rank 16")
    rows = tmp_path / "data" / script.ONE / "train.csv"
    rows.parent.mkdir(parents=True)
    rows.write_text("id,text,label\n", encoding="utf-8")
    found = script.run(point, 13, "b", tmp_path, {"news": ["涨", "跌"]})
    assert 100 <= found.facts["seconds"] < 110
    assert (found.facts["rows"], found.facts["steps"]) == (10, 2)
    folder, _ = script.expert(point, script.ONE, 13, "b", tmp_path)
    rows.write_text("id,text,label\n1,涨,利好\n", encoding="utf-8")
    assert script.expert(point, script.ONE, 13, "b", tmp_path)[0] != folder, "other rows make another expert"


def test_training_rows_that_are_others_end_the_run(
    ablations: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows that were cut from an earlier file stand for that file alone; a validation row picks the checkpoint."""
    monkeypatch.syspath_prepend(str(RUNS))
    script = importlib.import_module("ablations")
    for domain in script.DOMAINS:
        (tmp_path / "data" / domain).mkdir(parents=True)
        write_rows(tmp_path / "data" / domain / "train.csv", made_rows(domain, 60), domain)
        write_rows(tmp_path / "data" / domain / "dev.csv", made_rows(domain, 6, seed=1), domain)
    ran: list[int] = []

    def run(point: object, seed: int, backbone: str, out: Path, tests: dict[str, list[str]]) -> Answers:
        ran.append(seed)
        return Answers({name: np.full((len(texts), 3), 1 / 3, dtype=np.float32) for name, texts in tests.items()})

    monkeypatch.setattr(script, "run", run)
    for name in ("table", "picture"):
        monkeypatch.setattr(script, name, lambda *_: "")
    words = [str(tmp_path / "out"), str(tmp_path / "data"), "--backbone", "b", "--seeds", "13", "--only", "base"]
    monkeypatch.setattr(sys, "argv", ["ablations", *words])
    for _ in range(2):
        script.main()
    assert ran == [13]
    valid = tmp_path / "out" / "data" / "forum" / "valid.csv"
    with valid.open("a", encoding="utf-8") as file:
        file.write("more,盘后大涨,利好\n")
    script.main()
    assert ran == [13, 13]
    train = tmp_path / "data" / "news" / "train.csv"
    train.write_text(train.read_text(encoding="utf-8").replace("利好", "利空", 1), encoding="utf-8")
    said = rf"^{tmp_path}/out/data/news: was made of train.csv \w+, and is asked for of train.csv \w+; remove it, .*$"
    with pytest.raises(SystemExit, match=said):
        script.main()
    assert ran == [13, 13]
