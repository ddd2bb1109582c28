from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe import load
from finsa_moe.errors import ConfigError, MissingExtra, ModelError
from finsa_moe.face import FinSA
from finsa_moe.runtime import sessions
from finsa_moe.runtime.predictor import BULK
from tests.conftest import Export
from tests.families import made_rows

TEXTS = [text for domain in ("news", "forum") for text, _ in made_rows(domain, 40, seed=4)]
ENGINES = ("onnxruntime", "openvino")
MEETING = """
import sys, threading
import numpy as np
from finsa_moe.runtime.sessions import open_session
sys.setswitchinterval(1e-6)
run = open_session(open(sys.argv[1], "rb").read(), "openvino", "fp32", 2, "graph")
ids, barrier = np.arange(5, 13)[None], threading.Barrier(8)
def call():
    barrier.wait()
    run(ids, np.ones_like(ids))
threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("met")
"""


@pytest.fixture(scope="module")
def torch_probs(exported: Export) -> dict[str | None, np.ndarray]:
    """The torch mixture's probabilities, uncalibrated: routed and by each expert."""
    torch_mixture = load(exported.mixture, device="cpu", dtype="float32")
    return {domain: torch_mixture.predict_proba(TEXTS, domain=domain) for domain in (None, "news", "forum")}


def opened(exported: Export, engine: str = "onnxruntime", **options: object) -> FinSA:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="the extra fast is not installed")
    return load(exported.folder, engine=engine, **options)  # type: ignore[arg-type]


def uncalibrated(finsa: FinSA) -> FinSA:
    finsa.predictor.engine.temperatures[:] = 1
    return finsa


@pytest.mark.parametrize("engine", ENGINES)
def test_float32_answers_as_the_torch_mixture_does(engine: str, exported: Export, torch_probs: dict) -> None:
    finsa = uncalibrated(opened(exported, engine, dtype="float32"))
    for domain, expected in torch_probs.items():
        np.testing.assert_allclose(finsa.predict_proba(TEXTS, domain=domain), expected, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_bfloat16_stays_near_and_keeps_the_polarity(engine: str, exported: Export, torch_probs: dict) -> None:
    finsa = uncalibrated(opened(exported, engine, dtype="bfloat16"))
    for domain, expected in torch_probs.items():
        found = finsa.predict_proba(TEXTS, domain=domain)
        assert np.abs(found - expected).max() < 0.05
        assert (found.argmax(1) == expected.argmax(1)).mean() > 0.95
    assert not np.array_equal(finsa.predict_proba(TEXTS), torch_probs[None])


def test_the_answer_is_calibrated_and_says_all(exported: Export) -> None:
    config = json.loads((exported.folder / "config.json").read_text(encoding="utf-8"))
    finsa, mixture = opened(exported, dtype="float32"), load(exported.mixture, device="cpu", dtype="float32")
    for answer, plain in zip(finsa.predict(TEXTS), mixture.predict(TEXTS), strict=True):
        assert answer.expert == plain.expert
        heat = config["temperatures"][config["domains"].index(answer.expert)]
        raised = np.array(list(plain.scores.values())) ** (1 / heat)
        np.testing.assert_allclose(list(answer.scores.values()), raised / raised.sum(), atol=1e-5)
        np.testing.assert_allclose(list(answer.expert_weights.values()), list(plain.expert_weights.values()), atol=1e-5)
        assert answer.novelty is not None
        assert 0 <= answer.novelty <= 1
    assert {a.expert for a in finsa.predict(TEXTS)} == {"news", "forum"}


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=30), st.integers(16, 600), st.sampled_from([None, "news"]))
@settings(max_examples=40, deadline=None)
def test_batch_mates_order_padding_and_chunks_change_nothing(
    exported: Export, some: list[str], budget: int, domain: str | None
) -> None:
    alone = {text: load_once(exported).predict([text], domain=domain)[0] for text in set(some)}
    together = load(exported.folder, dtype="float32", engine="onnxruntime", batch_tokens=budget).predict(
        some, domain=domain
    )
    for text, answer in zip(some, together, strict=True):
        assert answer.sentiment == alone[text].sentiment
        assert answer.expert == alone[text].expert
        assert answer.scores == pytest.approx(alone[text].scores, abs=2e-6)


_KEPT: dict[Path, FinSA] = {}


def load_once(exported: Export) -> FinSA:
    if exported.folder not in _KEPT:
        _KEPT[exported.folder] = load(exported.folder, dtype="float32", engine="onnxruntime")
    return _KEPT[exported.folder]


@pytest.mark.parametrize("engine", ENGINES)
def test_sixteen_threads_get_the_answers_of_one(engine: str, exported: Export) -> None:
    finsa = opened(exported, engine, batch_tokens=200)
    expected = finsa.predict_proba(TEXTS)
    with ThreadPoolExecutor(16) as pool:
        parts = [TEXTS[i % 7 :] + TEXTS[: i % 7] for i in range(16)]
        found = list(pool.map(finsa.predict_proba, parts))
    for i, probs in enumerate(found):
        np.testing.assert_allclose(
            np.roll(probs, i % 7, axis=0), expected, atol=2e-5 if engine == "onnxruntime" else 1e-2
        )


def test_threads_whose_first_arrays_meet_in_openvino_do_not_wait_for_ever(exported: Export) -> None:
    """Without care taken, half of such processes hang (`sessions._openvino`); four tries make that one in sixteen."""
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    graph = exported.folder / "trunk.fp32.onnx"
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", MEETING, str(graph)], capture_output=True, text=True, timeout=300)
        assert done.stdout == "met\n", done.stderr


def test_many_texts_go_to_openvino_and_few_to_onnxruntime(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    predictor = load(exported.folder).predictor
    assert predictor.engine_for(BULK - 1).name == "onnxruntime bf16"
    assert predictor.engine_for(BULK).name == "openvino bf16"
    assert predictor.engine_for(BULK) is predictor.engine_for(10 * BULK)
    assert load(exported.folder, engine="onnxruntime").predictor.engine_for(BULK).name == "onnxruntime bf16"
    monkeypatch.setattr("finsa_moe.face.has_openvino", lambda: False)
    assert load(exported.folder).predictor.engine_for(BULK).name == "onnxruntime bf16"


def test_a_process_that_goes_elsewhere_finds_its_graphs(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read when first needed, those of the engine for many texts too."""
    monkeypatch.chdir(exported.folder.parent)
    finsa = load(exported.folder.name)
    monkeypatch.chdir(tmp_path)
    expected = load(exported.folder).predict_proba(TEXTS * 8)
    np.testing.assert_array_equal(finsa.predict_proba(TEXTS * 8), expected)
    assert finsa.predict(TEXTS[0]).text == TEXTS[0]


def test_torch_is_never_imported(exported: Export) -> None:
    script = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'polars', 'sklearn'): sys.modules[name] = None\n"
        "import finsa_moe\n"
        f"finsa = finsa_moe.load({str(exported.folder)!r})\n"
        "print(finsa.predict('主力又跑了').sentiment, len(list(finsa.stream(['涨停'] * 300))))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "300"


@pytest.fixture
def copy(exported: Export, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


def test_a_truncated_graph_is_one_error(copy: Path) -> None:
    graph = copy / "expert0.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"expert0.fp32.onnx: .* bytes, .* expected"):
        load(copy, dtype="float32", engine="onnxruntime").predict(TEXTS[:3], domain="news")


def test_a_graph_of_another_model_is_one_error(copy: Path) -> None:
    graph = copy / "trunk.fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelError, match=r"trunk.fp32.onnx: not the file this folder was exported with"):
        load(copy, dtype="float32", engine="onnxruntime").predict("涨")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_no_engine_reads_is_one_error(engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="the extra fast is not installed")
    with pytest.raises(ModelError, match=f"x.onnx: {engine} cannot load it"):
        sessions.open_session(b"no graph at all", engine, "fp32", 1, "x.onnx")


def test_settings_an_exported_model_does_not_have(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, says in (
        ({"engine": "tensorrt"}, "engine 'tensorrt' is unknown; choose onnxruntime or openvino"),
        ({"dtype": "int8"}, "precision 'int8': this folder holds fp32, bf16"),
        ({"dtype": "float16"}, "dtype 'float16': an exported model knows float32, bfloat16, int8"),
        ({"device": "cuda"}, "an exported model runs on the CPU"),
        ({"threads": 0}, "threads is 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            load(exported.folder, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="torch mixture; engine and threads are for exported models"):
        load(exported.mixture, engine="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[fast\]'"):
        load(exported.folder, engine="openvino")


def test_a_long_text_loses_its_middle_and_says_so(exported: Export) -> None:
    long = TEXTS[0] + "，盘整" * 200 + TEXTS[1]
    first, second = opened(exported).predict([long, TEXTS[0]])
    assert first.truncated
    assert not second.truncated
