from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.runtime.folder import File, GraphSet, Manifest


def manifest(folder: Path) -> Manifest:
    for name in ("trunk.onnx", "a.onnx", "b.onnx", "tokenizer.json"):
        (folder / name).write_bytes(name.encode() * 10)
    trunk, first, second, tokenizer = (
        File.of(folder / n) for n in ("trunk.onnx", "a.onnx", "b.onnx", "tokenizer.json")
    )
    return Manifest(
        domains=("news", "forum"), prompt="none", max_tokens=64, pad_id=0, temperatures=(1.0, 1.5),
        graphs={"int8": GraphSet(trunk, (first, second)), "bf16": GraphSet(trunk, (second, first))}, tokenizer=tokenizer,
    )  # fmt: skip


def raw(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def test_saved_and_read_it_is_the_same(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    made.save(tmp_path)
    assert Manifest.parse(raw(tmp_path), tmp_path) == made
    assert made.tokenizer.read(tmp_path) == b"tokenizer.json" * 10


def test_a_changed_file_is_told_apart_by_what_is_wrong_with_it(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    trunk = tmp_path / "trunk.onnx"
    whole = trunk.read_bytes()
    trunk.write_bytes(whole[:-7])
    with pytest.raises(ModelError, match=r"trunk.onnx: 93 bytes, 100 expected.*cut short.*finsa export"):
        made.graphs["int8"].trunk.read(tmp_path)
    trunk.write_bytes(whole[:-1] + b"!")
    with pytest.raises(ModelError, match=r"trunk.onnx: not the file this folder was exported with"):
        made.graphs["int8"].trunk.read(tmp_path)
    trunk.unlink()
    with pytest.raises(ModelError, match=r"trunk.onnx: No such file"):
        made.graphs["int8"].trunk.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "format 99, this version reads 1"),
        ({"graphs": None}, "damaged"),
        ({"graphs": {}}, "do not match"),
        ({"temperatures": [1.0]}, "do not match"),
        ({"domains": ["news"]}, "do not match"),
        ({"tokenizer": {"file": "x"}}, "damaged"),
    ],
)
def test_a_damaged_manifest_is_one_error(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    manifest(tmp_path).save(tmp_path)
    with pytest.raises(ModelError, match=says):
        Manifest.parse({**raw(tmp_path), **change}, tmp_path)


def test_each_engine_takes_what_it_does_best(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    assert made.precision_for("onnxruntime", None) == "int8"
    assert made.precision_for("openvino", None) == "bf16"
    assert made.precision_for("openvino", "int8") == "int8"
    with pytest.raises(ConfigError, match=r"precision 'fp32'.*int8, bf16"):
        made.precision_for("onnxruntime", "fp32")
