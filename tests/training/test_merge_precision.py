"""Experts over one backbone held in different precisions are no experts over one backbone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from finsa_moe.config import MergeConfig
from finsa_moe.errors import ModelError
from finsa_moe.training.merge import merge
from tests.conftest import Trained

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("key", "value"), [("dtype", "bfloat16"), ("quantisation", "nf4")])
@pytest.mark.parametrize("first", ["news", "forum"])
def test_the_first_does_not_decide(
    key: str, value: str, first: str, trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    if (key, first) == ("quantisation", "forum"):
        pytest.importorskip("bitsandbytes")
    experts = trained("bert").experts
    odd = tmp_path / "forum"
    shutil.copytree(experts["forum"], odd)
    facts = json.loads((odd / "expert.json").read_text(encoding="utf-8"))
    facts["backbone"][key] = value
    (odd / "expert.json").write_text(json.dumps(facts), encoding="utf-8")
    both = {"news": experts["news"], "forum": odd}
    given = {first: both[first], **both}
    with pytest.raises(ModelError) as caught:
        merge(given, tmp_path / "m", settings=MergeConfig(), device="cpu")
    told = str(caught.value)
    assert f"{key} {value}" in told
    assert str(experts["news"]) in told
    assert str(odd) in told
    assert told.endswith("retrain one with the other's dtype and quantisation")
    assert not (tmp_path / "m").exists()


def test_an_adapter_that_says_nothing_of_it_is_merged(trained: Callable[[str], Trained], tmp_path: Path) -> None:
    """As plain peft writes it."""
    run, plain = trained("bert"), tmp_path / "plain"
    shutil.copytree(run.experts["forum"], plain)
    (plain / "expert.json").unlink()
    merge({"forum": plain, "news": run.experts["news"]}, tmp_path / "m", settings=MergeConfig(), device="cpu")
