from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from finsa_moe.cli import main
from finsa_moe.data.marks import Noted
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.export import graphs
from finsa_moe.export.export import export_mixture
from finsa_moe.export.known import Known
from finsa_moe.export.parity import LOSS, SAME
from finsa_moe.export.quantise import quantised
from finsa_moe.export.rows import PROVED
from finsa_moe.export.sources import Sources, trained_on
from finsa_moe.export.split import Expert, Trunk
from finsa_moe.export.tuned import Earlier
from finsa_moe.runtime.sessions import open_session
from tests.conftest import Export, Trained
from tests.families import make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]


def test_the_folder_says_what_was_measured(exported: Export) -> None:
    report = json.loads((exported.folder / "export.json").read_text(encoding="utf-8"))
    for name, parity in report["parity"].items():
        assert parity["texts"] >= PROVED, name
        assert parity["same"] >= SAME
        assert parity["lost"] <= LOSS
        assert parity["labelled"] == 48
    assert "onnxruntime fp32" in report["parity"]
    assert report["parity"]["onnxruntime fp32"]["largest"] < 1e-5 < report["parity"]["onnxruntime bf16"]["largest"]
    assert set(report["calibration"]) == {"news", "forum"}
    names = {file.name for file in exported.folder.iterdir()}
    assert names == {
        "config.json", "export.json", "tokenizer.json", "novelty.onnx", "novelty.safetensors", "single.onnx",
        *(f"{part}.{p}.onnx" for part in ("trunk", "expert0", "expert1") for p in ("fp32", "bf16")),
    }  # fmt: skip


def test_bfloat16_is_half_the_size_and_rounds_as_torch_does(exported: Export) -> None:
    import onnx
    from onnx import numpy_helper

    size = {p: (exported.folder / f"trunk.{p}.onnx").stat().st_size for p in ("fp32", "bf16")}
    assert size["bf16"] < 0.62 * size["fp32"]
    wide = {w.name: w for w in onnx.load(exported.folder / "trunk.fp32.onnx").graph.initializer}
    short = [w for w in onnx.load(exported.folder / "trunk.bf16.onnx").graph.initializer if w.name.endswith(".bf16")]
    assert short
    for weight in short:
        exact = torch.from_numpy(numpy_helper.to_array(wide[weight.name.removesuffix(".bf16")]).copy())
        found = torch.frombuffer(bytearray(weight.raw_data), dtype=torch.bfloat16).view(exact.shape)
        assert torch.equal(found, exact.to(torch.bfloat16))


def test_no_graph_knows_where_it_was_made(exported: Export) -> None:
    for file in exported.folder.glob("*.onnx"):
        content = file.read_bytes()
        assert str(Path(torch.__file__).parent).encode() not in content
        assert b"forward" not in content


def test_the_example_without_arguments_says_what_it_takes() -> None:
    script = Path(__file__).parents[2] / "examples" / "onnx_only.py"
    for words in ([], ["folder"]):
        done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "usage: python examples/onnx_only.py DIR TEXT...\n")


@pytest.mark.slow
def test_eight_bits_stay_near_and_batch_mates_do_not_matter(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("modernbert"))
    trunk, expert = Trunk(model), Expert(model, 0)
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(4, 20, dtype=torch.int64)
    with torch.no_grad():
        inputs = [trunk(torch.randint(5, 300, (4, 20), generator=generator), mask)[0] for _ in range(8)]
        expected = expert(inputs[0], mask)[0].numpy()
    traced = graphs.trace(expert, (inputs[0], mask), ("hidden", "mask"), ("logits", "state"))
    graph = quantised(traced, [{"hidden": x.numpy(), "mask": mask.numpy()} for x in inputs])
    run = open_session(graph.SerializeToString(), "onnxruntime", "int8", 1, "x")
    found = run(inputs[0].numpy(), mask.numpy())[0]
    error, spread = np.abs(found - expected).max(), expected.std()
    assert 1e-5 < error < 0.25 * spread
    loud = inputs[0].clone()
    loud[1:] *= 50  # a batch mate that would stretch a range taken from the batch
    np.testing.assert_allclose(run(loud.numpy(), mask.numpy())[0][0], found[0], atol=1e-6)


@pytest.mark.slow
def test_narrowing_products_may_be_left_out_of_the_eight_bits(backbone_of: Backbones) -> None:
    """Of the two layers' products the feed-forward part's second and the head narrow; the error shrinks."""
    model = make_mixture(backbone_of("modernbert"))
    trunk, expert = Trunk(model), Expert(model, 0)
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(4, 20, dtype=torch.int64)
    with torch.no_grad():
        inputs = [trunk(torch.randint(5, 300, (4, 20), generator=generator), mask)[0] for _ in range(8)]
        expected = expert(inputs[0], mask)[0].numpy()
    traced = graphs.trace(expert, (inputs[0], mask), ("hidden", "mask"), ("logits", "state"))
    given = [{"hidden": x.numpy(), "mask": mask.numpy()} for x in inputs]
    errors, short = [], []
    for spare in (False, True):
        graph = quantised(traced, given, spare=spare)
        run = open_session(graph.SerializeToString(), "onnxruntime", "int8", 1, "x")
        errors.append(float(np.abs(run(given[0]["hidden"], given[0]["mask"])[0] - expected).max()))
        short.append({tuple(w.dims) for w in graph.graph.initializer if len(w.dims) == 2 and w.data_type == 3})
    assert errors[1] < errors[0]
    assert any(rows > columns for rows, columns in short[0])
    assert short[1]
    assert not any(rows > columns for rows, columns in short[1])


@pytest.mark.slow
def test_an_export_that_answers_otherwise_fails_and_leaves_nothing(
    exported: Export, tmp_path: Path, prepared: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = graphs.write

    def spoil(graph, path, precision, examples=None, spare=False):  # type: ignore[no-untyped-def]
        if "expert1" in path.name:
            for weight in graph.graph.initializer:
                if weight.name == "bias":
                    weight.raw_data = np.array([9, 0, 0], dtype=np.float32).tobytes()
        write(graph, path, precision, examples, spare)

    monkeypatch.setattr(graphs, "write", spoil)
    with pytest.raises(ModelError, match=r"fp32 does not answer as the mixture does.*keep their polarity.*line \d+"):
        export_mixture(exported.mixture, tmp_path / "out", precisions=("fp32",), data=dict(list(prepared.items())[:2]))
    assert list(tmp_path.iterdir()) == []


def test_a_mixture_remembers_what_it_was_trained_on(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path]
) -> None:
    assert trained_on(trained("modernbert").joint) == Sources({name: prepared[name] for name in ("news", "forum")}, {})


def noting(mixture: Path, copy: Path, data: Mapping[str, object]) -> Path:
    """A copy of a mixture that was trained on these."""
    shutil.copytree(mixture, copy)
    (copy / "metrics.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return copy


def test_another_folder_of_the_same_name_is_not_taken(
    exported: Export, prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths stand as typed: from elsewhere they lead nowhere, or to rows that the mixture never saw."""
    for domain in ("news", "forum"):
        shutil.copytree(prepared[domain], tmp_path / "here" / "data" / domain)
    monkeypatch.chdir(tmp_path / "here")
    notes = {name: Noted.of(Path("data") / name).as_dict() for name in ("news", "forum")}
    model = noting(exported.mixture, tmp_path / "m", notes)
    assert not trained_on(model).lost
    shutil.copytree(prepared["notices"], tmp_path / "there" / "data" / "news")
    monkeypatch.chdir(tmp_path / "there")
    found = trained_on(model)
    assert found == Sources({}, {"news": "data/news (other rows now)", "forum": "data/forum (no such folder here)"})
    both = "--data news=FOLDER --data forum=FOLDER"
    assert found.complaint(Earlier()) == (
        "missing training rows: news=data/news (other rows now), forum=data/forum (no such folder here); the export has "
        f"no calibration of news, forum and no novelty score; to mend that: {both}"
    )
    kept = Earlier(temperatures={"news": 1.0})
    assert "no calibration of forum and no novelty" in str(found.complaint(kept))
    known = Known.load(exported.folder)
    assert known is not None
    assert found.complaint(Earlier(temperatures={"news": 1.0, "forum": 1.0}, known=known)) is None
    older = noting(exported.mixture, tmp_path / "older", {"news": "data/news"})  # which noted the path alone
    assert trained_on(older) == Sources({"news": Path("data/news")}, {})


def test_settings_are_checked_before_the_work(exported: Export, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        export_mixture(exported.mixture, tmp_path)
    with pytest.raises(ConfigError, match="precision 'int4' is unknown; choose among fp32, bf16, int8"):
        export_mixture(exported.mixture, tmp_path / "o", precisions=("int4",))


@pytest.mark.slow
def test_the_command_without_data_says_what_is_missing(
    exported: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = noting(exported.mixture, tmp_path / "m", {name: f"data/{name}" for name in ("news", "forum")})
    assert main(["export", str(model), "--out", str(tmp_path / "o"), "--precision", "fp32"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith(
        "missing training rows: news=data/news (no such folder here), forum=data/forum (no such folder"
    )
    assert err.splitlines()[0].endswith("to mend that: --data news=FOLDER --data forum=FOLDER")
    assert "1,000" in out
    assert "100.00 %" in out
    assert "not calibrated, no novelty" in out
    assert main(["predict", "--model", str(tmp_path / "o"), "净利翻倍"]) == 0
    assert "净利翻倍" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "roberta", "qwen3", "llama", "glm4"])
def test_other_families(family: str, backbone_of: Backbones, tmp_path: Path, prepared: Mapping[str, Path]) -> None:
    from tests.families import save_routing_both_ways

    save_routing_both_ways(tmp_path / "m", backbone_of(family), route_at=0.5)
    made = export_mixture(tmp_path / "m", tmp_path / "o", precisions=("fp32",), data={"news": prepared["news"]})
    assert made.parities["onnxruntime fp32"].largest < 1e-4


def test_without_torch_the_command_names_the_extra() -> None:
    script = "import sys\nsys.modules['torch'] = None\nfrom finsa_moe.cli import main\nsys.exit(main(['export', 'm', '--out', 'o']))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install '.[train]'" in done.stderr
