"""A further domain in a mixture with tables of n-grams: with a table of its own or without, in torch and exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.config import DomainConfig
from finsa_moe.data.ngrams import EXPERT_TABLE, ROUTER_TABLE, NGrams
from finsa_moe.export.export import export_mixture
from finsa_moe.face import load
from finsa_moe.runtime.sessions import has_openvino
from finsa_moe.training.domains import add_domain
from finsa_moe.training.ngrams import fit, fit_router
from tests.conftest import DOMAINS
from tests.families import made_rows, save_routing_both_ways, write_rows
from tests.training.test_domains import FAST

pytestmark = pytest.mark.usefixtures("one_thread")
NEW = "notices"
EVERY = (*DOMAINS, NEW)
TEXTS = [text for domain in EVERY for text, _ in made_rows(domain, 60, seed=11)]


@pytest.fixture(scope="module")
def source(backbone_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two experts; each has a table, and so has the router."""
    root = tmp_path_factory.mktemp("tables")
    folder = root / "moe"
    save_routing_both_ways(folder, backbone_of("modernbert"))
    rows = {domain: made_rows(domain, 150, seed=4) for domain in DOMAINS}
    for domain, own in rows.items():
        write_rows(root / f"{domain}.csv", own, domain)
        table = fit([text for text, _ in own], [label for _, label in own], 300)
        assert table is not None
        table.write(folder / "experts" / domain / EXPERT_TABLE)
    texts = [text for own in rows.values() for text, _ in own]
    router = fit_router(texts, np.repeat([0, 1], 150).tolist(), 300, experts=2)
    assert router is not None
    router.scaled(0.25).write(folder / ROUTER_TABLE)
    return folder


@pytest.fixture(scope="module")
def grown(
    source: Path, prepared: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], tuple[Path, list[str]]]:
    """The mixture with a third expert whose table has at most so many n-grams, and what was said meanwhile."""
    made: dict[int, tuple[Path, list[str]]] = {}

    def get(most: int) -> tuple[Path, list[str]]:
        if most not in made:
            out, told = tmp_path_factory.mktemp("grown"), list[str]()
            settings = DomainConfig.load(None, [*FAST, "taken=0.2", f"ngrams={most}"])
            replay = {domain: source.parent / f"{domain}.csv" for domain in DOMAINS}
            add_domain(source, NEW, prepared[NEW], out, settings=settings, device="cpu", replay=replay, say=told.append)
            made[most] = out / "moe", told
        return made[most]

    return get


def test_the_new_expert_gets_a_table_of_its_own_and_the_old_keep_theirs(
    grown: Callable[[int], tuple[Path, list[str]]], source: Path
) -> None:
    folder, _ = grown(500)
    table = NGrams.read(folder / "experts" / NEW / EXPERT_TABLE, 3)
    assert table is not None
    assert 0 < len(table.keys) <= 500
    before, whole, network = (load(place, device="cpu") for place in (source, folder, folder))
    network.predictor.engine.ngrams = (*network.predictor.engine.ngrams[:-1], None)
    for domain in DOMAINS:
        wanted = before.predict_proba(TEXTS, domain=domain)
        np.testing.assert_allclose(whole.predict_proba(TEXTS, domain=domain), wanted, atol=1e-6)
    logits = np.log(network.predict_proba(TEXTS, domain=NEW)) + table(TEXTS)
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(whole.predict_proba(TEXTS, domain=NEW), wanted, atol=1e-5)
    assert np.abs(wanted - network.predict_proba(TEXTS, domain=NEW)).max() > 0.1


def test_left_out_there_is_none(grown: Callable[[int], tuple[Path, list[str]]]) -> None:
    folder, told = grown(0)
    assert [(folder / "experts" / domain / EXPERT_TABLE).is_file() for domain in EVERY] == [True, True, False]
    router = NGrams.read(folder / ROUTER_TABLE, 3)
    assert router is not None
    assert np.isnan(router.bias).tolist() == [False, False, True]
    assert any(line.startswith("macro-F1 of the old experts without their tables of n-grams on ") for line in told)


def test_who_asks_for_one_that_cannot_be_made_is_told(source: Path, tmp_path: Path) -> None:
    rows = [(text, label) for text, label in made_rows(NEW, 30) if label != 1]
    (tmp_path / "data").mkdir()
    for split in ("train", "valid"):
        write_rows(tmp_path / "data" / f"{split}.csv", rows, NEW)
    replay = {domain: source.parent / f"{domain}.csv" for domain in DOMAINS}
    told: list[str] = []
    add_domain(
        source, NEW, tmp_path / "data", tmp_path / "o", settings=DomainConfig.load(None, [*FAST, "ngrams=500"]),
        device="cpu", replay=replay, say=told.append,
    )  # fmt: skip
    assert any(line.endswith("no table of n-grams: no training row is 中性") for line in told)


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 500])
def test_the_export_answers_and_routes_as_the_grown_mixture(
    most: int, grown: Callable[[int], tuple[Path, list[str]]], tmp_path: Path
) -> None:
    folder, _ = grown(most)
    made = export_mixture(folder, tmp_path / "runtime", precisions=("fp32",), data={})
    assert all(parity.same >= 0.995 for parity in made.parities.values())
    mixture = load(folder, device="cpu")
    for engine in ("onnxruntime", "openvino") if has_openvino() else ("onnxruntime",):
        exported = load(tmp_path / "runtime", engine=engine)
        assert [table is not None for table in exported.predictor.engine.ngrams] == [True, True, most > 0]
        for domain in (None, *EVERY):
            wanted, found = (one.predict(TEXTS, domain=domain) for one in (mixture, exported))
            assert [one.expert for one in found] == [one.expert for one in wanted], (engine, domain)
            for part in ("scores", "expert_weights"):
                ours, theirs = ([list(getattr(one, part).values()) for one in some] for some in (found, wanted))
                np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert {one.expert for one in exported.predict(TEXTS)} == set(EVERY), "every expert must be used"
