"""What several rooms' tests share: tiny backbones, prepared data, and mixtures trained on them once a session.

Everything heavy is imported inside the fixtures, so that tests of the torch-free rooms start at once.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network fails, and says so
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # shap compiles for seconds what runs in milliseconds
for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):  # what is printed hangs on no one's terminal
    os.environ.pop(name, None)
# No example fails for a slow machine, and every run tries the same ones
settings.register_profile("here", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")
DOMAINS = ("news", "forum")
STEPS = ("max_steps=4", "warmup_steps=1", "eval_steps=2", "learning_rate=1e-2", "batch_size=4", "trackers=none")
EXPERT = (*STEPS, "rank=4", "max_length=96")
JOINT = (*STEPS, "router_steps=2", "router_warmup_steps=1")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pages' commands take longest by far: begun last, they would leave the other workers idle."""
    items.sort(key=lambda item: "test_end_to_end" not in item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return not_left_out((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return not_left_out((yield))


def not_left_out(report: Report) -> Report:
    """Where FINSA_CI is set, a test that skips itself has failed, but for what lies in ../shared: all else is installed."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else "../shared"
    if "FINSA_CI" in os.environ and "../shared" not in reason:
        report.outcome, report.longrepr = "failed", f"under FINSA_CI no test is left out: {reason}"
    return report


@dataclass(frozen=True)
class Trained:
    """Folders of one whole run over a tiny backbone."""

    backbone: Path
    experts: Mapping[str, Path]
    start: Path
    out: Path

    @property
    def joint(self) -> Path:
        """The trained mixture."""
        return self.out / "moe_joint"


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Tiny networks are slower on two threads than on one, and one thread makes every run bit-identical."""
    import torch
    from transformers import Trainer, pipeline  # noqa: F401 - loaded here, so that the next line sets them aside
    from transformers.utils import logging

    import finsa_moe.training.joint  # noqa: F401

    gc.freeze()  # each Trainer collects garbage at its end: half a second, were it to look through every library
    logging.disable_progress_bar()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    gc.unfreeze()


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """Folder of a `finsa` and a `python` that have their libraries loaded already."""
    from tests.warm import programs

    if not hasattr(os, "pidfd_open"):  # not on Linux: the environment's own, which load them anew
        yield Path(sys.executable).parent
        return
    with programs() as folder:
        yield folder


@pytest.fixture(scope="session")
def backbone_of(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Callable[[str], Path]:
    """Folder of the tiny backbone of a family; treat it as read-only."""
    from tests.families import make_backbone

    root = tmp_path_factory.mktemp("backbones")
    return cache(lambda family: make_backbone(family, root / family))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Prepared folders by domain: 24 training, 12 validation and 12 test rows; treat them as read-only."""
    from tests.families import made_rows, write_rows

    root, folders = tmp_path_factory.mktemp("prepared"), {}
    for domain in (*DOMAINS, "notices"):
        folders[domain] = root / domain
        folders[domain].mkdir()
        for seed, (split, count) in enumerate({"train": 24, "valid": 12, "test": 12}.items()):
            write_rows(folders[domain] / f"{split}.csv", made_rows(domain, count, seed), domain)
    return folders


@pytest.fixture(scope="session")
def train(
    tmp_path_factory: pytest.TempPathFactory, backbone_of: Callable[[str], Path], prepared: Mapping[str, Path]
) -> Callable[..., Trained]:
    """Runs all three stages for four steps each over a family's backbone, anew at each call."""
    from finsa_moe.config import ExpertConfig, JointConfig, MergeConfig
    from finsa_moe.training.expert import train_expert
    from finsa_moe.training.joint import train_joint
    from finsa_moe.training.merge import merge

    def run(
        backbone: str | Path, domains: tuple[str, ...] = DOMAINS, expert: tuple[str, ...] = (),
        merging: tuple[str, ...] = (), joint: tuple[str, ...] = (),
    ) -> Trained:  # fmt: skip
        place = backbone if isinstance(backbone, Path) else backbone_of(backbone)
        root = tmp_path_factory.mktemp("trained")
        experts = {domain: root / "experts" / domain for domain in domains}
        for domain, folder in experts.items():
            settings = ExpertConfig.load(None, [*EXPERT, *expert])
            train_expert(domain, prepared[domain], folder, backbone=str(place), settings=settings, device="cpu")
        merge(experts, root / "moe_init", settings=MergeConfig.load(None, merging), device="cpu")
        data: dict[str, Path] = {domain: prepared[domain] for domain in domains}
        train_joint(
            root / "moe_init", data, root / "joint", settings=JointConfig.load(None, [*JOINT, *joint]), device="cpu"
        )
        return Trained(place, experts, root / "moe_init", root / "joint")

    return run


@pytest.fixture(scope="session")
def trained(train: Callable[..., Trained]) -> Callable[[str], Trained]:
    """The same, once a session for each family; treat the folders as read-only."""
    results: dict[str, Any] = {}

    def get(family: str) -> Trained:
        if family not in results:
            results[family] = train(family)
        return results[family]

    return get


@dataclass(frozen=True)
class Export:
    """A mixture whose router uses both experts, and what was exported from it."""

    mixture: Path
    folder: Path


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, backbone_of: Callable[[str], Path], prepared: Mapping[str, Path]
) -> Export:
    """One export a session, in float32 and bfloat16 and as a single graph; treat it as read-only.

    It takes long: the first worker that wants it makes it for all.
    """
    from finsa_moe.export.export import export_mixture
    from finsa_moe.files import hold
    from tests.families import save_routing_both_ways

    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exported"
    root.mkdir(exist_ok=True)
    with (root / "held").open("ab") as held:
        hold(held, wait=True)
        if not (root / "made").exists():
            save_routing_both_ways(root / "mixture", backbone_of("modernbert"))
            data = {domain: prepared[domain] for domain in DOMAINS}
            export_mixture(root / "mixture", root / "runtime", precisions=("fp32", "bf16"), single=True, data=data)
            (root / "made").touch()
    return Export(root / "mixture", root / "runtime")
