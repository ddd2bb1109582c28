"""A run goes on with the rows, the backbone and the start that it began with: two halves of two runs are neither."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from finsa_moe.config import AdaptConfig, DomainConfig, ExpertConfig, JointConfig
from finsa_moe.data.reading.columns import Columns
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.model.reading import Reading
from finsa_moe.polarity import LabelMap
from finsa_moe.training import domains as growing
from finsa_moe.training.adapt import adapt
from finsa_moe.training.domains import add_domain
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import train_joint
from finsa_moe.training.resume import check_finished, keep_inputs
from tests.conftest import DOMAINS, EXPERT, JOINT, Trained
from tests.families import made_rows, make_backbone, make_mixture, write_rows
from tests.training.test_domains import FAST
from tests.training.test_resume import break_off

pytestmark = pytest.mark.usefixtures("one_thread")
OTHER = "{path}: not the {name} that the run began with; resume with the same, or name another --out"
Backbones = Callable[[str], Path]


def copied(folder: Path, to: Path, split: str = "", old: str = "", new: str = "") -> Path:
    """A copy of prepared rows, in one split of which the first such word is another."""
    shutil.copytree(folder, to)
    if split:
        file = to / f"{split}.csv"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return to


def refused(path: Path, name: str, run: Callable[[], object]) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        run()
    assert str(caught.value) == OTHER.format(path=path, name=name)
    assert path.read_bytes() == before


def test_an_expert(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out, settings = tmp_path / "e", ExpertConfig.load(None, EXPERT)

    def run(resume: bool = True, **changes: Any) -> dict[str, Any]:
        asked = {"data": prepared["news"], "backbone": str(backbone_of("bert")), **changes}
        return train_expert("news", out=out, settings=settings, resume=resume, device="cpu", **asked)

    break_off(monkeypatch, 3, lambda: run(False))
    kept = out / "run" / "inputs.json"
    word = next(
        word for word in ("业绩大跌", "净利翻倍", "发布公告") if word in (prepared["news"] / "train.csv").read_text()
    )
    refused(
        kept, "training rows", lambda: run(data=copied(prepared["news"], tmp_path / "a", "train", word, "甲乙丙丁"))
    )
    other = copied(prepared["news"], tmp_path / "b", "valid", "利好", "中性")
    refused(kept, "validation rows", lambda: run(data=other))
    backbone = make_backbone("bert", tmp_path / "other", seed=5)
    refused(kept, "backbone", lambda: run(backbone=str(backbone)))
    refused(kept, "start", lambda: run(start=trained("bert").experts["news"]))
    moved = copied(prepared["news"], tmp_path / "moved")
    assert run(data=moved)["steps"] == 4, "the same rows elsewhere are the same rows"


def test_a_run_of_an_earlier_version_goes_on(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept no marks; those of now hold from here on."""
    out, settings = tmp_path / "e", ExpertConfig.load(None, EXPERT)

    def run(resume: bool) -> dict[str, Any]:
        return train_expert("news", prepared["news"], out, backbone=str(backbone_of("bert")), settings=settings,
                            resume=resume, device="cpu")  # fmt: skip

    break_off(monkeypatch, 3, lambda: run(False))
    (out / "run" / "inputs.json").unlink()
    assert run(True)["steps"] == 4
    assert (out / "run" / "inputs.json").is_file()


def test_a_mixture(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, out = trained("bert").start, tmp_path / "j"
    settings = JointConfig.load(None, [*JOINT, "unlabelled_rows=10"])
    data: dict[str, Path] = {domain: prepared[domain] for domain in DOMAINS}

    def run(resume: bool = True, **changes: Any) -> dict[str, Any]:
        asked = {"start": start, "data": data, **changes}
        return train_joint(out=out, settings=settings, resume=resume, device="cpu", **asked)

    break_off(monkeypatch, 3, lambda: run(False))  # in the second phase: the first has been written
    kept = out / "run" / "inputs.json"
    anew = copied(prepared["forum"], tmp_path / "anew", "train", "利好", "中性")
    refused(kept, "training rows", lambda: run(data={**data, "forum": anew}))
    more = dict.fromkeys(DOMAINS, prepared["notices"] / "test.csv")
    refused(kept, "training rows", lambda: run(unlabelled=more))
    other = tmp_path / "start"
    shutil.copytree(start, other)
    weights = other / "experts" / "news" / "adapter_model.safetensors"
    shutil.copy(trained("bert").joint / "experts" / "news" / "adapter_model.safetensors", weights)
    refused(kept, "start", lambda: run(start=other))
    for name, value in (("route_at", 0.5), ("expert_dropout", 0.3), ("router_dropout", 0.3), ("scaling", [2.0, 2.0])):
        anew = tmp_path / name  # merged from the same experts by other settings: the same tensors
        shutil.copytree(start, anew)
        said = json.loads((anew / "config.json").read_text(encoding="utf-8"))
        (anew / "config.json").write_text(json.dumps(said | {name: value}), encoding="utf-8")
        refused(kept, f"start's {name}", lambda place=anew: run(start=place))  # type: ignore[misc]
    assert set(run()) == {"router_warmup", "moe_joint"}


def test_a_whole_backbone(
    prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = ("max_steps=4", "eval_steps=2", "batch_size=8", "trackers=none", "bf16=false", "max_length=64")
    settings = AdaptConfig.load(None, asked)

    def run(resume: bool = True, backbone: Path | None = None, rows: Path = prepared["news"]) -> dict[str, Any]:
        place = str(backbone or backbone_of("bert"))
        return adapt(place, out, tasks={"news": rows}, soft={}, settings=settings, resume=resume, device="cpu")

    break_off(monkeypatch, 3, lambda: run(False))
    kept = out / "run" / "inputs.json"
    refused(kept, "backbone", lambda: run(backbone=make_backbone("bert", tmp_path / "other", seed=5)))
    refused(kept, "training rows", lambda: run(rows=copied(prepared["news"], tmp_path / "a", "train", "利好", "中性")))
    assert run()["steps"] == 4

    def expert(resume: bool = True, heads: tuple[str, ...] = ()) -> None:
        train_expert("news", prepared["news"], tmp_path / "e", backbone=str(out), resume=resume, heads=heads, device="cpu",
                     settings=ExpertConfig.load(None, EXPERT))  # fmt: skip

    break_off(monkeypatch, 3, lambda: expert(False))
    refused(tmp_path / "e" / "run" / "inputs.json", "heads", lambda: expert(heads=("news",)))


def test_a_further_domain(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], backbone_of: Backbones, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Another MODEL, or the same rows read otherwise, once the expert has been trained."""
    out, settings = tmp_path / "o", DomainConfig.load(None, FAST)
    source, data = tmp_path / "m", tmp_path / "d"
    make_mixture(backbone_of("bert")).save_pretrained(source)
    data.mkdir()
    for split, count in (("train", 24), ("valid", 12)):
        write_rows(data / f"{split}.csv", made_rows("notices", count), "notices")

    def run(model: Path, resume: bool = True, **options: Any) -> dict[str, Any]:
        return add_domain(model, "notices", data, out, settings=settings, resume=resume, device="cpu", **options)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    model = trained("bert").joint
    with monkeypatch.context() as patch:
        patch.setattr(growing, "new_layers", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(model, False)
    with pytest.raises(ConfigError, match="holds a run of another mixture; name another --out"):
        run(source)
    with pytest.raises(ConfigError, match="holds a run that read its rows by other columns or labels"):
        run(model, reading=Reading(labels=LabelMap.parse("利空=利好,利好=利空")))
    with pytest.raises(ConfigError, match="holds a run that read its rows by other columns or labels"):
        run(model, reading=Reading(Columns(text="id")))
    marker = out / "started.json"
    for override in ("seed=77", "router_steps=3", "start=fresh"):
        other = DomainConfig.load(None, [*FAST, override])
        with pytest.raises(ConfigError, match=rf"started.json: {override.split('=')[0]} was .*resume with the same se"):
            add_domain(model, "notices", data, out, settings=other, resume=True, device="cpu")
    refused(marker, "held-out texts", lambda: run(model, held_out=["锂电龙头净利翻倍"]))
    texts = {domain: prepared[domain] / "train.csv" for domain in DOMAINS}
    refused(marker, "replayed texts", lambda: run(model, replay=texts))
    with pytest.raises(ConfigError, match=f"^{re.escape(str(out))}: holds an unfinished run; add --resume to go on"):
        run(model, False)
    marker.write_text('{"domain": "notices"}', encoding="utf-8")  # as an earlier version noted it
    assert run(model)["domain"] == "notices"
    refused(marker, "held-out texts", lambda: run(model, held_out=["锂电龙头净利翻倍"]))
    assert run(model)["domain"] == "notices"


def test_damaged_marks_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text('{"rows": ')
    for look in (
        lambda: keep_inputs(tmp_path, {"rows": "x"}, resume=True),
        lambda: check_finished(tmp_path, ExpertConfig.load(None, []), {"rows": "x"}),
    ):
        with pytest.raises(
            ModelError, match=r"inputs\.json: damaged, .*; name another --out, or remove the run first$"
        ):
            look()
