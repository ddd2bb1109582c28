from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from finsa_moe.errors import ModelError
from finsa_moe.model import checkpoint
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import load_mixture, save_mixture
from finsa_moe.model.moe import FinSAMoE
from tests.families import WIDER, batch_of, make_backbone, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]
IDS, MASK = batch_of([[2, 30, 41, 52, 3], [2, 99, 3]], 0)


def saved(model: FinSAMoE, backbone: Path, folder: Path) -> Path:
    save_mixture(model, folder, tokenizer=load_tokenizer(backbone))
    return folder


@pytest.mark.parametrize("family", WIDER)
def test_a_mixture_comes_back_to_the_bit(family: str, backbone_of: Backbones, tmp_path: Path) -> None:
    model = make_mixture(
        backbone_of(family), ("news", "forum", "公告"), route_at=0.5, gate="soft", prompt="neutral", max_tokens=99
    )
    folder = saved(model, backbone_of(family), tmp_path / "m")
    again = load_mixture(folder, device="cpu")
    for (name, ours), (other, theirs) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(model(IDS, MASK).logits, again(IDS, MASK).logits)
    for key in ("domains", "rank", "scaling", "route_at", "gate", "prompt", "max_tokens", "targets", "shared_head"):
        assert getattr(again.config, key) == getattr(model.config, key)
    assert not again.training


def test_a_small_backbone_travels_along(backbone_of: Backbones, tmp_path: Path) -> None:
    home = tmp_path / "backbone"
    shutil.copytree(backbone_of("bert"), home)
    model = make_mixture(home)
    folder = saved(model, home, tmp_path / "m")
    shutil.rmtree(home)
    folder = folder.rename(tmp_path / "elsewhere")
    with torch.no_grad():
        assert torch.equal(load_mixture(folder, device="cpu")(IDS, MASK).logits, model(IDS, MASK).logits)


def test_a_large_backbone_is_named_only(
    backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BUNDLE_LIMIT", 1000)
    home = tmp_path / "backbone"
    shutil.copytree(backbone_of("bert"), home)
    folder = saved(make_mixture(home), home, tmp_path / "m")
    assert not (folder / "backbone").exists()
    load_mixture(folder, device="cpu")
    other = make_backbone("bert", tmp_path / "other", seed=5)
    shutil.rmtree(home)
    with pytest.raises(ModelError, match=r"backbone .*cannot be loaded"):
        load_mixture(folder, device="cpu")
    other.rename(home)
    with pytest.raises(ModelError, match="is not the one this mixture was trained on"):
        load_mixture(folder, device="cpu")


def test_saving_over_a_mixture_replaces_it_and_keeps_what_others_put_there(
    backbone_of: Backbones, tmp_path: Path
) -> None:
    home, folder = backbone_of("bert"), tmp_path / "m"
    saved(make_mixture(home, ("old", "gone")), home, folder)
    (folder / "notes.txt").write_text("mine")
    new = make_mixture(home, ("news", "forum"), seed=3)
    saved(new, home, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in (folder / "experts").iterdir()) == ["forum", "news"]
    with torch.no_grad():
        assert torch.equal(load_mixture(folder, device="cpu")(IDS, MASK).logits, new(IDS, MASK).logits)
    assert [p.name for p in tmp_path.iterdir()] == ["m"], "nothing is left beside it"


def test_what_was_said_of_the_mixture_before_does_not_stay(backbone_of: Backbones, tmp_path: Path) -> None:
    """Its metrics name other data, and its sample of states would teach the router of another trunk."""
    home, folder = backbone_of("bert"), tmp_path / "m"
    saved(make_mixture(home), home, folder)
    for name in ("metrics.json", "config.yaml", "replay.safetensors", "novelty.safetensors"):
        (folder / name).write_text("of the old one")
    (folder / "history" / "notices").mkdir(parents=True)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    save_mixture(make_mixture(home, seed=3), folder)
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "model.safetensors", "experts", "backbone", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert (folder / "tokenizer.json").read_bytes() == tokenizer, "the new one brought none"


class KillError(BaseException):
    """As by a signal: nothing catches it."""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_killed_while_it_replaces_it_loses_neither(
    renames: int, backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = backbone_of("bert"), tmp_path / "m"
    old, new = make_mixture(home), make_mixture(home, seed=3)
    saved(old, home, folder)
    (folder / "notes.txt").write_text("mine")
    real, done = Path.replace, []

    def killed(source: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KillError
        done.append(target)
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KillError):
            saved(new, home, folder)
    left = folder if folder.exists() else tmp_path / ".m.old"
    expected = new if renames == 2 else old
    with torch.no_grad():
        assert torch.equal(load_mixture(left, device="cpu")(IDS, MASK).logits, expected(IDS, MASK).logits)
    saved(new, home, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    with torch.no_grad():
        assert torch.equal(load_mixture(folder, device="cpu")(IDS, MASK).logits, new(IDS, MASK).logits)


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(
    backbone_of: Backbones, tmp_path: Path
) -> None:
    home, folder = backbone_of("bert"), tmp_path / "m"
    saved(make_mixture(home), home, folder)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(OSError, match="no space left"):
        save_mixture(make_mixture(home, seed=3), folder, more=full)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_saving_over_a_mixture_of_another_backbone(
    backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small backbone bundled before must not be taken for the large one that the new mixture only names."""
    folder = tmp_path / "m"
    saved(make_mixture(backbone_of("bert")), backbone_of("bert"), folder)
    monkeypatch.setattr(checkpoint, "BUNDLE_LIMIT", 1000)
    saved(make_mixture(backbone_of("roberta")), backbone_of("roberta"), folder)
    assert load_mixture(folder, device="cpu").backbone.config.model_type == "roberta"


def spoil(folder: Path, kind: str) -> str:
    """Damage a mixture; gives what the error must name."""
    weights = folder / "model.safetensors"
    if kind == "no config":
        (folder / "config.json").unlink()
        return "config.json"
    if kind == "config no JSON":
        (folder / "config.json").write_text("[1")
        return "config.json"
    if kind == "config of another model":
        (folder / "config.json").write_text('{"model_type": "bert"}')
        return "model_type 'bert'"
    if kind == "no weights":
        weights.unlink()
        return "model.safetensors"
    if kind == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-10])
        return "model.safetensors"
    if kind == "weights of another shape":
        tensors = load_file(weights)
        save_file({k: v[:1].contiguous() if k == "heads.weight" else v for k, v in tensors.items()}, weights)
        return "heads.weight"
    if kind == "weights not finite":
        tensors = load_file(weights)
        tensors["router.temperature"].fill_(float("nan"))
        save_file(tensors, weights)
        return "router.temperature"
    if kind == "no expert":
        shutil.rmtree(folder / "experts" / "forum")
        return "experts/forum"
    if kind == "adapter cut":
        file = folder / "experts" / "forum" / "adapter_model.safetensors"
        file.write_bytes(file.read_bytes()[:100])
        return "experts/forum/adapter_model.safetensors"
    if kind == "adapter lacks a tensor":
        file = folder / "experts" / "news" / "adapter_model.safetensors"
        tensors = load_file(file)
        tensors.pop(sorted(tensors)[0])
        save_file(tensors, file)
        return "experts/news"
    if kind == "adapter of another rank":
        file = folder / "experts" / "news" / "adapter_model.safetensors"
        save_file(
            {
                k: torch.zeros(2, v.shape[1]) if "lora_A" in k else torch.zeros(v.shape[0], 2)
                for k, v in load_file(file).items()
            },
            file,
        )
        return "experts/news"
    if kind == "backbone cut":
        file = folder / "backbone" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        return "backbone"
    if kind == "config lacks a key":
        raw = json.loads((folder / "config.json").read_text())
        del raw["backbone"]
        (folder / "config.json").write_text(json.dumps(raw))
        return "config.json"
    assert kind == "target renamed"
    raw = json.loads((folder / "config.json").read_text())
    raw["targets"][0] = "encoder.layer.9.attention.self.query"
    (folder / "config.json").write_text(json.dumps(raw))
    return "encoder.layer.9"


KINDS = (
    "no config", "config no JSON", "config of another model", "no weights", "weights cut", "weights of another shape",
    "weights not finite", "no expert", "adapter cut", "adapter lacks a tensor", "adapter of another rank",
    "backbone cut", "config lacks a key", "target renamed",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(backbone_of: Backbones, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(make_mixture(backbone_of("bert")), backbone_of("bert"), tmp_path_factory.mktemp("whole") / "m")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_mixture_is_one_line_that_names_the_part(kind: str, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(whole, folder)
    part = spoil(folder, kind)
    with pytest.raises(ModelError) as caught:
        load_mixture(folder, device="cpu")
    assert part in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder; give the folder that train-joint, merge or add-domain wrote"):
        load_mixture(tmp_path / "none")


def test_from_pretrained_heeds_device_and_dtype(whole: Path) -> None:
    model = FinSAMoE.from_pretrained(whole, device="cpu", dtype="bfloat16")
    assert {p.dtype for p in model.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.heads.parameters()} == {torch.float32}
    with torch.no_grad():
        exact = FinSAMoE.from_pretrained(whole, device="cpu")(IDS, MASK).logits
        torch.testing.assert_close(model(IDS, MASK).logits, exact, atol=0.2, rtol=0.1)


def test_a_large_backbone_is_found_from_any_working_folder(
    backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that travels along, or is the hub's, stays named as it was typed: no path of this machine in the folder."""
    shutil.copytree(backbone_of("bert"), tmp_path / "backbone")
    monkeypatch.chdir(tmp_path)
    model = make_mixture(Path("backbone"))
    saved(model, Path("backbone"), Path("small"))
    assert str(tmp_path) not in (tmp_path / "small" / "config.json").read_text(encoding="utf-8")
    monkeypatch.setattr(checkpoint, "BUNDLE_LIMIT", 1000)
    hub = {"name": "owner/bert", "quantisation": "none", "dtype": "float32"}
    assert checkpoint.lasting_name(hub, model.backbone) == "owner/bert"
    saved(model, Path("backbone"), Path("large"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with torch.no_grad():
        assert torch.equal(load_mixture(tmp_path / "large", device="cpu")(IDS, MASK).logits, model(IDS, MASK).logits)
