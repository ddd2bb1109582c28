"""An expert more, an expert fewer: what was there stays as it was, to the bit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from finsa_moe.config import DomainConfig
from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.face import load
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.growth import remove
from finsa_moe.model.replay import read_replay
from finsa_moe.training import domains as room
from finsa_moe.training.domains import add_domain
from tests.conftest import DOMAINS, Trained
from tests.families import batch_of, made_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = ("epochs=2", "batch_size=8", "warmup_steps=1", "log_steps=1", "router_steps=60", "bf16=false", "trackers=none")
TEXTS = [text for domain in (*DOMAINS, "notices") for text, _ in made_rows(domain, 30, seed=7)]


def grown(source: Path, data: Path, out: Path, *overrides: str, **options: object) -> dict[str, object]:
    settings = DomainConfig.load(None, [*FAST, *overrides])
    return add_domain(source, "notices", data, out, settings=settings, device="cpu", **options)  # type: ignore[arg-type]


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def added(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("added")
    source = shutil.copytree(trained("bert").joint, out / "source")
    (source / "README.md").write_text("# Mine\n\nFor research alone.\n", encoding="utf-8")
    before = hashes(source)
    grown(source, prepared["notices"], out)
    assert hashes(source) == before, "the mixture it grew from was written to"
    return source, out / "moe"


def test_the_old_experts_and_heads_stay_to_the_bit(added: tuple[Path, Path]) -> None:
    source, moe = added
    for domain in DOMAINS:
        for file in (source / "experts" / domain).iterdir():
            assert (moe / "experts" / domain / file.name).read_bytes() == file.read_bytes(), file.name
    for name, tensor in load_file(source / "backbone" / "model.safetensors").items():
        assert torch.equal(tensor, load_file(moe / "backbone" / "model.safetensors")[name])
    old, new = (load_file(folder / "model.safetensors") for folder in (source, moe))
    for name in ("heads.weight", "heads.bias"):
        assert torch.equal(old[name], new[name][: len(DOMAINS)])
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("router."))
    assert {name for name in new if name not in old} == {name for name in new if name.startswith("router.grown.0.")}


def test_an_old_expert_answers_as_before(added: tuple[Path, Path]) -> None:
    """Promise 3 after growing: a one-hot gate is that expert."""
    old, new = (load_mixture(folder, device="cpu") for folder in added)
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    with torch.inference_mode():
        for index in range(len(DOMAINS)):
            forced = torch.full((2,), index)
            # the same weights; the products of two and of three experts are summed apart
            torch.testing.assert_close(new(ids, mask, forced).logits, old(ids, mask, forced).logits, atol=1e-6, rtol=0)


def test_padding_and_mates_change_nothing(added: tuple[Path, Path]) -> None:
    """Promise 2 after growing."""
    model = load(added[1], device="cpu")
    alone = np.concatenate([model.predict_proba([text]) for text in TEXTS[::9]])
    np.testing.assert_allclose(model.predict_proba(TEXTS[::9]), alone, atol=2e-5)


def test_the_new_expert_is_the_one_that_was_trained(added: tuple[Path, Path]) -> None:
    moe = added[1]
    expert = moe.parent / "expert"
    for name in ("adapter_model.safetensors", "head.safetensors"):
        assert (moe / "experts" / "notices" / name).read_bytes() == (expert / name).read_bytes()
    assert sorted(p.name for p in (moe / "experts" / "notices").iterdir()) == sorted(
        p.name for p in (moe / "experts" / "news").iterdir()
    )
    facts = json.loads((moe / "metrics.json").read_text(encoding="utf-8"))
    assert set(facts["sent_to_own"]) == {*DOMAINS, "notices"}
    assert set(facts["data"]) == {*DOMAINS, "notices"}
    assert set(read_replay(moe, [*DOMAINS, "notices"])) == {*DOMAINS, "notices"}


def test_taken_out_again_the_mixture_is_what_it_was(added: tuple[Path, Path], tmp_path: Path) -> None:
    source, moe = added
    domains = [*DOMAINS, "notices"]
    remove(moe, tmp_path / "moe", "notices", read_replay(moe, domains))
    assert hashes(tmp_path / "moe") == hashes(source), "every file: weights, metrics, settings, card, tokenizer"
    one, two = (load(folder, device="cpu") for folder in (source, tmp_path / "moe"))
    assert np.array_equal(one.predict_proba(TEXTS), two.predict_proba(TEXTS))


def test_one_after_the_other(added: tuple[Path, Path], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    """A second domain beside a first; either can go, and the other answers and is chosen as before."""
    settings = DomainConfig.load(None, FAST)
    add_domain(added[1], "more", prepared["news"], tmp_path / "two", settings=settings, device="cpu")
    two = tmp_path / "two" / "moe"
    remove(two, tmp_path / "without_more", "more", read_replay(two, [*DOMAINS, "notices", "more"]))
    assert hashes(tmp_path / "without_more") == hashes(added[1])
    assert np.array_equal(
        load(tmp_path / "without_more", device="cpu").predict_proba(TEXTS),
        load(added[1], device="cpu").predict_proba(TEXTS),
    )
    remove(two, tmp_path / "without_notices", "notices", None)
    whole, less = (load_mixture(folder, device="cpu") for folder in (two, tmp_path / "without_notices"))
    assert less.config.domains == [*DOMAINS, "more"]
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    with torch.inference_mode():
        kept = [whole.config.domains.index(name) for name in less.config.domains]
        assert torch.equal(less(ids, mask).router_logits, whole(ids, mask).router_logits[:, kept])
    remove(tmp_path / "without_notices", tmp_path / "one_old", "forum", None)
    left = load_mixture(tmp_path / "one_old", device="cpu")
    assert left.config.domains == ["news", "more"]
    with torch.inference_mode():
        # the same weights in a narrower matrix, whose product in float32 a processor may sum in another order
        torch.testing.assert_close(left(ids, mask).router_logits, less(ids, mask).router_logits[:, [0, 2]])
        states = torch.randn(64, left.router.layers[0].in_features, dtype=torch.float64)
        one, both = (model.router.double()(states).float() for model in (left, less))
        assert torch.equal(one, both[:, [0, 2]])
    with pytest.raises(ModelError, match="the only expert it was trained with"):
        remove(tmp_path / "one_old", tmp_path / "none", "news", None)


def test_from_the_middle_the_others_keep_their_places(added: tuple[Path, Path], tmp_path: Path) -> None:
    remove(added[1], tmp_path / "moe", "forum", None)
    old, new = (load_mixture(folder, device="cpu") for folder in (added[1], tmp_path / "moe"))
    assert new.config.domains == [name for name in (*DOMAINS, "notices") if name != "forum"]
    ids, mask = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)
    with torch.inference_mode():
        for index, name in enumerate(new.config.domains):
            wanted = old(ids, mask, torch.full((2,), old.config.domains.index(name))).logits
            found = new(ids, mask, torch.full((2,), index)).logits
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("stop", ["train_expert", "new_layers", "add"])
def test_stopped_anywhere_it_leaves_the_mixture_and_goes_on(
    stop: str, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, added: tuple[Path, Path],
) -> None:  # fmt: skip
    source, data = trained("bert").joint, prepared["notices"]
    before = hashes(source)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, stop, stopped)
        with pytest.raises(KeyboardInterrupt):
            grown(source, data, tmp_path / "out")
    assert hashes(source) == before
    assert not (tmp_path / "out" / "moe").exists()
    grown(source, data, tmp_path / "out", resume=True)
    ours, whole = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out" / "moe", added[1]))
    assert all(torch.equal(ours[name], whole[name]) for name in whole)
    assert grown(source, data, tmp_path / "out", resume=True)["domain"] == "notices"  # nothing is left to do
    with pytest.raises(ConfigError, match="exists already"):
        grown(source, data, tmp_path / "out")


def test_a_run_goes_on_only_as_what_it_began_as(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, data, out = trained("bert").joint, prepared["notices"], tmp_path / "out"
    settings = DomainConfig.load(None, FAST)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "new_layers", stopped)
        with pytest.raises(KeyboardInterrupt):
            grown(source, data, out)
    for resume in (True, False):  # nor does a refused run pass for the one that is there
        with pytest.raises(ConfigError, match="holds a run of notices; name another --out"):
            add_domain(source, "others", data, out, settings=settings, resume=resume)
    with pytest.raises(ConfigError, match="holds a run on other rows"):
        grown(source, prepared["news"], out, resume=True)
    assert grown(source, data, out, resume=True)["domain"] == "notices"
    with pytest.raises(ConfigError, match="holds a run of notices"):
        add_domain(source, "others", data, out, settings=settings, resume=True)


def test_it_starts_where_asked(trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    source, data = trained("bert").joint, prepared["notices"]
    still = ("learning_rate=0", "epochs=1")
    grown(source, data, tmp_path / "news", "start=news", *still)
    ours, theirs = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (tmp_path / "news" / "expert", source / "experts" / "news")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    grown(source, data, tmp_path / "fresh", "start=fresh", *still)
    fresh = load_file(tmp_path / "fresh" / "expert" / "adapter_model.safetensors")
    assert all(float(tensor.abs().max()) == 0 for name, tensor in fresh.items() if "lora_B" in name)
    told: list[str] = []
    facts = grown(source, data, tmp_path / "best", *still, say=told.append)
    scores = next(line for line in told if line.startswith("macro-F1"))
    named = {
        name: float(score) for name, score in (part.split() for part in scores.split(": ")[1].split(";")[0].split(", "))
    }
    assert facts["started_from"] == max(named, key=lambda name: named[name])
    with pytest.raises(ConfigError, match=r"start 'sports': allowed are best, fresh, "):
        grown(source, data, tmp_path / "x", "start=sports")


def test_what_cannot_be_added(trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    source, data = trained("bert").joint, prepared["notices"]
    settings = DomainConfig.load(None, FAST)
    with pytest.raises(ModelError, match=r"has an expert news already \(.*\); choose another name"):
        add_domain(source, "news", data, tmp_path / "o", settings=settings)
    with pytest.raises(ConfigError, match="allowed are 1 to 64"):
        add_domain(source, "a/b", data, tmp_path / "o", settings=settings)
    with pytest.raises(ModelError, match=r"no such folder; give the folder"):
        add_domain(tmp_path / "none", "x", data, tmp_path / "o", settings=settings)
    alike = tmp_path / "alike"
    alike.mkdir()
    for split in ("train", "valid"):
        write_rows(alike / f"{split}.csv", [(text, 2) for text, _ in made_rows("notices", 12)], "notices")
    with pytest.raises(DataError, match="all 12 rows are 利好; an expert needs two classes at least"):
        grown(source, alike, tmp_path / "o")
    without = tmp_path / "without"
    shutil.copytree(source, without)
    (without / "replay.safetensors").unlink()
    with pytest.raises(ModelError, match="--replay news=FILE"):
        grown(without, data, tmp_path / "o")
    with pytest.raises(DataError, match="no texts of forum; give --replay NAME=FILE once for each"):
        grown(without, data, tmp_path / "o", replay={"news": prepared["news"] / "train.csv"})
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    weights = load_file(moved / "backbone" / "model.safetensors")
    name = next(name for name in weights if name.endswith("embeddings.weight") or "word_embeddings" in name)
    save_file({**weights, name: weights[name] + 1}, moved / "backbone" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not the one this mixture was trained on"):
        grown(moved, data, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_texts_in_place_of_states(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    without = tmp_path / "without"
    shutil.copytree(trained("bert").joint, without)
    (without / "replay.safetensors").unlink()
    texts = {domain: prepared[domain] / "train.csv" for domain in DOMAINS}
    grown(without, prepared["notices"], tmp_path / "o", replay=texts)
    found = read_replay(tmp_path / "o" / "moe", [*DOMAINS, "notices"])
    assert {name: int(sketch.counts.sum()) for name, sketch in found.items()} == {
        "news": 24, "forum": 24, "notices": 48,
    }  # fmt: skip


def test_it_says_what_to_beware_of(
    trained: Callable[[str], Trained], tmp_path: Path, prepared: Mapping[str, Path]
) -> None:
    ten = tmp_path / "ten"
    ten.mkdir()
    rows = [(text, label) for text, label in made_rows("notices", 30) if label != 1][:10]
    for split in ("train", "valid"):
        write_rows(ten / f"{split}.csv", rows, "notices")
    told: list[str] = []
    grown(trained("bert").joint, ten, tmp_path / "o", say=told.append)
    for expected in ("no row is 中性; the expert notices will hardly answer that", "10 rows; with fewer than 100",
                     "10 rows, too few to choose a checkpoint by"):  # fmt: skip
        assert any(expected in line for line in told), expected
