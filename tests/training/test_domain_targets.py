"""A further expert adapts the linears that the mixture's experts adapt, whichever these are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from finsa_moe.config import DomainConfig, MergeConfig
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.training.domains import add_domain
from finsa_moe.training.merge import merge
from tests.conftest import DOMAINS
from tests.training.test_domains import FAST
from tests.training.test_merge import foreign

pytestmark = pytest.mark.usefixtures("one_thread")


def of_peft(backbone: Path, root: Path) -> dict[str, Path]:
    """Adapters of queries and values alone, as peft trains them unless told otherwise."""
    targets = [f"layers.{layer}.self_attn.{name}" for layer in (0, 1) for name in ("q_proj", "v_proj")]
    return {
        name: foreign(backbone, root / name, seed=seed, target_modules=targets) for seed, name in enumerate(DOMAINS)
    }


def of_a_higher_route(backbone: Path, root: Path) -> dict[str, Path]:
    """Experts of the upper layer, merged with a router that reads below it."""
    return {name: foreign(backbone, root / name, seed=seed, route_at=0.5) for seed, name in enumerate(DOMAINS)}


@pytest.mark.parametrize("start", ["best", "fresh"])
@pytest.mark.parametrize("made", [of_peft, of_a_higher_route])
def test_a_domain_more_on_the_linears_that_are_adapted(
    made: Callable[[Path, Path], dict[str, Path]], start: str, backbone_of: Callable[[str], Path],
    prepared: Mapping[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    merge(made(backbone_of("llama"), tmp_path), tmp_path / "m", settings=MergeConfig(), device="cpu")
    asked = DomainConfig.load(None, [*FAST, f"start={start}", "epochs=1"])
    texts = {domain: prepared[domain] / "train.csv" for domain in DOMAINS}
    add_domain(
        tmp_path / "m", "notices", prepared["notices"], tmp_path / "o", settings=asked, device="cpu", replay=texts
    )
    old, new = (load_mixture(folder, device="cpu") for folder in (tmp_path / "m", tmp_path / "o" / "moe"))
    assert new.config.domains == [*DOMAINS, "notices"]
    assert new.config.targets == old.config.targets
