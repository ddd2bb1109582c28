"""What the specs of a comparison mean on this machine: which folder, and which class.

Specs go in, models come out that the evaluation room runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finsa_moe.evaluation.comparison.comparison import MIXTURE
from finsa_moe.evaluation.fingerprints import of_folder, of_weights
from finsa_moe.files import is_file, read_json
from finsa_moe.runtime import BATCH_TOKENS

if TYPE_CHECKING:
    from finsa_moe.evaluation.baselines.spec import Spec

TRAINED = ("lora", "finetune")
"""Models that `training` makes."""
PLACED = ("hf", *TRAINED)
"""Models whose spec may name a device."""


@dataclass(frozen=True)
class Running:
    """How models run, where their specs do not say.

    Attributes:
        device: Device of every torch model; None leaves the choice to each model.
        dtype: Number format of mixtures; None keeps the one they were saved in.
        batch_tokens: Most tokens of a mixture's batch, padding counted.
    """

    device: str | None = None
    dtype: str | None = None
    batch_tokens: int = BATCH_TOKENS


def place(spec: Spec) -> Path:
    """The folder of a mixture; where a gate is named, the default model's weights: its graphs have a hard one."""
    from finsa_moe import shipped

    if spec.target:
        return shipped.place(spec.target)
    return shipped.weights().parent if spec.options.get("gate") else shipped.model()


def experts(spec: Spec) -> list[str]:
    """A mixture's experts, from its configuration alone.

    Raises:
        ModelError: If the folder holds no mixture.
    """
    from finsa_moe.errors import ModelError

    folder = place(spec)
    found: list[str] = read_json(folder / "config.json", absent={}).get("domains", [])
    if not found:
        raise ModelError(f"model {spec.text}: {folder} holds no mixture; name the folder of one")
    return found


def fingerprints(specs: Sequence[str], print_of: Callable[[Path], str]) -> dict[str, str]:
    """By spec of a mixture, the fingerprint of its weights: what a card of the model knows its scores by."""
    from finsa_moe.evaluation.baselines.spec import Spec

    return {spec.text: print_of(place(spec)) for spec in map(Spec.parse, specs) if spec.name == MIXTURE}


def registry(
    running: Running, print_of: Callable[[Path], str] = of_weights
) -> tuple[Callable[[Spec], Any], Callable[[Spec], str]]:
    """What makes a model of a spec, and the fingerprint of one that is trained already.

    A number format changes answers and is part of a mixture's fingerprint; device and batches do not.

    Args:
        running: How models run.
        print_of: Gives the fingerprint of a mixture's folder.
    """
    from finsa_moe import shipped
    from finsa_moe.evaluation.baselines.registry import make

    whole = cache(of_folder)  # trained models share a backbone

    def made(spec: Spec) -> Any:
        if spec.name == MIXTURE:
            return _mixture(spec, running)
        if spec.name in PLACED and (device := spec.options.get("device") or running.device):
            from finsa_moe.model.device import usable_device

            usable_device(device)  # before hours of others' training
            spec = replace(spec, options={**spec.options, "device": device})
        if spec.name in TRAINED:
            from finsa_moe.training.contestants import contestants

            return make(spec, contestants(shipped.weights))
        return make(spec, elsewhere=(MIXTURE, *TRAINED))

    def mark(spec: Spec) -> str:
        """Fingerprint of the files that a model is loaded from or trained on from; empty for one that has none."""
        if spec.name not in (MIXTURE, *PLACED):
            return ""
        mixture = spec.name == MIXTURE
        folder = place(spec) if mixture else Path(spec.target or shipped.weights())
        found = [(print_of if mixture else whole)(folder) if folder.is_dir() else spec.target]
        if mixture and running.dtype:
            found.append(running.dtype)
        files = filter(is_file, (spec.options.get(name, "") for name in ("config", "labels")))
        found += [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
        return " ".join(found)

    return made, mark


def _mixture(spec: Spec, running: Running) -> Any:
    from finsa_moe.evaluation.comparison.forms import MixtureForm
    from finsa_moe.face import FinSA, load

    gate = spec.word("gate", "", ("", "hard", "soft"))
    dtype, batch_tokens = running.dtype, running.batch_tokens
    if not gate:
        folder = place(spec)
        device = None if _exported(folder) else running.device
        return MixtureForm(load(folder, device=device, dtype=dtype, batch_tokens=batch_tokens), spec)
    from finsa_moe.model.device import usable_device
    from finsa_moe.model.torch_engine import TorchEngine
    from finsa_moe.runtime.predictor import Predictor

    usable_device(running.device)
    engine = TorchEngine(place(spec), device=running.device, dtype=dtype, gate=gate)
    return MixtureForm(FinSA(Predictor(engine, batch_tokens)), spec)


def _exported(folder: Path) -> bool:
    """Whether a folder holds graphs, which run on the CPU beside whatever runs on the device named."""
    from finsa_moe.runtime.folder import MODEL_TYPE

    return read_json(folder / "config.json", absent={}).get("model_type") == MODEL_TYPE
