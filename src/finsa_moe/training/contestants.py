"""The trained contestants of a comparison: one LoRA over all rows, and the backbone fine-tuned whole.

Each is trained by the stage that a user would train it by, in a folder that is gone afterwards, and answers through the
same `fit` and `predict_proba` as any baseline. They stand here since `evaluation` may not import `training`; the
command line hands them to its registry. Nothing here knows routing.
"""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from finsa_moe.config import AdaptConfig, ExpertConfig, TrainConfig
from finsa_moe.data.ngrams import EXPERT_TABLE, NGrams
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import read_json
from finsa_moe.model.adapter import EXPERT_FACTS, HEAD, read_tensors
from finsa_moe.model.backbone import check_backbone, load_backbone, load_tokenizer, text_encoder
from finsa_moe.polarity import NAMES
from finsa_moe.training.adapt import adapt
from finsa_moe.training.answers import TaskModelAnswers, answer_states
from finsa_moe.training.device import training_device
from finsa_moe.training.expert import train_expert

Reals = NDArray[np.float32]
Dev = tuple[Sequence[str], Iterable[object]]
Config = TypeVar("Config", bound=TrainConfig)
TASK = "polarity"
_FINETUNE = {"epochs": "4", "batch_size": "32", "eval_steps": "100", "patience": "5", "bf16": "false"}
"""What fine-tuning differs in from `AdaptConfig`, whose defaults are for tens of thousands of rows."""


class Named(Protocol):
    """What a contestant needs of a spec."""

    @property
    def text(self) -> str:
        """As the user wrote it."""
        ...

    @property
    def target(self) -> str:
        """The backbone, which comes after the colon."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """The settings, which come after the question mark."""
        ...


class Contestant(Protocol):
    """As `finsa_moe.evaluation.baselines.registry.Baseline`, which this room may not import."""

    def fit(self, texts: Sequence[str], labels: Iterable[object], *, seed: int = 13, dev: Dev | None = None) -> Any:
        """Train on raw texts (n,) and class ids (n,); `dev` chooses the checkpoint."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish."""
        ...


class LoraContestant:
    """One LoRA with its head over the rows of all domains: stage 1 without the division of labour.

    Args:
        backbone: Folder or hub name.
        overrides: ``key=value`` settings of `ExpertConfig`, on those of `config`.
        config: A YAML file or a shipped one's name.
        device: Torch device name; None picks a GPU when there is one.
    """

    def __init__(
        self, backbone: str, overrides: Sequence[str] = (), *, config: str = "laptop", device: str | None = None
    ) -> None:
        self.settings = _settings(ExpertConfig, config, overrides)
        self.backbone, self.device = backbone, device
        self.facts: dict[str, Any] = {}
        """What the training told of itself."""
        self._answer: Callable[[Sequence[str]], Reals] | None = None

    def fit(
        self, texts: Sequence[str], labels: Iterable[object], *, seed: int = 13, dev: Dev | None = None
    ) -> LoraContestant:
        """Train on class ids; without `dev` one row in twenty is set aside to choose the checkpoint by.

        Raises:
            DataError, ModelError, ConfigError: For rows, a backbone or settings that cannot be used.
        """
        with _folders(texts, labels, dev, seed) as (data, out):
            settings = _with_seed(self.settings, seed)
            self.facts = train_expert(
                "mixed", data, out, backbone=self.backbone, settings=settings, device=self.device
            )  # fmt: skip
            self._answer = _expert_answers(out, self.backbone, settings, self.device)
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish."""
        if self._answer is None:
            raise DataError("lora is not trained; call fit(texts, labels) first")
        return self._answer(texts)


class FinetuneContestant:
    """The whole backbone and a head trained on the rows of all domains: what LoRA and experts are to be held against.

    Args:
        backbone: Folder or hub name.
        overrides: ``key=value`` settings of `AdaptConfig`.
        config: A YAML file or a shipped one's name; None for the defaults.
        device: Torch device name; None picks a GPU when there is one.
    """

    def __init__(
        self, backbone: str, overrides: Sequence[str] = (), *, config: str | None = None, device: str | None = None
    ) -> None:
        own = [f"{key}={value}" for key, value in _FINETUNE.items()] if config is None else []
        self.settings = _settings(AdaptConfig, config, [*own, *overrides])
        self.backbone, self.device = backbone, device
        self.facts: dict[str, Any] = {}
        """What the training told of itself."""
        self._model: TaskModelAnswers | None = None

    def fit(
        self, texts: Sequence[str], labels: Iterable[object], *, seed: int = 13, dev: Dev | None = None
    ) -> FinetuneContestant:
        """Train on class ids; without `dev` one row in twenty is set aside to choose the checkpoint by.

        Raises:
            DataError, ModelError, ConfigError: For rows, a backbone or settings that cannot be used.
        """
        with _folders(texts, labels, dev, seed) as (data, out):
            settings = _with_seed(self.settings, seed)
            self.facts = adapt(
                self.backbone, out, tasks={TASK: data}, soft={}, settings=settings, device=self.device
            )  # fmt: skip
            self._model = TaskModelAnswers(out, device=self.device, max_length=settings.max_length)
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; a class never trained on has 0."""
        if self._model is None:
            raise DataError("finetune is not trained; call fit(texts, labels) first")
        shares = self._model.shares(self._model.states(texts), TASK)
        if shares.shape[1] == len(NAMES):
            return shares
        probs = np.zeros((len(texts), len(NAMES)), dtype=np.float32)
        probs[:, [NAMES.index(name) for name in self._model.classes[TASK]]] = shares
        return probs


def contestants(default: Callable[[], Path]) -> dict[str, Callable[[Named], Contestant]]:
    """Factories by name for `finsa_moe.evaluation.baselines.make`: ``lora[:BACKBONE]`` and ``finetune[:BACKBONE]``.

    A backbone that is not there is told when the model is made, not hours later when its turn comes. Settings follow
    the question mark (``lora?rank=8&epochs=3``); ``config`` and ``device`` are taken apart from them.

    Args:
        default: Gives the backbone where a spec names none.
    """

    def lora(spec: Named) -> Contestant:
        backbone, overrides, config, device = _parts(spec, default)
        return LoraContestant(backbone, overrides, config=config or "laptop", device=device)

    def finetune(spec: Named) -> Contestant:
        backbone, overrides, config, device = _parts(spec, default)
        return FinetuneContestant(backbone, overrides, config=config, device=device)

    return {"lora": lora, "finetune": finetune}


def _parts(spec: Named, default: Callable[[], Path]) -> tuple[str, list[str], str | None, str | None]:
    options = dict(spec.options)
    config, device = options.pop("config", None), options.pop("device", None)
    if "seed" in options:
        raise ConfigError(f"model {spec.text}: seed is the comparison's; name it there")
    backbone = spec.target or str(default())
    check_backbone(backbone)
    load_tokenizer(backbone)
    training_device(device)
    return backbone, [f"{key}={value}" for key, value in options.items()], config, device


def _settings(kind: type[Config], config: str | None, overrides: Sequence[str]) -> Config:
    return kind.load(Path(config) if config else None, ["trackers=none", *overrides])


def _with_seed(settings: Config, seed: int) -> Config:
    return dataclasses.replace(settings, seed=seed)


@contextmanager
def _folders(
    texts: Sequence[str], labels: Iterable[object], dev: Dev | None, seed: int
) -> Iterator[tuple[Path, Path]]:  # fmt: skip
    """The rows in a folder as the stages read them, and a place for what is trained; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="finsa-") as folder:
        _write(Path(folder) / "data", texts, labels, dev, seed)
        yield Path(folder) / "data", Path(folder) / "trained"


def _write(folder: Path, texts: Sequence[str], labels: Iterable[object], dev: Dev | None, seed: int) -> None:
    """The rows as the stages read them: ``train.csv`` and ``valid.csv``."""
    rows = list(zip(texts, [int(cast(int, label)) for label in labels], strict=True))
    if dev is None or not len(dev[0]):
        rng = np.random.default_rng(seed)
        order = [rows[at] for at in rng.permutation(len(rows))]
        count = max(1, round(len(rows) / 20))
        rows, others = order[count:], order[:count]
    else:
        others = list(zip(dev[0], [int(cast(int, label)) for label in dev[1]], strict=True))
    known = {label for _, label in rows}
    folder.mkdir(parents=True)
    for name, part in (("train", rows), ("valid", [row for row in others if row[1] in known])):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "label"])
            writer.writerows([at, text, NAMES[label]] for at, (text, label) in enumerate(part))


def _expert_answers(
    folder: Path, backbone: str, settings: ExpertConfig, device: str | None
) -> Callable[[Sequence[str]], Reals]:
    """The expert in a folder, as plain peft loads it, and its table, answering texts after the folder is gone."""
    facts, head = read_json(folder / EXPERT_FACTS), read_tensors(folder / HEAD)
    plain = load_backbone(backbone, quantisation=settings.quantisation, dtype=settings.dtype, device=device)
    network = cast(PreTrainedModel, PeftModel.from_pretrained(plain, str(folder)).eval().base_model.model)
    encode = text_encoder(load_tokenizer(folder), prompt=facts["prompt"], max_length=facts["max_tokens"])
    weight, bias = (head[name].float().to(network.device) for name in ("weight", "bias"))
    table = NGrams.read(folder / EXPERT_TABLE, len(NAMES), noted=facts.get("ngrams"))

    def answer(texts: Sequence[str]) -> Reals:
        with torch.inference_mode():
            states: Tensor = answer_states(network, encode, texts)
            logits = (states @ weight.T + bias).cpu()
            if table is not None:
                logits += torch.from_numpy(table(texts))
            found: Reals = logits.softmax(-1).numpy()
        return found

    return answer
