from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu
from transformers import ModernBertModel

from finsa_moe.config import PretrainConfig
from finsa_moe.training import objectives
from finsa_moe.training.corpus import MASK, Corpus, train_tokenizer
from finsa_moe.training.masking import WholeWordMasker
from finsa_moe.training.objectives import MaskedBatch, MaskedLM, ReplacedTokens, objective
from finsa_moe.training.pretrain import Pretrainer, compact_config
from finsa_moe.training.tied_loss import tied_cross_entropy
from tests.families import made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
VOCAB = 60
TINY = PretrainConfig(
    vocab_size=300, hidden_size=32, layers=3, heads=2, intermediate_size=48, max_length=64, longest=24, batch_tokens=256,
    learning_rate=3e-3, warmup_steps=2, max_steps=200, log_steps=20, bf16=False, objective="replaced", generator_layers=1,
)  # fmt: skip


@pytest.fixture
def backbone() -> ModernBertModel:
    torch.manual_seed(0)
    return ModernBertModel(compact_config(TINY, VOCAB)).eval()


def batch(rows: int = 4, uniform: float | None = None) -> MaskedBatch:
    generator = torch.Generator().manual_seed(rows)
    ids = torch.randint(5, VOCAB, (rows, 12), generator=generator)
    ids[:, 0] = 2
    chosen = (torch.rand(rows, 12, generator=generator) < 0.3) & (ids >= 5)
    targets = ids[chosen]
    draws = torch.rand(len(targets), generator=generator) if uniform is None else torch.full((len(targets),), uniform)
    return MaskedBatch(ids.masked_fill(chosen, MASK), chosen, targets, draws, len(targets), int((ids >= 5).sum()))


def predicted(model: MaskedLM, ids: torch.Tensor) -> torch.Tensor:
    """Probabilities at every position, by the plain form."""
    every = model.norm(gelu(model.dense(model.backbone(input_ids=ids).last_hidden_state)))
    return (every @ model.backbone.get_input_embeddings().weight.T + model.bias).double().softmax(-1)


def test_only_the_masked_positions_pass_the_output_layer_and_the_loss_is_the_same(backbone: ModernBertModel) -> None:
    model, given = MaskedLM(backbone).eval(), batch()
    with torch.no_grad():
        model.bias.normal_()
        loss = model(given)
        p = predicted(model, given.ids)[given.chosen].numpy()
    expected = -np.mean([np.log(row[target]) for row, target in zip(p, given.targets.tolist(), strict=True)])
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_the_verdicts_loss_by_hand(backbone: ModernBertModel) -> None:
    """Tokens are drawn where the cumulative distribution passes the number given; each verdict is a cross-entropy."""
    model, given = ReplacedTokens(backbone, 2, 50.0).eval(), batch()
    with torch.no_grad():
        found = model(given)
        p = predicted(model.generator, given.ids)[given.chosen].numpy()
        original, read = given.ids.numpy().copy(), given.ids.numpy().copy()
        places = np.argwhere(given.chosen.numpy())
        for place, row, target, u in zip(places, p, given.targets.tolist(), given.uniform.tolist(), strict=True):
            original[tuple(place)] = target
            read[tuple(place)] = int(np.argmax(np.cumsum(row) >= u))
        hidden = model.backbone(input_ids=torch.from_numpy(read)).last_hidden_state
        verdicts = model.verdict(gelu(model.dense(hidden)))[..., 0].double().sigmoid().numpy()
    replaced = read != original
    assert 0 < replaced.sum() <= len(places)
    wrong = -np.log(np.where(replaced, verdicts, 1 - verdicts))
    assert float(found[1]) == pytest.approx(wrong[original >= 5].mean(), rel=1e-4)
    targets = given.targets.tolist()
    assert float(found[0]) == pytest.approx(-np.mean([np.log(r[t]) for r, t in zip(p, targets, strict=True)]), rel=1e-4)


def test_tokens_are_drawn_only_where_they_are_read(backbone: ModernBertModel, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def watched(*given: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        found = tied_cross_entropy(*given)  # type: ignore[arg-type]
        drawn.append(len(found[1]))
        return found

    monkeypatch.setattr(objectives, "tied_cross_entropy", watched)
    given = batch()
    MaskedLM(backbone)(given)
    ReplacedTokens(backbone, 2, 50.0)(given)
    assert drawn == [0, len(given.targets)]


def test_draws_follow_the_distribution(backbone: ModernBertModel) -> None:
    model, given = MaskedLM(backbone).eval(), batch(1)
    counts = torch.zeros(VOCAB)
    with torch.no_grad():
        model.bias.normal_()  # far from even
        p = predicted(model, given.ids)[given.chosen][0]
        points = torch.linspace(0, 1, 2001)
        for point in points:
            _, drawn = model.guess(dataclasses.replace(given, uniform=torch.full_like(given.uniform, float(point))))
            counts[drawn[0]] += 1
    assert float(p.max()) > 0.05
    assert float((counts / len(points) - p).abs().max()) < 2e-3


def test_the_generator_starts_as_the_backbones_first_layers_and_keeps_its_embedding(backbone: ModernBertModel) -> None:
    model = ReplacedTokens(backbone, 2, 50.0)
    small = model.generator.backbone
    assert small.embeddings is backbone.embeddings
    assert (len(small.layers), len(backbone.layers)) == (2, 3)
    for ours, theirs in zip(small.layers, backbone.layers, strict=False):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)
            assert a is not b
    model(batch()).sum().backward()
    gradients = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {name.split(".")[0] for name in gradients} == {"backbone", "generator", "dense", "verdict"}


def test_the_backbone_is_not_taught_to_help_the_generator(backbone: ModernBertModel) -> None:
    """The verdicts' loss reaches nothing of the generator but the shared embedding."""
    model = ReplacedTokens(backbone, 2, 50.0)
    model(batch())[1].backward()
    own = [p for name, p in model.generator.named_parameters() if "embeddings" not in name]
    assert all(p.grad is None or not p.grad.any() for p in own)


def test_parts_of_a_batch_sum_to_the_whole(backbone: ModernBertModel) -> None:
    """However the rows are shared, a share without a chosen position among them."""
    model, whole = ReplacedTokens(backbone, 2, 50.0).eval(), batch(6)
    whole.chosen[4:] = False
    kept = [int(whole.chosen[:row].sum()) for row in range(7)]
    whole = dataclasses.replace(
        whole, targets=whole.targets[: kept[6]], uniform=whole.uniform[: kept[6]], chosen_in_all=kept[6]
    )
    with torch.no_grad():
        expected, found = model(whole), torch.zeros(2)
        for start, end in ((0, 1), (1, 4), (4, 6)):
            own = slice(kept[start], kept[end])
            found += model(
                dataclasses.replace(
                    whole,
                    ids=whole.ids[start:end],
                    chosen=whole.chosen[start:end],
                    targets=whole.targets[own],
                    uniform=whole.uniform[own],
                )
            )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_settings_choose(backbone: ModernBertModel) -> None:
    assert isinstance(objective(backbone, PretrainConfig()), MaskedLM)
    model = objective(backbone, PretrainConfig(objective="replaced", generator_layers=1, detection_weight=7.0))
    assert isinstance(model, ReplacedTokens)
    assert (model.weights, len(model.generator.backbone.layers)) == ((1.0, 7.0), 1)


@pytest.mark.slow
def test_it_learns_to_tell_what_was_replaced(tmp_path: Path) -> None:
    """Below the entropy of always saying how often a token is replaced, on texts of a few patterns."""
    texts = [text for text, _ in made_rows("news", 12)] * 8
    tokenizer = train_tokenizer(texts, vocab_size=300)
    Corpus.write(texts, tokenizer, tmp_path / "c", longest=24)
    settings = dataclasses.replace(TINY, max_steps=400, batch_tokens=600, log_steps=50)
    trainer = Pretrainer(tmp_path, Corpus.open(tmp_path / "c"), WholeWordMasker(tokenizer), settings)
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"masked", "replaced", "loss"} <= lines[0].keys()
    assert lines[-1]["loss"] == pytest.approx(lines[-1]["masked"] + 50 * lines[-1]["replaced"], rel=1e-2)
    assert lines[-1]["masked"] < 0.85 * lines[0]["masked"]
    assert lines[-1]["replaced"] < 0.4 * lines[0]["replaced"]
