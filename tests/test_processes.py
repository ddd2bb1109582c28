"""A loaded model that goes to another process, as joblib, dask and pools send it: by the arguments of `load`."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import finsa_moe
from finsa_moe import face, shipped
from finsa_moe.errors import ConfigError
from tests.fakes import fake_finsa

TEXTS = ["公司净利润同比增长三成", "又跌了,主力跑了", "下周三召开股东大会"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing was sent here before."""
    face._opened.cache_clear()
    yield
    face._opened.cache_clear()


def test_a_model_that_was_sent_answers_the_same() -> None:
    model = finsa_moe.load(engine="onnxruntime", threads=1, abstain_below=0.9)
    sent = pickle.dumps(model)
    assert len(sent) < 1_000
    found = pickle.loads(sent)
    assert found is not model
    assert repr(found) == repr(model)
    assert found.card == model.card
    np.testing.assert_array_equal(found.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert [a.uncertain for a in found.predict(TEXTS)] == [a.uncertain for a in model.predict(TEXTS)]
    assert pickle.loads(sent) is found  # a pool sends it with each task
    ask, answer = pickle.loads(pickle.dumps((model.predict_proba, model.predict(TEXTS[0]))))
    np.testing.assert_array_equal(ask(TEXTS), model.predict_proba(TEXTS))
    assert answer.text == TEXTS[0]


def test_a_folder_is_sent_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped.model(), tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    model = finsa_moe.load("model", threads=1)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert str(tmp_path).encode() in pickle.dumps(model)
    assert str(shipped.MODEL).encode() not in pickle.dumps(finsa_moe.load(threads=1))  # the package of that process


def test_a_model_of_an_engine_in_memory_is_not_sent() -> None:
    with pytest.raises(ConfigError, match=r"cannot go to another process; call finsa_moe\.load there") as told:
        pickle.dumps(fake_finsa())
    assert "\n" not in str(told.value)


@pytest.mark.slow
def test_a_pool_of_other_processes_answers(tmp_path: Path) -> None:
    script = tmp_path / "pooled.py"
    script.write_text(
        "from multiprocessing import get_context\nimport finsa_moe\n"
        "if __name__ == '__main__':\n"
        "    model = finsa_moe.load(threads=1)\n"
        "    with get_context('spawn').Pool(2) as pool:\n"
        f"        found = pool.map(model.predict, [[text] for text in {TEXTS!r}], chunksize=1)\n"
        f"    alone = [model.predict([text]) for text in {TEXTS!r}]  # batch mates may move a last digit\n"
        "    assert [a.scores for [a] in found] == [a.scores for [a] in alone]\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
