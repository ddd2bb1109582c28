"""What is a folder and what a hub name, and that a hub out of reach is said in one line, at once."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from finsa_moe import hub
from finsa_moe.errors import ModelError
from finsa_moe.evaluation.baselines import make
from finsa_moe.model import backbone
from finsa_moe.model.backbone import check_backbone, load_backbone, load_tokenizer

LOADERS: dict[str, Callable[[str], Any]] = {
    "backbone": lambda name: load_backbone(name, device="cpu"),
    "check": check_backbone,
    "tokenizer": load_tokenizer,
    "classifier": lambda name: make(f"hf:{name}"),
}


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("demo/backbone", False), ("Qwen/Qwen3-8B", False), ("bert-base-chinese", False), ("there", True),
        ("there/none", True), ("weights.bin", True), ("models/default/backbone", True), ("./demo/backbone", True),
        ("../demo", True), ("/demo", True), ("~/demo", True), ("demo/", True), ("C:\\demo", True), ("模型/甲", True),
        ("demo//backbone", True),
    ],
)  # fmt: skip
def test_a_plain_rule_tells_a_folder_from_a_hub_name(
    name: str, folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "weights.bin").touch()
    assert hub.is_folder(name) == folder


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", None), ("config.json", b"[]"), ("config.json", b"5"), ("config.json", b"{}"),
        ("config.json", b"\xff\xfe"), ("config.json", b'{"model_type": "none such"}'),
        ("config.json", b'{"model_type": "bert", "hidden_act": "none such"}'),
        ("config.json", b'{"model_type": "bert", "hidden_size": "wide"}'),
        ("config.json", b'{"model_type": "bert", "num_attention_heads": 0}'), ("model.safetensors", None),
        ("model.safetensors", b""), ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        ("tokenizer.json", b""), ("tokenizer.json", b"[]"), ("tokenizer.json", b"{}"), ("tokenizer.json", b"\xff"),
        ("tokenizer.json", b'{"added_tokens": [], "model": "none such"}'), ("tokenizer_config.json", b"[]"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_told_in_a_line_whatever_kind_of_error_a_library_makes_of_it(
    file: str, content: bytes | None, backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """TypeError, KeyError, AttributeError, ZeroDivisionError, ValueError, OSError, safetensors' own, and plain Exception."""
    folder = tmp_path / "b"
    shutil.copytree(backbone_of("bert"), folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        (load_tokenizer if file.startswith("tokenizer") else LOADERS["backbone"])(str(folder))
    assert "\n" not in str(caught.value)


def test_a_mistake_of_ours_is_no_missing_model(
    backbone_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(backbone_of("bert"))
    monkeypatch.setattr(backbone, "AutoConfig", None)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'from_pretrained'"):
        check_backbone(folder)
    monkeypatch.delattr(backbone, "AutoTokenizer")
    with pytest.raises(NameError, match="AutoTokenizer"):
        load_tokenizer(folder)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are asked for; none is found, as without a network."""
    hosts: list[str] = []

    def nobody(host: str, *_: Any, **__: Any) -> Any:
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    return hosts


@pytest.mark.parametrize("loader", LOADERS)
def test_a_hub_out_of_reach_is_not_asked_again_and_one_line_says_so(loader: str, asked: list[str]) -> None:
    with pytest.raises(ModelError, match=r"nobody/none-such.*no such folder here, and http://hub\.invalid cannot be"):
        LOADERS[loader]("nobody/none-such")
    assert len(asked) <= 2, "no retries; now and then huggingface_hub asks for a list of its own as well"


@pytest.mark.parametrize("loader", LOADERS)
def test_a_folder_is_never_asked_for(loader: str, asked: list[str], tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "models/none/such"):
        with pytest.raises(ModelError, match="no such folder") as caught:
            LOADERS[loader](name)
        assert "\n" not in str(caught.value)
    assert asked == []


@pytest.mark.parametrize("loader", LOADERS)
def test_offline_mode_is_heeded(loader: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"no such folder here, and HF_HUB_OFFLINE is set\); give a local folder"):
        LOADERS[loader]("nobody/none-such")
    assert asked == []


def test_what_the_hub_gave_before_is_found_without_it(
    asked: list[str], backbone_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "models--nobody--kept"
    shutil.copytree(backbone_of("bert"), kept / "snapshots" / ("0" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert load_backbone("nobody/kept", device="cpu").config.model_type == "bert"
    assert load_tokenizer("nobody/kept").pad_token_id == 0
    assert len(asked) <= 3


def test_a_hub_that_answers_is_asked(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "out_of_reach", lambda: None)
    with hub.found("nobody/none-such", "x", "y") as here:
        assert not here
    with pytest.raises(ModelError, match=r"^x \(401 Unauthorized\); give a local folder, or a hub name"):  # noqa: SIM117
        with hub.found("nobody/none-such", "x", "y"):
            raise OSError("401 Unauthorized\nand a page of advice")
