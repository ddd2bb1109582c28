"""A backbone trained on tasks: its loss by hand, what it learns, and that texts held out stay out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from finsa_moe.cli import app
from finsa_moe.config import AdaptConfig
from finsa_moe.data.encode import TextEncoder
from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.model.backbone import load_backbone, load_tokenizer, save_weights
from finsa_moe.model.reading import Reading
from finsa_moe.polarity import ENGLISH, NAMES, LabelMap
from finsa_moe.training.adapt import TaskModel, TaskRows, adapt, hide_tokens, soft_cross_entropy
from finsa_moe.training.answers import TaskModelAnswers
from finsa_moe.training.heads import mean_head
from finsa_moe.training.tasks import read_tasks

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ("业绩大跌", "净利翻倍", "发布公告", "横盘整理")
QUICK = (
    "max_steps=30", "warmup_steps=1", "eval_steps=6", "learning_rate=3e-3", "batch_size=16", "trackers=none", "bf16=false",
    "max_length=64",
)  # fmt: skip


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Four classes that one phrase tells apart."""
    rows = [[f"周三第{at}次{kind}", kind] for at in range(50) for kind in KINDS]
    return write(tmp_path / "events.csv", ["text", "label"], rows)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [[f"今天第{at}次{word}", *shares] for at in range(60) for word, shares in
            (("突破新高", ["0.1", "0.2", "0.7"]), ("又要跌停", ["0.8", "0.15", "0.05"]))]  # fmt: skip
    return write(tmp_path / "answers.csv", ["text", "bearish", "neutral", "bullish"], rows)


def test_the_loss_by_hand() -> None:
    """Logits 0, log 2, log 5 are shares 1/8, 1/4, 5/8; a class outside the task counts for nothing."""
    logits = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, math.log(3), -math.inf]])
    targets = torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    first = -(0.5 * math.log(1 / 8) + 0.5 * math.log(5 / 8))
    second = -math.log(3 / 4)
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx((first + second) / 2)


def test_each_text_is_judged_by_its_own_task_s_head(backbone_of: Callable[[str], Path]) -> None:
    backbone = load_backbone(str(backbone_of("modernbert")), device="cpu")
    model = TaskModel(backbone, [4, 2, 3], dropout=0.0).eval()
    ids = torch.randint(5, 200, (3, 9))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        pooled = backbone(input_ids=ids, attention_mask=mask).last_hidden_state.mean(1)
        every = model.head(pooled)
        found = model(ids, mask, torch.tensor([1, 0, 2]))
    torch.testing.assert_close(found[0, :2], every[0, 4:6])
    torch.testing.assert_close(found[1], every[1, :4])
    torch.testing.assert_close(found[2, :3], every[2, 6:9])
    assert torch.isinf(found[0, 2:]).all()
    assert torch.isinf(found[2, 3])


def test_tasks_are_read_with_classes_and_rows_set_aside(
    events: Path, answers: Path, prepared: Mapping[str, Path]
) -> None:
    tasks = read_tasks({"events": events, "news": prepared["news"]}, {"taught": answers})
    assert [task.name for task in tasks] == ["events", "news", "taught"]
    assert tasks[0].classes == tuple(sorted(KINDS))
    assert [(len(task.train), len(task.valid)) for task in tasks] == [(196, 4), (24, 12), (118, 2)]
    assert tasks[2].classes == ("bearish", "neutral", "bullish")
    for task in tasks:
        np.testing.assert_allclose(task.train.targets.sum(axis=1), 1, atol=1e-6)
        assert not set(task.train.texts) & set(task.valid.texts)
    again = read_tasks({"events": events}, {})[0]
    assert again.train.texts == tasks[0].train.texts


def test_texts_held_out_are_not_learnt_from(events: Path, answers: Path) -> None:
    tasks = read_tasks({"events": events}, {"taught": answers}, held_out=["周三第7次业绩大跌", "今天第31次突破新高"])
    texts = [text for task in tasks for split in (task.train, task.valid) for text in split.texts]
    assert "周三第7次业绩大跌" not in texts
    assert "今天第31次突破新高" not in texts
    assert tasks[0].dropped >= 1
    assert tasks[1].dropped >= 1
    assert len(tasks[0].train) + len(tasks[0].valid) + tasks[0].dropped == 200


def test_tasks_in_the_user_s_own_words(events: Path, answers: Path, tmp_path: Path) -> None:
    """A named column where it is, the usual ones elsewhere; of labels only those named, whatever else they could mean."""
    rows = [[f"第{at}条", f"内文{at}", str(at % 3), "up"] for at in range(60)]
    own = write(tmp_path / "own.csv", ["headline", "content", "mark", "label"], rows)
    columns, labels = Columns(text="headline+content", label="mark"), LabelMap.parse("0=利空,1=中性,2=利好")
    tasks = read_tasks({"own": own, "events": events}, {"taught": answers}, reading=Reading(columns, labels))
    assert [task.classes for task in tasks] == [tuple(sorted(NAMES)), tuple(sorted(KINDS)), ENGLISH]
    texts = tasks[0].train.texts + tasks[0].valid.texts
    assert sorted(texts) == sorted(f"第{at}条 内文{at}" for at in range(60))
    shares = dict(zip(texts, np.concatenate([tasks[0].train.targets, tasks[0].valid.targets]), strict=True))
    assert all(tasks[0].classes[shares[f"第{at}条 内文{at}"].argmax()] == NAMES[at % 3] for at in range(60))
    assert read_tasks({"own": own}, {}, reading=Reading(columns))[0].classes == ("0", "1", "2")
    words = write(tmp_path / "words.csv", ["text", "label"], [["甲", "up"], ["乙", "down"], ["丙", "1"]])
    assert read_tasks({"words": words}, {}, reading=Reading(labels=labels))[0].classes == ("down", "up", "中性")
    with pytest.raises(DataError, match=r"odd.csv: no column 'mark'; columns found: headline"):
        read_tasks({"odd": write(tmp_path / "odd.csv", ["headline"], [["甲"]])}, {}, reading=Reading(columns))


def test_it_learns_and_the_backbone_can_be_trained_on(
    events: Path, answers: Path, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    start, out = backbone_of("modernbert"), tmp_path / "adapted"
    settings = AdaptConfig.load(None, list(QUICK))
    facts = adapt(str(start), out, tasks={"events": events}, soft={"taught": answers}, settings=settings, device="cpu")
    assert facts["validation"]["events_accuracy"] >= 0.75
    assert facts["tasks"]["events"] == {"rows": 196, "names": sorted(KINDS), "dropped": 0}
    assert json.loads((out / "adapt.json").read_text(encoding="utf-8"))["steps"] == facts["steps"]
    before, after = load_backbone(str(start), device="cpu"), load_backbone(str(out), device="cpu")
    moved = [n for n, p in after.named_parameters() if not torch.equal(p, before.get_parameter(n))]
    assert len(moved) > 0.9 * len(list(after.named_parameters()))
    assert load_tokenizer(out).backend_tokenizer.to_str() == load_tokenizer(start).backend_tokenizer.to_str()
    with pytest.raises(ConfigError, match="holds a finished backbone"):
        adapt(str(start), out, tasks={"events": events}, soft={}, settings=settings, device="cpu")
    with pytest.raises(ConfigError, match="not the tasks that the run began with"):
        adapt(str(start), out, tasks={"events": events}, soft={}, settings=settings, resume=True)
    again = {"tasks": {"events": events}, "soft": {"taught": answers}, "settings": settings}
    assert adapt(str(start), out, resume=True, **again) == facts


def test_a_finished_folder_answers(
    prepared: Mapping[str, Path], answers: Path, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Polarities come in the order of their ids, whatever the order of the head's columns, and batches change nothing."""
    out = tmp_path / "adapted"
    tasks, soft = {"news": prepared["news"]}, {"taught": answers}
    adapt(str(backbone_of("modernbert")), out, tasks=tasks, soft=soft, settings=AdaptConfig.load(None, list(QUICK)))
    model = TaskModelAnswers(out, device="cpu")
    assert model.classes == {"news": tuple(sorted(NAMES)), "taught": ("bearish", "neutral", "bullish")}
    shares = model.shares(model.states(["今天第99次突破新高", "今天第98次又要跌停了哎"]), "taught")
    assert shares.shape == (2, 3)
    assert shares.argmax(axis=1).tolist() == [2, 0]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    task = read_tasks(tasks, {})[0]
    train = task.train
    found = model.shares(model.states(train.texts), "news")
    own = [NAMES.index(task.classes[at]) for at in train.targets.argmax(axis=1)]
    assert np.mean(found.argmax(axis=1) == own) > 0.6
    np.testing.assert_allclose(found, model.shares(model.states(train.texts, batch_tokens=1), "news"), atol=1e-5)
    with pytest.raises(ModelError, match="no task 'boards'; this backbone was trained on news, taught"):
        model.shares(model.states(["甲"]), "boards")
    with pytest.raises(ModelError, match=r"no heads\.safetensors"):
        TaskModelAnswers(tmp_path)


def test_a_backbone_stored_in_half_the_size_is_the_same_backbone(
    events: Path, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Its weights are rounded once, and every mixture on it keeps them short and equal."""
    asked = [*QUICK, "max_steps=2", "stored=bfloat16"]
    start, out = backbone_of("modernbert"), tmp_path / "adapted"
    adapt(str(start), out, tasks={"events": events}, soft={}, settings=AdaptConfig.load(None, asked), device="cpu")
    stored = load_file(out / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    backbone = load_backbone(str(out), device="cpu")
    assert backbone.dtype == torch.float32
    save_weights(backbone, tmp_path / "again")
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in again.items())
    save_weights(load_backbone(str(start), device="cpu"), tmp_path / "whole")
    assert {value.dtype for value in load_file(tmp_path / "whole" / "model.safetensors").values()} == {torch.float32}


def test_rows_pad_their_targets(events: Path, answers: Path, backbone_of: Callable[[str], Path]) -> None:
    tasks = read_tasks({"events": events}, {"taught": answers})
    tokenizer = load_tokenizer(backbone_of("modernbert"))
    encoder = TextEncoder(tokenizer.backend_tokenizer, prompt="none", max_length=64, pad_id=tokenizer.pad_token_id)
    rows = TaskRows([task.valid for task in tasks], encoder, 4)
    each = list(rows)
    assert [row["domains"] for row in each] == [0] * 4 + [1] * 2
    assert all(row["targets"].shape == (4,) and row["targets"].sum() == pytest.approx(1) for row in each)
    assert [row["labels"] for row in each] == [row["targets"].argmax() for row in each]
    assert each[-1]["targets"][3] == 0


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        (["text"], ["甲"], r"x.csv: no label column; columns found: text; name it by --label COL"),
        (["text", "label"], ["甲", ""], r"x.csv: row 2: no label"),
        (["text", "label"], ["　", "好"], r"x.csv: row 2: no text"),
        (["text", "label"], ["乙", "好"], r"x.csv: 1 class among 2 rows"),
    ],
)
def test_bad_tasks_are_one_line(header: list[str], row: list[str], says: str, tmp_path: Path) -> None:
    first = ["甲甲", "好"][: len(header)]
    with pytest.raises(DataError, match=says):
        read_tasks({"x": write(tmp_path / "x.csv", header, [first, row])}, {})


def test_bad_answers_are_one_line(tmp_path: Path) -> None:
    header = ["text", "bearish", "neutral", "bullish"]
    with pytest.raises(DataError, match=r"row 1: the shares .* do not sum to 1"):
        read_tasks({}, {"x": write(tmp_path / "a.csv", header, [["涨", "0.9", "0.9", "0.1"]])})
    with pytest.raises(DataError, match="a share is no number"):
        read_tasks({}, {"x": write(tmp_path / "b.csv", header, [["涨", "much", "0.9", "0.1"]])})


def test_the_command(events: Path, backbone_of: Callable[[str], Path], tmp_path: Path) -> None:
    asked = [part for setting in QUICK for part in ("--set", setting)]
    start = str(backbone_of("modernbert"))
    run = CliRunner().invoke(app, ["adapt", start, "--out", str(tmp_path / "out"), *asked])
    assert run.exit_code != 0
    assert "give --task" in str(run.exception)
    asked += ["--device", "cpu", "--set", "max_steps=3"]
    run = CliRunner().invoke(app, ["adapt", start, "--task", f"e={events}", "--out", str(tmp_path / "out"), *asked])
    assert run.exit_code == 0, run.output
    assert "3 steps on 196 rows" in run.output


def test_the_command_in_the_user_s_own_words(backbone_of: Callable[[str], Path], tmp_path: Path) -> None:
    rows = [
        [f"周三第{at}次{word}", mark]
        for at in range(50)
        for mark, word in enumerate(("又要跌停", "发布公告", "突破新高"))
    ]
    own = write(tmp_path / "own.csv", ["headline", "mark"], [[text, str(mark)] for text, mark in rows])
    held = write(tmp_path / "held.csv", ["text"], [["周三第7次突破新高"]])
    asked = [part for setting in (*QUICK, "max_steps=3") for part in ("--set", setting)]
    run = CliRunner().invoke(
        app, ["adapt", str(backbone_of("modernbert")), "--task", f"own={own}", "--out", str(tmp_path / "out"), "--device",
              "cpu", "--text", "headline", "--label", "mark", "--labels", "finsa", "--hold-out", str(held), *asked],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    task = json.loads((tmp_path / "out" / "adapt.json").read_text(encoding="utf-8"))["tasks"]["own"]
    assert set(task["names"]) == set(NAMES)
    assert task["dropped"] >= 1
    assert set(mean_head(tmp_path / "out", ["own"])) == {"weight", "bias"}, "an expert can start from it"


def test_hidden_tokens_are_the_share_asked_for_and_never_special_ones() -> None:
    torch.manual_seed(0)
    ids = torch.randint(5, 100, (200, 50))
    ids[:, 0], ids[:, -1], ids[:100, 40:] = 2, 3, 0
    hidden = hide_tokens(ids, 0.2, 4, [0, 2, 3, 4])
    special = torch.isin(ids, torch.tensor([0, 2, 3]))
    assert torch.equal(hidden[special], ids[special])
    changed = hidden != ids
    assert (hidden[changed] == 4).all()
    assert changed[~special].float().mean() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(hide_tokens(ids, 0.0, 4, [0, 2, 3, 4]), ids)


def test_hiding_tokens_needs_a_mask_token(
    events: Path, backbone_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = load_tokenizer(str(backbone_of("bert")))
    bare.mask_token = None
    monkeypatch.setattr("finsa_moe.training.adapt.load_tokenizer", lambda _: bare)
    settings = AdaptConfig.load(None, ["token_dropout=0.1"])
    with pytest.raises(ConfigError, match=r"no mask token.*token_dropout=0"):
        adapt(str(backbone_of("bert")), tmp_path / "out", tasks={"events": events}, soft={}, settings=settings)
