"""A table of n-grams that a folder notes has to be there; a folder of before the note is read as it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "runs"))
import tables

from finsa_moe.config import MergeConfig
from finsa_moe.data.ngrams import EXPERT_TABLE, ROUTER_TABLE, NGrams, text_keys
from finsa_moe.errors import ModelError
from finsa_moe.files import read_json
from finsa_moe.model import growth
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.checkpoint import load_mixture, save_mixture
from finsa_moe.training.merge import merge
from tests.families import make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
DOMAINS = ("news", "forum")
TABLES = [f"experts/news/{EXPERT_TABLE}", ROUTER_TABLE]


def table(classes: int) -> NGrams:
    keys = np.unique(text_keys(["涨停跌停"])[0])
    weights = np.random.default_rng(5).normal(size=(len(keys), classes))
    return NGrams.rounded(keys, np.ones(len(keys)), weights, np.zeros(classes))


@pytest.fixture
def mixture(backbone_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """News and the router have a table, forum has none."""
    model = make_mixture(backbone_of("bert"), DOMAINS)
    model.ngrams[0], model.router_ngrams = table(3), table(2)
    save_mixture(model, tmp_path / "m", tokenizer=load_tokenizer(backbone_of("bert")))
    return tmp_path / "m"


def notes(mixture: Path) -> list[object]:
    experts = [read_json(mixture / "experts" / name / "expert.json").get("ngrams") for name in DOMAINS]
    return [*experts, read_json(mixture / "config.json").get("router_ngrams")]


def note(file: Path, **values: object) -> None:
    file.write_text(json.dumps(read_json(file) | values), encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_a_mixture_that_lost_a_table_is_no_mixture(mixture: Path, name: str) -> None:
    assert notes(mixture) == [True, False, True]
    load_mixture(mixture, device="cpu")
    (mixture / name).unlink()
    with pytest.raises(ModelError, match=rf"m/{name}: missing; restore the table of n-grams from where"):
        load_mixture(mixture, device="cpu")


def test_an_expert_that_lost_its_table_is_not_merged(mixture: Path, tmp_path: Path) -> None:
    experts = {name: mixture / "experts" / name for name in DOMAINS}
    (mixture / TABLES[0]).unlink()
    with pytest.raises(ModelError, match=rf"{TABLES[0]}: missing"):
        merge(experts, tmp_path / "merged", settings=MergeConfig(), device="cpu")
    assert not (tmp_path / "merged").exists()


def test_a_folder_without_notes_is_read_as_it_is(mixture: Path) -> None:
    note(mixture / "experts" / "news" / "expert.json", ngrams=None)
    note(mixture / "config.json", router_ngrams=None)
    whole = load_mixture(mixture, device="cpu")
    assert whole.ngrams[0] is not None
    assert whole.router_ngrams is not None
    for name in TABLES:
        (mixture / name).unlink()
    bare = load_mixture(mixture, device="cpu")
    assert (bare.ngrams, bare.router_ngrams) == ([None, None], None)


def test_a_mixture_left_with_one_domain_notes_no_table_of_the_router(mixture: Path, tmp_path: Path) -> None:
    growth.remove(mixture, tmp_path / "one", "forum", None)
    left = load_mixture(tmp_path / "one", device="cpu")
    assert left.ngrams[0] is not None
    assert left.router_ngrams is None
    (mixture / ROUTER_TABLE).unlink()
    with pytest.raises(ModelError, match=rf"m/{ROUTER_TABLE}: missing"):
        growth.remove(mixture, tmp_path / "two", "forum", None)


def test_tables_made_for_a_finished_mixture_are_noted(
    mixture: Path, prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mixture / "metrics.json").write_text("{}", encoding="utf-8")
    for name in TABLES:
        (mixture / name).unlink()
    rows = [f"{name}={prepared[name]}" for name in DOMAINS]
    monkeypatch.setattr(sys, "argv", ["tables", str(mixture), str(tmp_path / "out"), *rows])
    tables.main()
    assert notes(tmp_path / "out") == [True, True, True]
    load_mixture(tmp_path / "out", device="cpu")
