"""Promises on real texts: the runtime equals the torch mixture (1), nothing round a text matters (2), and nothing reaches
the network (8). On the dev files, skipped where they are absent; the backbone is a trained one, the experts random.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
BACKBONE = ROOT / "models" / "pretrained"
FILES = ("news/dev.csv", "forum/dev.csv", "forum/dev_investors.csv", "forum/dev_finfe.csv")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / FILES[0]).is_file(), reason="../shared/data is not there"),
    pytest.mark.usefixtures("one_thread"),
]

OFFLINE = """
import csv, json, socket, sys
def refuse(*_, **__):
    raise RuntimeError("reached for the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from finsa_moe import load
texts = json.load(sys.stdin)
found = load(sys.argv[1]).predict_proba(texts)
print(json.dumps([found.shape, "torch" in sys.modules]))
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Every fourth text of the dev files."""
    found = []
    for name in FILES:
        with (DATA / name).open(encoding="utf-8", newline="") as file:
            found += [row["text"] for row in csv.DictReader(file)][::4]
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, prepared: Mapping[str, Path]) -> tuple[Any, Any]:
    """A torch mixture over the trained backbone, and its export in float32."""
    from finsa_moe import load
    from finsa_moe.export.export import export_mixture
    from finsa_moe.model.checkpoint import load_tokenizer, save_mixture
    from tests.families import make_mixture

    root = tmp_path_factory.mktemp("real")
    model = make_mixture(BACKBONE, rank=8, max_tokens=128)
    save_mixture(model, root / "mixture", tokenizer=load_tokenizer(BACKBONE))
    export_mixture(root / "mixture", root / "out", precisions=("fp32",), data=dict(list(prepared.items())[:2]))
    return load(root / "mixture", device="cpu", dtype="float32"), load(root / "out", engine="onnxruntime")


def test_the_runtime_equals_the_torch_mixture(pair: tuple[Any, Any], texts: list[str]) -> None:
    torch_form, runtime = pair
    temperatures = runtime.predictor.engine.temperatures
    expected, found = torch_form.predict(texts), runtime.predict(texts)
    same = np.mean([a.sentiment == b.sentiment and a.expert == b.expert for a, b in zip(expected, found, strict=True)])
    assert len(texts) > 800
    assert same >= 0.995
    for before, after in zip(expected, found, strict=True):
        if before.expert == after.expert:
            logits = np.log(list(before.scores.values())) / temperatures[runtime.domains.index(after.expert)]
            wanted = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(list(after.scores.values()), wanted, atol=2e-4)


def test_batch_mates_order_and_padding_change_nothing(pair: tuple[Any, Any], texts: list[str]) -> None:
    runtime = pair[1]
    alone = np.concatenate([runtime.predict_proba([text]) for text in texts[::4]])
    order = np.random.default_rng(5).permutation(len(texts))
    shuffled = np.empty((len(texts), 3), dtype=np.float32)
    shuffled[order] = runtime.predict_proba([texts[at] for at in order])
    np.testing.assert_allclose(shuffled[::4], alone, atol=1e-5)
    np.testing.assert_allclose(runtime.predict_proba(texts)[::4], alone, atol=1e-5)


def test_nothing_reaches_the_network(pair: tuple[Any, Any], texts: list[str]) -> None:
    folder = pair[1].predictor.engine.folder
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(folder)], input=json.dumps(texts[:200]), capture_output=True, text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[200, 3], False]
