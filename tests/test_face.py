from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_overloads

import numpy as np
import polars as pl
import pytest

import finsa_moe
from finsa_moe import FinSAError, shipped
from finsa_moe.errors import ConfigError, DataError, MissingExtra, ModelError
from finsa_moe.runtime.prediction import Prediction
from tests.fakes import FakeEngine, fake_finsa

HEAVY = "('torch', 'transformers', 'polars', 'peft', 'sklearn', 'matplotlib', 'rich')"


def test_one_many_and_none() -> None:
    finsa = fake_finsa()
    one = finsa.predict("公告涨")
    assert isinstance(one, Prediction)
    assert (one.sentiment, one.expert) == ("利好", "news")
    assert [p.sentiment for p in finsa.predict(["涨", "跌"])] == ["利好", "利空"]
    assert [p.sentiment for p in finsa.predict(t for t in ("跌", "涨"))] == ["利空", "利好"]
    assert finsa.predict([]) == []
    assert finsa.predict_proba(["涨"]).shape == (1, 3)
    assert [p.sentiment for p in finsa.stream(iter(["涨", "跌"]))] == ["利好", "利空"]
    assert finsa.domains == ("news", "forum")
    assert "fake" in repr(finsa)


def test_polars_frame_comes_back_with_answers() -> None:
    frame = pl.DataFrame({"贴子": ["涨", "公告跌"], "sentiment": ["x", "y"]})
    back = fake_finsa().predict(frame, column="贴子")
    assert back.columns == [
        "贴子", "sentiment", "predicted_sentiment", "confidence", "bearish", "neutral", "bullish", "expert",
        "expert_weight", "weight_news", "weight_forum", "novelty", "truncated", "uncertain",
    ]  # fmt: skip
    assert back["sentiment"].to_list() == ["x", "y"]
    assert back["predicted_sentiment"].to_list() == ["利好", "利空"]
    assert back["expert"].to_list() == ["forum", "news"]
    np.testing.assert_allclose(back.select("bearish", "neutral", "bullish").to_numpy().sum(axis=1), 1, atol=1e-6)
    empty = fake_finsa().predict(frame.clear(), column="贴子")
    assert empty.schema == back.schema


def test_pandas_frame_keeps_its_index() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not among the dependencies")
    frame = pandas.DataFrame({"text": ["涨", "跌"]}, index=[7, 3])
    back = fake_finsa().predict(frame, column="text")
    assert list(back.index) == [7, 3]
    assert list(back["sentiment"]) == ["利好", "利空"]
    with pytest.raises(DataError, match="text 1 is"):
        fake_finsa().predict(pandas.DataFrame({"text": ["涨", None]}), column="text")


@pytest.mark.parametrize(
    ("column", "says"), [(None, "no column= was given"), ("txt", "no column 'txt'.*did you mean 'text'")]
)
def test_a_frame_needs_its_text_column(column: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        fake_finsa().predict(pl.DataFrame({"text": ["涨"]}), column=column)  # type: ignore[call-overload]
    with pytest.raises(DataError, match="for pandas and polars"):
        fake_finsa().predict(["涨"], column="text")  # type: ignore[call-overload]


def test_a_checker_knows_that_one_text_has_one_answer_or_none() -> None:
    known = [each.__annotations__ for each in get_overloads(finsa_moe.FinSA.predict)]
    one = {kinds["errors"]: kinds["return"] for kinds in known if kinds["texts"] == "str"}
    assert one == {"Literal['raise']": "Prediction", "Literal['null']": "Prediction | None"}


def frames() -> list[object]:
    pandas = pytest.importorskip("pandas", reason="pandas is not among the dependencies")
    rows = {"id": [1, 2], "text": ["公告涨", "跌"]}
    return [pl.DataFrame(rows), pandas.DataFrame(rows)]


def test_every_method_takes_a_frames_column() -> None:
    finsa = fake_finsa()
    wanted = finsa.predict_proba(["公告涨", "跌"])
    for frame in frames():
        np.testing.assert_array_equal(finsa.predict_proba(frame, column="text"), wanted)
        assert [p.sentiment for p in finsa.stream(frame, column="text")] == ["利好", "利空"]
        for ask in (finsa.predict_proba, finsa.stream, finsa.explain, finsa.predict):
            with pytest.raises(DataError, match="no column= was given; the frame has id, text"):
                ask(frame)  # type: ignore[operator]
            with pytest.raises(DataError, match=r"no column 'txt'.*did you mean 'text'"):
                ask(frame, column="txt")  # type: ignore[operator]


def test_a_series_is_a_list_and_a_string_is_one_text() -> None:
    finsa = fake_finsa()
    for frame in frames():
        series = frame["text"]  # type: ignore[index]
        assert [p.text for p in finsa.predict(series)] == ["公告涨", "跌"]
        assert [p.text for p in finsa.stream(series)] == ["公告涨", "跌"]
        assert finsa.predict_proba(series).shape == (2, 3)
    assert [p.text for p in finsa.stream("公告涨")] == ["公告涨"]
    np.testing.assert_array_equal(finsa.predict_proba("公告涨"), finsa.predict_proba(["公告涨"]))


@pytest.mark.parametrize(
    "given",
    [pl.LazyFrame({"text": ["涨"]}), pl.DataFrame({"text": ["涨"]}).to_arrow(), {"text": "涨"}, "涨".encode(), 7, None],
    ids=["lazy", "arrow", "dict", "bytes", "int", "None"],
)
def test_what_holds_no_texts_is_one_line_with_the_remedy(given: object) -> None:
    finsa = fake_finsa()
    for ask in (finsa.predict, finsa.predict_proba, finsa.stream, finsa.explain):
        for column in (None, "text"):
            with pytest.raises(DataError, match=rf"texts are a {type(given).__name__}; allowed .*collect") as caught:
                ask(given, column=column)  # type: ignore[operator]
            assert "\n" not in str(caught.value)


def test_explain_takes_a_frames_column() -> None:
    pytest.importorskip("shap", reason="the extra explain is not installed")
    for frame in frames():
        found = fake_finsa().explain(frame, column="text", evaluations=64)
        assert [(one.text, one.sentiment) for one in found] == [("公告涨", "利好"), ("跌", "利空")]


def test_pandas_columns_need_no_names_of_their_own() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not among the dependencies")
    finsa = fake_finsa()
    assert list(finsa.predict(pandas.DataFrame([["涨"], ["跌"]]), column="0")["sentiment"]) == ["利好", "利空"]
    twice = pandas.DataFrame([["涨", "跌"]], columns=["text", "text"])
    with pytest.raises(DataError, match="2 columns 'text'; rename"):
        finsa.predict(twice, column="text")


def test_the_domain_is_named_everywhere() -> None:
    finsa = fake_finsa()
    assert finsa.predict_proba(["涨"], domain="news").tolist() == finsa.predict_proba(["涨"], domain=["news"]).tolist()
    for ask in (finsa.predict, finsa.predict_proba, finsa.stream, finsa.explain):
        with pytest.raises(TypeError, match="positional"):
            ask(["涨"], "news")  # type: ignore[operator]


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


def test_load_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def build(folder: Path, **settings: object) -> FakeEngine:
        asked.update(settings, folder=folder)
        return FakeEngine()

    engine = ModuleType("finsa_moe.model.torch_engine")
    engine.TorchEngine = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    folder = write(tmp_path / "m", config={"model_type": "finsa_moe", "gate": "hard"}, card={"rows": 5})
    finsa = finsa_moe.load(folder, device="cpu", dtype="float32", batch_tokens=99, abstain_below=0.99)
    assert asked == {"folder": folder, "device": "cpu", "dtype": "float32"}
    assert finsa.card == {"model_type": "finsa_moe", "gate": "hard", "rows": 5}
    assert finsa.predictor.batch_tokens == 99
    assert finsa.predict("平").uncertain
    assert finsa_moe.load(str(folder)).predict("涨").sentiment == "利好"
    with pytest.raises(ConfigError, match="abstain_below"):
        finsa_moe.load(folder, abstain_below=2)


def test_what_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    expert = write(tmp_path / "expert")
    (expert / "expert.json").write_text('{"domain": "news"}', encoding="utf-8")
    for path, says in (
        (tmp_path / "none", "does not exist"),
        (file, "is a file, not a folder"),
        (write(tmp_path / "empty"), "no config.json.*copy the whole folder"),
        (expert, f"holds an expert, .*: finsa merge --expert news={expert} --out DIR"),
        (write(tmp_path / "outer" / "moe_joint", config={}).parent, "did you mean .*outer/moe_joint"),
        (write(tmp_path / "cut", config='{"model_type": "fin'), "config.json: damaged.*copy the model folder"),
        (write(tmp_path / "list", config=[1]), "no JSON object but a list"),
        (write(tmp_path / "bert", config={"model_type": "bert"}), "model_type 'bert'"),
        (write(tmp_path / "untyped", config={}), "model_type None"),
    ):
        with pytest.raises(ModelError, match=says) as caught:
            finsa_moe.load(path)
        assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_looked_into_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be looked into \(File name too long\); let this user read it"):
        finsa_moe.load(tmp_path / ("a" * 300))  # an OSError, as where reading is forbidden


def test_a_mixture_without_its_weights_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra train is not installed")
    folder = write(tmp_path / "m", config={"model_type": "finsa_moe", "domains": ["news"]})
    with pytest.raises(FinSAError) as caught:
        finsa_moe.load(folder)
    assert "\n" not in str(caught.value)


def test_the_default_model_has_a_name() -> None:
    assert finsa_moe.load("default").card == finsa_moe.load().card


def test_an_installation_without_a_default_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "MODEL", tmp_path / "default")
    with pytest.raises(ModelError, match=r"no default model.*make demo.*demo/model/moe_joint"):
        finsa_moe.load()
    write(tmp_path / "default", config={"model_type": "other"})
    with pytest.raises(ModelError, match="model_type 'other'"):  # the default folder is looked at once it is there
        finsa_moe.load()


def test_where_training_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named place alone, else the working folder, else the checkout; what none has is one line."""
    monkeypatch.setattr(shipped, "REPOSITORY", tmp_path / "checkout")
    monkeypatch.delenv(shipped.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    checkout = tmp_path / "checkout" / "models" / "default" / "backbone"
    with pytest.raises(ModelError, match="set FINSA_DEFAULT") as caught:
        shipped.weights()
    assert str(caught.value).startswith(f"no backbone in models/default or {checkout.parent};")
    assert "\n" not in str(caught.value)
    checkout.mkdir(parents=True)
    assert shipped.weights() == checkout
    (tmp_path / "models" / "default" / "backbone").mkdir(parents=True)
    assert shipped.weights() == Path("models/default/backbone")
    monkeypatch.setenv(shipped.VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(ModelError, match="elsewhere"):
        shipped.weights()
    (tmp_path / "elsewhere" / "experts" / "news").mkdir(parents=True)
    assert shipped.weights("experts/news") == tmp_path / "elsewhere" / "experts" / "news"


def test_torch_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[train\]'"):
        finsa_moe.load(write(tmp_path / "m", config={"model_type": "finsa_moe"}))


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = f"[m for m in {HEAVY} if m in sys.modules]"
    out = python(f"import sys, finsa_moe; print({loaded}, 'numpy' in sys.modules); finsa_moe.load; print({loaded})")
    assert out.split("\n")[:2] == ["[] False", "[]"]


def test_the_runtime_never_imports_torch() -> None:
    """Every module of the room is imported where importing torch, transformers or polars fails."""
    rooms = [path.stem for path in (Path(finsa_moe.__file__).parent / "runtime").glob("*.py") if path.stem != "export"]
    modules = ", ".join(f"finsa_moe.runtime.{stem}" for stem in sorted(rooms) if stem != "__init__")
    python(f"import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'polars'))); import {modules}")


def test_the_face_names_what_it_has() -> None:
    assert set(finsa_moe.__all__) <= set(dir(finsa_moe))
    assert finsa_moe.__version__ == "0.1.0"
    assert finsa_moe.Polarity(2).chinese == "利好"
    assert all(getattr(finsa_moe, name) is not None for name in finsa_moe.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        finsa_moe.lod  # noqa: B018


@pytest.mark.parametrize("name", ["DataError", "ModelError", "ConfigError", "MissingExtra"])
def test_what_is_to_be_caught_is_in_the_face_and_the_guides_say_so(name: str, tmp_path: Path) -> None:
    assert issubclass(getattr(finsa_moe, name), finsa_moe.FinSAError)
    assert name in finsa_moe.__all__
    for guide in ("guide.md", "guide_cn.md"):
        assert f"`{name}`" in (Path(__file__).parents[1] / "docs" / guide).read_text(encoding="utf-8")
