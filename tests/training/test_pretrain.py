from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import ModernBertModel

from finsa_moe.config import PretrainConfig
from finsa_moe.errors import ModelError
from finsa_moe.training.corpus import Corpus, train_tokenizer
from finsa_moe.training.masking import WholeWordMasker
from finsa_moe.training.optimisers import learning_rate
from finsa_moe.training.pretrain import Pretrainer, Progress, compact_config
from tests.families import made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = PretrainConfig(
    vocab_size=300, hidden_size=32, layers=2, heads=2, intermediate_size=48, max_length=64, longest=24, batch_tokens=256,
    learning_rate=5e-3, warmup_steps=2, max_steps=8, log_steps=2, bf16=False, save_minutes=0.0,
)  # fmt: skip


def at(step: int, share: float, **options: float) -> float:
    return learning_rate(PretrainConfig(learning_rate=1e-3, warmup_steps=100, decay=0.2, **options), step, share)


def test_learning_rate_by_hand() -> None:
    """Warm-up over 100 steps, a plateau to 0.8 of the run, then 1 - sqrt((share - 0.8) / 0.2)."""
    assert at(0, 0.0) == pytest.approx(1e-5)
    assert at(49, 0.01) == pytest.approx(5e-4)
    assert at(99, 0.02) == pytest.approx(1e-3)
    assert at(5000, 0.5) == pytest.approx(1e-3)
    assert at(5000, 0.8) == pytest.approx(1e-3)
    assert at(9000, 0.85) == pytest.approx(1e-3 * (1 - math.sqrt(0.25)))
    assert at(9000, 0.998) == pytest.approx(1e-3 * (1 - math.sqrt(0.99)))
    assert at(9999, 1.0) == pytest.approx(0, abs=1e-12)
    assert at(9999, 1.1) == pytest.approx(0, abs=1e-12)
    flat = PretrainConfig(learning_rate=1e-3, warmup_steps=0, decay=0.0)
    assert learning_rate(flat, 0, 0.0) == learning_rate(flat, 9, 0.99) == 1e-3
    triangle = PretrainConfig(learning_rate=1e-3, warmup_steps=0, decay=1.0)
    assert learning_rate(triangle, 9, 0.25) == pytest.approx(0.5e-3)


def test_share_is_the_further_of_steps_and_clock() -> None:
    assert Progress(step=25).share(TINY, 100) == 0.25
    timed = PretrainConfig(max_minutes=10)
    assert Progress(step=25, minutes=5).share(timed, 100) == 0.5
    assert Progress(step=80, minutes=5).share(timed, 100) == 0.8


@pytest.fixture(scope="module")
def corpus_and_masker(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, WholeWordMasker]:
    texts = [text for text, _ in made_rows("news", 300)]
    tokenizer = train_tokenizer(texts, vocab_size=300)
    folder = tmp_path_factory.mktemp("corpus") / "c"
    Corpus.write(texts, tokenizer, folder, longest=24)
    return Corpus.open(folder), WholeWordMasker(tokenizer)


Parts = tuple[Corpus, WholeWordMasker]


def weights(trainer: Pretrainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


def test_every_layer_sees_the_whole_text(corpus_and_masker: Parts) -> None:
    config = compact_config(PretrainConfig(hidden_size=32, layers=4, heads=2), corpus_and_masker[1].vocab_size)
    torch.manual_seed(0)
    backbone = ModernBertModel(config).eval()
    ids = torch.randint(5, config.vocab_size, (1, 400))  # far over any default window
    other = ids.clone()
    other[0, -1] = 5 if ids[0, -1] != 5 else 6
    with torch.no_grad():
        first = [s[0, 0] for s in backbone(ids, output_hidden_states=True).hidden_states]
        second = [s[0, 0] for s in backbone(other, output_hidden_states=True).hidden_states]
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1]), "the first layer already reads the last token from the first place"


def test_batches_follow_from_seed_and_step(corpus_and_masker: Parts, tmp_path: Path) -> None:
    def plan(name: str, step: int, seed: int = 13) -> list[tuple[int, int, list[int]]]:
        settings = PretrainConfig(**{**TINY.as_dict(), "max_steps": 40, "seed": seed})
        trainer = Pretrainer(tmp_path / name, *corpus_and_masker, settings)
        trainer.progress = Progress(step=step)
        return [(s, t, d.tolist()) for s, t, d in trainer.batches()]

    whole = plan("a", 0)
    assert [step for step, _, _ in whole] == list(range(40))
    for step in (1, 7, 25, 39, 40):
        assert plan("a", step) == whole[step:]
    assert plan("b", 0, seed=14) != whole


def test_an_epoch_reads_every_document_once(corpus_and_masker: Parts, tmp_path: Path) -> None:
    corpus, masker = corpus_and_masker
    trainer = Pretrainer(tmp_path, corpus, masker, PretrainConfig(**{**TINY.as_dict(), "max_steps": -1, "epochs": 2.0}))
    seen = np.bincount(np.concatenate([d for _, _, d in trainer.batches()]), minlength=len(corpus))
    assert set(seen.tolist()) == {2}


@pytest.mark.parametrize(
    ("stop", "changes"),
    [(1, {}), (4, {}), (7, {}), (4, {"optimizer": "muon"}), (4, {"objective": "replaced", "generator_layers": 1})],
)
def test_a_run_broken_off_ends_as_one_that_was_not(
    stop: int, changes: dict[str, Any], corpus_and_masker: Parts, tmp_path: Path
) -> None:
    """Weights and the optimiser's moments, to the bit."""
    settings = dataclasses.replace(TINY, **changes)
    whole = Pretrainer(tmp_path / "whole", *corpus_and_masker, settings)
    whole.run()

    class KillError(BaseException):
        pass

    first = Pretrainer(tmp_path / "cut", *corpus_and_masker, settings)
    save = first.save

    def kill() -> None:
        save()
        if first.progress.step == stop:
            raise KillError

    first.save = kill  # type: ignore[method-assign]
    with pytest.raises(KillError):
        first.run()
    second = Pretrainer(tmp_path / "cut", *corpus_and_masker, settings)
    assert second.resume()
    assert second.progress.step == stop
    second.run()
    ours, theirs = weights(second), weights(whole)
    assert [n for n in ours if not torch.equal(ours[n], theirs[n])] == []
    moments = [load_file(run.state_folder / "optimizer.safetensors") for run in (second, whole)]
    assert moments[0].keys() == moments[1].keys()
    assert {name.rsplit(".", 1)[0] for name in moments[0]} == set(ours)
    assert [name for name in moments[0] if not torch.equal(moments[0][name], moments[1][name])] == []
    assert second.progress.tokens == whole.progress.tokens


def test_muon_takes_the_layers_matrices_and_nothing_else(corpus_and_masker: Parts, tmp_path: Path) -> None:
    trainer = Pretrainer(tmp_path, *corpus_and_masker, dataclasses.replace(TINY, optimizer="muon"))
    adamw, muon = trainer.optimizers
    assert isinstance(muon, torch.optim.Muon)
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    taken = [names[id(p)] for group in muon.param_groups for p in group["params"]]
    others = [names[id(p)] for group in adamw.param_groups for p in group["params"]]
    assert sorted(taken + others) == sorted(names.values())
    assert len(taken) == 4 * len(trainer.model.backbone.layers)
    assert all(".layers." in name and "norm" not in name for name in taken)


def test_killed_between_the_two_renames_of_a_save(corpus_and_masker: Parts, tmp_path: Path) -> None:
    trainer = Pretrainer(tmp_path, *corpus_and_masker, TINY)
    trainer.run()
    expected = weights(trainer)
    trainer.state_folder.rename(tmp_path / ".state.old")
    (tmp_path / ".state.tmp77").mkdir()
    again = Pretrainer(tmp_path, *corpus_and_masker, TINY)
    assert again.resume()
    assert all(torch.equal(expected[n], t) for n, t in weights(again).items())
    again.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "state"]
    assert Pretrainer(tmp_path, *corpus_and_masker, TINY).resume()


def test_nothing_to_resume(corpus_and_masker: Parts, tmp_path: Path) -> None:
    assert not Pretrainer(tmp_path, *corpus_and_masker, TINY).resume()


def test_a_loss_that_is_not_finite_ends_the_run(corpus_and_masker: Parts, tmp_path: Path) -> None:
    tmp_path.joinpath("run").mkdir()
    trainer = Pretrainer(tmp_path / "run", *corpus_and_masker, dataclasses.replace(TINY, save_minutes=60.0))
    with torch.no_grad():
        trainer.model.dense.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"loss is nan at step .*; lower learning_rate and resume"):
        trainer.run()


def test_weights_that_are_not_finite_are_never_saved(corpus_and_masker: Parts, tmp_path: Path) -> None:
    """No loss has been looked at since they went; what was saved before is what a resumed run goes on from."""
    settings = dataclasses.replace(TINY, log_steps=1000)
    trainer = Pretrainer(tmp_path, *corpus_and_masker, settings)
    trainer.save()
    expected = weights(trainer)
    learn = trainer._learn

    def spoilt(step: int, *rest: Any) -> Any:
        found = learn(step, *rest)
        with torch.no_grad():
            trainer.model.dense.weight[0, 0] = float("nan")
        return found

    trainer._learn = spoilt  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"a weight is not finite at step 1; lower learning_rate and resume"):
        trainer.run()
    again = Pretrainer(tmp_path, *corpus_and_masker, settings)
    assert again.resume()
    assert all(torch.equal(expected[name], tensor) for name, tensor in weights(again).items())


def test_no_step_is_logged_twice(corpus_and_masker: Parts, tmp_path: Path) -> None:
    """Killed after step 4, resumed from the state of step 3."""
    settings = dataclasses.replace(TINY, log_steps=1)
    first = Pretrainer(tmp_path, *corpus_and_masker, settings)
    save = first.save

    def kill() -> None:
        if first.progress.step == 4:
            raise KeyboardInterrupt
        save()

    first.save = kill  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = Pretrainer(tmp_path, *corpus_and_masker, settings)
    assert second.resume()
    second.run()
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == list(range(1, 9))
