"""Explaining through real engines: the model that ships, a tiny mixture in torch, and its export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import finsa_moe
from finsa_moe.explain.judges import MARKS, Mixture
from finsa_moe.polarity import ENGLISH, Polarity

pytest.importorskip("shap", reason="the extra explain is not installed")
pytest.importorskip("rjieba", reason="the extra explain is not installed")
ROOT = Path(__file__).parents[2]
ODD = ["涨", "😀😭", "It's good, isn't it? NASDAQ +3%", "裡面這隻股票漲停，主力護盤", "。。。", "\u200b 利好\ud800"]


@pytest.fixture(scope="module")
def model() -> finsa_moe.FinSA:
    return finsa_moe.load(engine="onnxruntime")


def adds_up(model: finsa_moe.FinSA, found: Any, hidden: str, tolerance: float) -> None:
    ends = model.predict_proba([found.text, hidden], domain=found.expert)
    np.testing.assert_allclose(found.values.sum(axis=0), ends[0] - ends[1], atol=tolerance)
    assert found.gap < 1e-9


def test_the_default_model_gives_its_reasons(model: finsa_moe.FinSA) -> None:
    found = model.explain("主力又在砸盘,真想割肉走人")
    assert (found.sentiment, found.expert, found.exact) == ("利空", "forum", True)
    assert {word.word for word, _ in found.top(2, Polarity.BEARISH)} == {"砸盘", "割肉"}
    assert all(value > 0.1 for _, value in found.top(2, Polarity.BEARISH))
    assert Mixture(model.predictor).hidden == MARKS[0]
    adds_up(model, found, MARKS[0], 1e-5)
    news = model.explain("北屿医药因信息披露违规被立案调查,股价开盘跌停", evaluations=300)
    assert news.expert == "news"
    assert "跌停" in {word.word for word, _ in news.top(2)}
    assert news.experts["forum"]["bearish"] == pytest.approx(
        float(model.predict_proba([news.text], domain="forum")[0, 0]), abs=1e-5
    )


def test_odd_texts_of_the_default_model(model: finsa_moe.FinSA) -> None:
    for found in model.explain(ODD, evaluations=64):
        adds_up(model, found, MARKS[0], 1e-5)
        assert sum(found.scores.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_long_text_is_read_at_its_ends(model: finsa_moe.FinSA) -> None:
    text = "公司业绩大增。" + "会议讨论了日常事项，" * 200 + "但是股价一字跌停。"
    assert len(text) > 2000
    found = model.explain(text, evaluations=10)
    assert (found.truncated, found.method) == (True, "partition")
    read = [word for word in found.words if word.read]
    assert {"大增", "跌停"} <= {word.word for word in read}
    assert 60 < len(read) < len(found.words) / 2
    inside = [word.read for word in found.words]
    first, last = inside.index(False), len(inside) - inside[::-1].index(False)
    assert not any(inside[first:last])  # one gap, in the middle
    head, tail = text[: found.words[first].start], text[found.words[last].start :]
    encode = model.predictor.engine.encode
    whole = encode([text])[0]
    assert whole.truncated
    shorter = encode([head + tail])[0].ids
    assert len(whole.ids) - 8 <= len(shorter) <= len(whole.ids)
    adds_up(model, found, MARKS[0], 1e-5)


@pytest.mark.slow
def test_the_verb_needs_no_torch() -> None:
    """Nor does shap load its pictures for it, which took a fifth of the start; others may import what they draw by."""
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'polars', 'onnx'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from finsa_moe.cli import main\n"
        "status = main(['explain', '涨停', '--json', '--engine', 'onnxruntime'])\n"
        "assert 'shap' in sys.modules and 'matplotlib' not in sys.modules and 'pyspark' not in sys.modules\n"
        "import matplotlib\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert '"sentiment": "利好"' in done.stdout


@pytest.mark.slow
def test_a_torch_mixture_and_its_export_give_the_same_reasons(exported: Any) -> None:
    torch, graphs = finsa_moe.load(exported.mixture, device="cpu"), finsa_moe.load(exported.folder, dtype="float32")
    for text in ("公司业绩大涨", "股价跌停,主力出货"):
        one, other = torch.explain(text, evaluations=64), graphs.explain(text, evaluations=64)
        assert (one.expert, [w.word for w in one.words]) == (other.expert, [w.word for w in other.words])
        adds_up(torch, one, Mixture(torch.predictor).hidden, 1e-5)
        # the export divides the expert's logits by its temperature; before that the two answer alike
        temperature = graphs.predictor.engine.temperatures[torch.domains.index(one.expert)]
        for mine, theirs in ((one.scores, other.scores), (one.base, other.base)):
            powers = np.array([mine[name] for name in ENGLISH]) ** (1 / temperature)
            np.testing.assert_allclose([theirs[name] for name in ENGLISH], powers / powers.sum(), atol=1e-4)


@pytest.mark.slow
def test_a_soft_gate_is_held(exported: Any) -> None:
    """All experts speak with the weights of the whole text, in every coalition: asked here of the network itself."""
    from itertools import product

    import torch

    from finsa_moe.face import FinSA
    from finsa_moe.model.torch_engine import TorchEngine
    from finsa_moe.runtime.predictor import Predictor
    from tests.explain.test_shapley import by_enumeration

    engine = TorchEngine(exported.mixture, device="cpu", gate="soft")
    model, text = FinSA(Predictor(engine)), "公司业绩大涨 跌停"
    found, answer = model.explain(text), model.predict(text)
    assert found.soft
    assert found.scores == pytest.approx(answer.scores, abs=1e-5)
    assert min(answer.expert_weights.values()) > 1e-4
    gate, hidden = torch.tensor([list(answer.expert_weights.values())]), Mixture(model.predictor).hidden
    worth = {}
    for mask in product((False, True), repeat=len(found.words)):
        parts: list[str] = []
        for seen, word in zip(mask, found.words, strict=True):
            parts += [text[word.start : word.end]] if seen else [hidden] if not parts or parts[-1] != hidden else []
        ids = torch.tensor([engine.encode(["".join(parts)])[0].ids])
        with torch.no_grad():
            worth[mask] = engine.model(ids, experts=gate).logits[0].softmax(-1).double().numpy()
    np.testing.assert_allclose(found.values, by_enumeration(len(found.words), worth), atol=1e-5)
    one = model.explain(text, domain=found.expert)
    assert not one.soft
    assert np.abs(one.values - found.values).max() > 1e-5
