"""Forked children answer, whatever the parent's threads and engines were doing."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import pytest

from finsa_moe.runtime import sessions
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
MANY = """
import multiprocessing, os, sys
import finsa_moe
texts = [f"净利润增长{n}%" for n in range(300)]
model = finsa_moe.load()
before = model.predict_proba(texts).tobytes()
def answer():
    os._exit(0 if model.predict_proba(texts).tobytes() == before else 3)
def forget():
    global model
    del model
    os._exit(0)
for what in (answer, forget):
    child = multiprocessing.get_context("fork").Process(target=what)
    child.start()
    child.join(60)
    print(child.exitcode)
    child.kill()
"""


def test_a_child_of_a_parent_that_answered_many_texts() -> None:
    """By the engine for many texts, whose threads the child lacks; a child that lets the model go ends well too."""
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0", "0"], done.stderr


def test_a_child_of_a_parent_that_was_opening_a_graph() -> None:
    """The lock round OpenVINO's first array is the child's own."""
    with sessions._FIRST.lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process = multiprocessing.get_context("fork").Process(
            target=lambda: os._exit(0 if sessions._FIRST.lock.acquire(timeout=10) else 3)
        )
        process.start()
    process.join(60)
    assert process.exitcode == 0


def test_a_child_of_a_parent_that_was_opening_an_engine() -> None:
    opening, go = threading.Event(), threading.Event()

    def slowly() -> FakeEngine:
        opening.set()
        assert go.wait(60)
        return FakeEngine()

    predictor = Predictor(FakeEngine(), bulk=slowly)
    thread = threading.Thread(target=predictor.engine_for, args=(1_000,))
    thread.start()
    assert opening.wait(60)

    def child() -> None:
        go.set()
        os._exit(0 if predictor.engine_for(1_000) is not predictor.engine else 3)

    with warnings.catch_warnings():  # from Python 3.12 on a fork beside threads is warned of
        warnings.simplefilter("ignore", DeprecationWarning)
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(60)
    try:
        assert process.exitcode == 0
    finally:
        process.kill()
        go.set()
        thread.join()
