from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from finsa_moe.cli import main
from finsa_moe.config import PretrainConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.errors import ConfigError, DataError, FinSAError, ModelError
from finsa_moe.model.backbone import expert_targets, is_causal, load_backbone
from finsa_moe.training import compact
from finsa_moe.training.compact import pretrain
from finsa_moe.training.pretrain import Pretrainer
from tests.families import made_rows

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = {
    "vocab_size": 300, "hidden_size": 32, "layers": 2, "heads": 2, "intermediate_size": 48, "max_length": 64, "longest": 24,
    "batch_tokens": 256, "learning_rate": 5e-3, "warmup_steps": 2, "max_steps": 8, "log_steps": 2, "bf16": False,
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text(
        "\n".join(text for domain in ("news", "forum") for text, _ in made_rows(domain, 150)), encoding="utf-8"
    )
    return path


def test_texts_held_out_are_neither_tokenised_nor_learnt(source: Path, tmp_path: Path) -> None:
    """The corpus is the one of a file that never held the lines near to a held-out text."""
    lines = source.read_text(encoding="utf-8").splitlines()
    held_out = [lines[3], lines[200] + "。"]
    index = HeldOut(held_out)
    clean = tmp_path / "clean.txt"
    clean.write_text("\n".join(line for line in lines if index.match(line) is None), encoding="utf-8")
    settings = PretrainConfig(**SETTINGS)
    facts = pretrain([source], tmp_path / "a", settings, held_out=held_out, device="cpu")
    pretrain([clean], tmp_path / "b", settings, device="cpu")
    assert facts["lines_dropped"] == len(lines) - len(clean.read_text(encoding="utf-8").splitlines()) >= 2
    for name in ("run/corpus/ids.npy", "tokenizer.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def run(source: Path, out: Path, *, resume: bool = False, init: Path | None = None, **changes: Any) -> dict[str, Any]:
    return pretrain([source], out, PretrainConfig(**(SETTINGS | changes)), resume=resume, init=init, device="cpu")


def delivered(out: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    return {name: (out / name).read_bytes() for name in names}


def test_the_folder_is_one_that_transformers_loads(source: Path, tmp_path: Path) -> None:
    facts = run(source, tmp_path / "b")
    tokenizer, backbone = AutoTokenizer.from_pretrained(tmp_path / "b"), AutoModel.from_pretrained(tmp_path / "b")
    assert facts["parameters"] == sum(p.numel() for p in backbone.parameters())
    assert facts["embedding_parameters"] == len(tokenizer) * 32
    assert (facts["steps"], facts["sources"]) == (8, ["texts.txt"])
    assert json.loads((tmp_path / "b" / "pretrain.json").read_text()) == facts
    ids = tokenizer("净利翻倍，2024", return_tensors="pt")
    assert set(ids) == {"input_ids", "attention_mask"}
    assert torch.isfinite(backbone(**ids).last_hidden_state).all()
    assert tokenizer.model_max_length == 64
    ours = load_backbone(str(tmp_path / "b"), device="cpu")
    assert not is_causal(ours)
    assert len(expert_targets(ours)) == 8
    suffixes = {f.suffix for f in (tmp_path / "b").rglob("*") if f.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".yaml", ".npy"}
    for array in (tmp_path / "b").rglob("*.npy"):
        np.load(array, allow_pickle=False)


def test_the_same_seed_and_texts_give_the_same_backbone(source: Path, tmp_path: Path) -> None:
    """Tokenizer included: its trainer alone would order equal pieces by a hash that differs from run to run."""
    for name, seed in (("a", 13), ("b", 13), ("c", 14)):
        run(source, tmp_path / name, seed=seed)
    a, b, c = (delivered(tmp_path / name) for name in "abc")
    assert a == b
    assert a["model.safetensors"] != c["model.safetensors"]


def test_the_loss_falls_on_texts_that_repeat(tmp_path: Path) -> None:
    source = tmp_path / "t.txt"
    source.write_text("\n".join([text for text, _ in made_rows("news", 12)] * 8), encoding="utf-8")
    run(source, tmp_path / "b", max_steps=400, log_steps=50, batch_tokens=600, learning_rate=4e-3)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "b" / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[0] > 3.5
    assert losses[-1] < 0.6 * losses[0]


class KillError(BaseException):
    pass


@pytest.mark.parametrize("moment", ["tokenizer", "corpus", "step 1", "step 5", "last step", "delivery"])
def test_killed_at_any_moment_it_ends_the_same(
    moment: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(source, tmp_path / "whole")
    with monkeypatch.context() as patch:
        if moment in ("tokenizer", "corpus", "delivery"):
            name = {"tokenizer": "train_tokenizer", "corpus": "Corpus", "delivery": "save_backbone"}[moment]
            patch.setattr(compact, name, None)
            with pytest.raises((TypeError, AttributeError)):
                run(source, tmp_path / "cut")
        else:
            stop = {"step 1": 1, "step 5": 5, "last step": 8}[moment]
            save = Pretrainer.save

            def kill(self: Pretrainer) -> None:
                save(self)
                if self.progress.step == stop:
                    raise KillError

            patch.setattr(Pretrainer, "save", kill)
            with pytest.raises(KillError):
                run(source, tmp_path / "cut", save_minutes=0.0)
    with pytest.raises(ConfigError, match="holds a run already; add --resume to go on with it"):
        run(source, tmp_path / "cut")
    run(source, tmp_path / "cut", resume=True)
    assert delivered(tmp_path / "cut") == delivered(tmp_path / "whole")


def test_a_run_may_be_prolonged_but_not_changed(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "b", decay=0.0)
    for change in ({"hidden_size": 64}, {"seed": 14}, {"mask_rate": 0.4}, {"vocab_size": 400}):
        key = next(iter(change))
        with pytest.raises(
            ConfigError, match=f"{key} was .*, now .*; resume with the same settings or name another --out"
        ):
            run(source, tmp_path / "b", resume=True, decay=0.0, **change)
    facts = run(source, tmp_path / "b", resume=True, decay=0.0, max_steps=12)
    assert facts["steps"] == 12
    run(source, tmp_path / "at-once", decay=0.0, max_steps=12)
    assert delivered(tmp_path / "b")["model.safetensors"] == delivered(tmp_path / "at-once")["model.safetensors"]


def test_a_run_goes_on_with_the_texts_it_began_with(source: Path, tmp_path: Path) -> None:
    """Its corpus is there already: other texts would not be read, and held-out ones not be dropped."""
    settings = PretrainConfig(**SETTINGS)
    pretrain([source], tmp_path / "a", settings, device="cpu")
    other = tmp_path / "other.txt"
    other.write_text(source.read_text(encoding="utf-8") + "\n又一行", encoding="utf-8")
    with pytest.raises(ConfigError, match="not the texts that the run began with"):
        pretrain([other], tmp_path / "a", settings, resume=True, device="cpu")
    held_out = source.read_text(encoding="utf-8").splitlines()[:1]
    with pytest.raises(ConfigError, match="not the held-out texts that the run began with"):
        pretrain([source], tmp_path / "a", settings, resume=True, held_out=held_out, device="cpu")
    pretrain([source], tmp_path / "a", settings, resume=True, device="cpu")


def test_a_run_that_diverged_goes_on_at_a_lower_rate(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its error says."""
    learn = Pretrainer._learn

    def spoilt(self: Pretrainer, step: int, *rest: Any) -> Any:
        found = learn(self, step, *rest)
        if step == 5:
            with torch.no_grad():
                self.model.dense.weight[0, 0] = float("nan")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Pretrainer, "_learn", spoilt)
        with pytest.raises(ModelError, match="lower learning_rate and resume"):
            run(source, tmp_path / "b", save_minutes=0.0)
    assert run(source, tmp_path / "b", resume=True, learning_rate=1e-3)["steps"] == 8
    found = load_file(tmp_path / "b" / "model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found.values())


def test_a_start_from_another_backbone(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "first")
    facts = run(source, tmp_path / "second", init=tmp_path / "first", max_steps=1, learning_rate=0.0)
    assert facts["steps"] == 1
    first, second = (load_file(tmp_path / n / "model.safetensors") for n in ("first", "second"))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert delivered(tmp_path / "first")["tokenizer.json"] == delivered(tmp_path / "second")["tokenizer.json"]


@pytest.mark.parametrize("kind", ["none", "no weights", "weights cut", "not ours"])
def test_a_start_that_cannot_be_used(
    kind: str, source: Path, tmp_path: Path, backbone_of: Callable[[str], Path]
) -> None:
    init = tmp_path / "init"
    if kind == "not ours":
        init = backbone_of("roberta")
    elif kind != "none":
        run(source, init)
        weights = init / "model.safetensors"
        if kind == "no weights":
            weights.unlink()
        else:
            weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError) as caught:
        run(source, tmp_path / "b", init=init)
    assert str(init) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_start_of_another_shape_is_refused(source: Path, tmp_path: Path) -> None:
    """Else the settings kept beside the result would tell of a network that it is not."""
    run(source, tmp_path / "first")
    with pytest.raises(FinSAError, match="hidden_size"):
        run(source, tmp_path / "second", init=tmp_path / "first", hidden_size=64)


def test_texts_that_cannot_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        run(tmp_path / "none.txt", tmp_path / "b")
    for name, content in (("empty", ""), ("short", "涨\n跌\n")):
        (tmp_path / f"{name}.txt").write_text(content, encoding="utf-8")
        with pytest.raises(FinSAError) as caught:
            run(tmp_path / f"{name}.txt", tmp_path / name)
        assert "\n" not in str(caught.value)
    many = tmp_path / "many.txt"
    many.write_text(
        "\n".join("".join(chr(0x4E00 + (i * 7 + j) % 900) for j in range(30)) for i in range(200)), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="vocab_size: 300 does not do for these texts"):
        run(many, tmp_path / "many")


@pytest.mark.parametrize(("heads", "hidden"), [(3, 32), (4, 36), (2, 30)])
def test_heads_that_do_not_go_with_the_hidden_size_are_told_at_once(
    heads: int, hidden: int, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They neither divide it, or each would have an odd number of it, which no position can turn in pairs."""
    words = ["pretrain", str(source), "--out", str(tmp_path / "b"), "--set", f"heads={heads}"]
    assert main([*words, "--set", f"hidden_size={hidden}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"pretrain: heads: {heads} do not go with hidden_size {hidden}; it must be a multiple of {2 * heads}" in line
    assert not (tmp_path / "b").exists()


def test_a_mistake_at_the_door_is_no_run(tmp_path: Path, source: Path) -> None:
    """The second try, with the file's name mended, must not be told of a run that never was."""
    with pytest.raises(DataError):
        run(tmp_path / "typo.txt", tmp_path / "b")
    run(source, tmp_path / "b")
