from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.data import samples
from finsa_moe.data.reading.read import read_frame
from finsa_moe.errors import ConfigError
from finsa_moe.evaluation.baselines import Baseline, make, names
from finsa_moe.evaluation.metrics import score
from finsa_moe.polarity import NAMES

# macro-F1 above majority that each must reach on the packaged sample, stated in docs/baselines.md
MARGINS = {
    "lexicon": 0.50, "lexicon?softmax=fixed": 0.50, "tfidf-lr": 0.50, "tfidf-svm": 0.50, "fasttext": 0.50,
    "textcnn": 0.30, "bilstm": 0.30,
}  # fmt: skip
FAST = ("lexicon", "lexicon?softmax=fixed", "tfidf-svm")


@cache
def split() -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    """Four fifths of the sample to learn from, one to be judged by."""
    frames = [read_frame(samples.path(domain)) for domain in samples.DOMAINS]
    texts = [text for frame in frames for text in frame["text"]]
    truth = np.array([NAMES.index(label) for frame in frames for label in frame["label"]])
    order = np.random.default_rng(0).permutation(len(texts))
    cut = len(texts) // 5
    test, train = order[:cut], order[cut:]
    return [texts[i] for i in train], truth[train], [texts[i] for i in test], truth[test]


def reached(spec: str) -> float:
    texts, truth, others, wanted = split()
    return score(wanted, make(spec).fit(texts, truth, seed=13).predict_proba(others)).macro_f1


@pytest.mark.parametrize("spec", [pytest.param(s, marks=() if s in FAST else pytest.mark.slow) for s in MARGINS])
def test_beats_majority_on_the_sample(spec: str) -> None:
    assert reached(spec) > reached("majority") + MARGINS[spec]


def test_unknown_names_and_options() -> None:
    with pytest.raises(ConfigError, match=r"unknown name 'tfidf-rl'.*did you mean 'tfidf-lr'"):
        make("tfidf-rl")
    with pytest.raises(ConfigError, match="takes none"):
        make("majority?seed=3")
    with pytest.raises(ConfigError, match="softmax 'warm' is none of fitted, fixed"):
        make("lexicon?softmax=warm")
    with pytest.raises(ConfigError, match="write hf:WHAT"):
        make("hf")
    with pytest.raises(ConfigError, match="takes nothing after a colon"):
        make("textcnn:x")


def test_more_models_by_name() -> None:
    from finsa_moe.evaluation.baselines.majority import Majority

    also: dict[str, Callable[..., Baseline]] = {"mine": lambda spec: Majority()}
    assert isinstance(make("mine", also), Majority)
    assert names(also)[-1] == "mine"
    with pytest.raises(ConfigError, match="unknown name 'mine'"):
        make("mine")


def test_naming_a_baseline_loads_only_what_it_needs(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom finsa_moe.evaluation.baselines import make\n"
        "make('majority'), make('lexicon?softmax=fixed'), make('llm:m@http://127.0.0.1:9')\n"
        "print(sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "FINSA_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("spec", "module"),
    [("tfidf-lr", "sklearn"), ("textcnn", "torch"), ("hf:x", "transformers"), ("lexicon", "sklearn")],
)
def test_a_missing_extra_is_named(spec: str, module: str) -> None:
    script = (
        f"import sys\nsys.modules[{module!r}] = None\nfrom finsa_moe.evaluation.baselines import make\n"
        f"from finsa_moe.errors import MissingExtra\ntry: make({spec!r})\nexcept MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install '.[train]'" in done.stdout


def test_the_document_names_what_there_is_and_its_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from finsa_moe.evaluation.baselines.llm import _OPTIONS
    from finsa_moe.evaluation.baselines.prompts import families
    from finsa_moe.training.contestants import contestants
    from tests.documented import ROOT, blocks

    text = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    for name in names(contestants(lambda: ROOT)):
        assert re.search(rf"`{name}[`:\[]", text), name
    for option in (*_OPTIONS, *families()):
        assert f"`{option}`" in text, option
    (body,) = blocks(ROOT / "docs" / "baselines.md", "python")
    exec(compile(body, "baselines.md", "exec"), {})
    shares = [float(number) for number in re.findall(r"[0-9.]+", capsys.readouterr().out)]
    assert len(shares) == 3
    assert shares[2] == max(shares)
