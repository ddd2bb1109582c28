"""Texts without labels: as many of each domain, cut to the same lengths, never a held-out one; only the router learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.config import JointConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.reading import Reading
from finsa_moe.training.batches import Rows, read_split
from finsa_moe.training.domains import _whole_and_cut
from finsa_moe.training.joint import joint_loss, set_trained, train_joint
from finsa_moe.training.unlabelled import LONGEST, NO_CLASS, SHORTEST, head_lengths, routing_rows
from tests.conftest import DOMAINS, JOINT, Trained
from tests.families import batch_of

pytestmark = pytest.mark.usefixtures("one_thread")


def texts_of(folder: Path, domain: str, count: int, length: int) -> Path:
    file = folder / f"{domain}.txt"
    file.write_text(
        "\n".join(f"{domain}{at:04d}" + ("涨跌" * length)[:length] for at in range(count)), encoding="utf-8"
    )
    return file


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {"news": texts_of(tmp_path, "news", 300, 90), "forum": texts_of(tmp_path, "forum", 120, 60)}


def test_every_second_text_is_cut_and_lengths_tell_nothing(files: dict[str, Path]) -> None:
    rows = routing_rows(files, most=200)
    assert {name: len(part.texts) for name, part in rows.items()} == {"news": 120, "forum": 120}
    assert all(part.labels == [NO_CLASS] * 120 for part in rows.values())
    cut = {name: [len(text) for text in part.texts[1::2]] for name, part in rows.items()}
    assert cut["news"] == cut["forum"]
    assert SHORTEST <= min(cut["news"]) < 16
    assert 32 < max(cut["news"]) <= LONGEST
    assert {len(text) for text in rows["news"].texts[::2]} == {98}
    assert routing_rows(files, most=200)["news"].texts == rows["news"].texts
    assert routing_rows(files, most=200, seed=14)["news"].texts != rows["news"].texts
    assert len(routing_rows(files, most=7)["forum"].texts) == 7


def test_held_out_texts_teach_nothing(files: dict[str, Path]) -> None:
    with files["forum"].open("a", encoding="utf-8") as file:
        file.write("\n这一句是留着评测用的,谁也不许学\n")
    rows = routing_rows(files, most=200, held_out=["这一句是留着评测用的，谁也不许学！"])
    assert len(rows["forum"].texts) == 120
    assert not [text for text in rows["forum"].texts if text.startswith("这一句")]
    files["forum"].write_text("这一句是留着评测用的,谁也不许学", encoding="utf-8")
    with pytest.raises(DataError, match=r"forum\.txt: no text left to teach the router with"):
        routing_rows(files, most=200, held_out=["这一句是留着评测用的，谁也不许学！"])


def test_a_head_like_a_held_out_text_teaches_nothing(tmp_path: Path) -> None:
    """The long text that it begins is like no other; what would be learnt is the head."""
    letters = np.random.default_rng(5).integers(0x4E00, 0x9000, (40, 200))
    texts = [normalise("".join(map(chr, row))) for row in letters]
    (tmp_path / "t.txt").write_text("\n".join(texts), encoding="utf-8")
    plain = routing_rows({"news": tmp_path / "t.txt"}, most=40)["news"]
    head = plain.texts[1]
    found = routing_rows({"news": tmp_path / "t.txt"}, most=40, held_out=[head])["news"]
    whole = next(text for text in texts if text.startswith(head))
    assert found.texts == [plain.texts[0], whole, *plain.texts[2:]]
    rows, lengths = Rows(plain.file, texts[:2], [0, 0]), head_lengths(np.random.default_rng(13), 2).tolist()
    heads = [text[:length] for text, length in zip(rows.texts, lengths, strict=True)]
    assert _whole_and_cut(rows, HeldOut([]), 13).texts == [*rows.texts, *heads]
    assert _whole_and_cut(rows, HeldOut(heads[:1]), 13).texts == [*rows.texts, heads[1]]


def test_texts_under_the_user_s_own_name(files: dict[str, Path], tmp_path: Path) -> None:
    own = tmp_path / "news.csv"
    lines = files["news"].read_text(encoding="utf-8").splitlines()
    own.write_text("headline,content\n" + "\n".join(f"{line},x" for line in lines), encoding="utf-8")
    ours = routing_rows({**files, "news": own}, most=200, text="headline")
    theirs = routing_rows(files, most=200)
    assert {name: part.texts for name, part in ours.items()} == {name: part.texts for name, part in theirs.items()}


def test_a_row_without_a_class_adds_to_the_routing_loss_alone(trained: Callable[[str], Trained]) -> None:
    model = load_mixture(trained("bert").joint, device="cpu")
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3], [2, 7, 8, 3], [2, 9, 8, 3]], 0)
    batch = {"input_ids": ids, "attention_mask": mask, "domains": torch.tensor([0, 1, 1, 0])}

    def losses(labels: list[int], **weights: float) -> float:
        loss_of = joint_loss(JointConfig(beta=0.9, **weights), [5, 2, 9])
        with torch.no_grad():
            return float(loss_of(model, {**batch, "labels": torch.tensor(labels)})[0])

    alone = {"routing_weight": 0.0, "balance_weight": 0.0}
    first = {name: part[:2] for name, part in batch.items()}
    with torch.no_grad():
        known = joint_loss(JointConfig(beta=0.9, **alone), [5, 2, 9])(model, {**first, "labels": torch.tensor([0, 2])})
    assert losses([0, 2, NO_CLASS, NO_CLASS], **alone) == pytest.approx(float(known[0]) / 2, rel=1e-5)
    assert losses([NO_CLASS] * 4, **alone) == 0
    routing = losses([0, 2, 1, 0]) - losses([0, 2, 1, 0], **alone)
    assert losses([NO_CLASS] * 4) == pytest.approx(routing, rel=1e-4)


def test_heads_are_of_every_length_in_the_range() -> None:
    lengths = head_lengths(np.random.default_rng(0), 20_000)
    assert set(lengths.tolist()) == set(range(SHORTEST, LONGEST + 1))
    assert np.median(lengths) == pytest.approx((SHORTEST * LONGEST) ** 0.5, abs=1), "evenly on a logarithmic scale"


def test_joint_training_with_them(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    settings = JointConfig.load(None, [*JOINT, "unlabelled_rows=10"])
    data = {domain: prepared[domain] for domain in DOMAINS}
    start = trained("bert").start
    facts = train_joint(start, data, tmp_path / "j", settings=settings, device="cpu", unlabelled=files)
    assert facts["moe_joint"]["unlabelled"] == {"news": 10, "forum": 10}
    own = {domain: tmp_path / f"own {domain}" for domain in DOMAINS}
    for domain, folder in own.items():
        folder.mkdir()
        for split in ("train", "valid"):
            rows = (data[domain] / f"{split}.csv").read_text(encoding="utf-8-sig")
            (folder / f"{split}.csv").write_text(rows.replace("text", "headline", 1), encoding="utf-8")
        lines = files[domain].read_text(encoding="utf-8").splitlines()
        (folder / "more.csv").write_text(
            "\n".join(["headline,content", *(f"{line},x" for line in lines)]), encoding="utf-8"
        )
    more = {domain: folder / "more.csv" for domain, folder in own.items()}
    again = train_joint(start, own, tmp_path / "h", settings=settings, device="cpu", unlabelled=more,
                        reading=Reading(Columns(text="headline")))  # fmt: skip
    assert again["moe_joint"]["unlabelled"] == {"news": 10, "forum": 10}
    assert again["moe_joint"]["train_loss"] == facts["moe_joint"]["train_loss"], "the very same rows"
    with pytest.raises(DataError, match=r"nothing given for domain forum; give --unlabelled NAME=FILE once for each"):
        train_joint(start, data, tmp_path / "k", settings=settings, device="cpu", unlabelled={"news": files["news"]})


def test_rows_without_a_class_alone_reach_every_weight(trained: Callable[[str], Trained]) -> None:
    """By nought: where processes average gradients, each must have one for what any of them has one for."""
    model = load_mixture(trained("bert").joint, device="cpu").train()
    set_trained(model, experts=True)
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    batch = {
        "input_ids": ids, "attention_mask": mask, "labels": torch.tensor([NO_CLASS] * 2),
        "domains": torch.tensor([0, 1]),
    }  # fmt: skip
    joint_loss(JointConfig(), [5, 2, 9])(model, batch)[0].backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(float(grad.abs().max()) == 0 for name, grad in grads.items() if name.startswith(("heads", "bank")))


def test_joint_training_learns_no_labelled_row_that_is_held_out(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    data = {domain: prepared[domain] for domain in DOMAINS}
    start, settings = trained("bert").start, JointConfig.load(None, JOINT)
    texts = read_split(data["news"], "train").texts
    facts = train_joint(start, data, tmp_path / "out", settings=settings, device="cpu", held_out=texts[:3])
    joint = facts["moe_joint"]
    assert joint["held_out"]["news"] >= 3
    assert joint["rows"] == sum(len(read_split(data[name], "train").texts) for name in DOMAINS) - sum(
        joint["held_out"].values()
    )
