"""One frozen configuration a stage: the paper's values as defaults, YAML in and out, every value checked at the door.

A YAML file has one section a stage (``pretrain``, ``adapt``, ``expert``, ``merge``, ``joint``, ``domain``); ``--set
key=value`` changes the section of the verb it is given to. The module knows what the values may be, not what they do.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from finsa_moe.errors import ConfigError, closest
from finsa_moe.files import write

SHIPPED = Path(__file__).parent / "configs"
"""Configurations in the package; ``--config laptop`` finds ``laptop.yaml`` here."""

Config = TypeVar("Config", bound="StageConfig")


def within(default: Any, low: Any = None, high: Any = None, among: tuple[Any, ...] = (), or_: Any = None) -> Any:
    """A field with its default and the range or the choices it allows, or one value outside the range."""
    return field(default=default, metadata={"low": low, "high": high, "among": among, "or": or_})


@dataclass(frozen=True)
class StageConfig:
    """What all stages share; not used by itself."""

    seed: int = within(13, 0, 2**32 - 2)  # what NumPy takes, and stage 3 counts one up

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            _check(type(self).section(), spec, getattr(self, spec.name))

    @classmethod
    def section(cls) -> str:
        """Name of this stage's section in a YAML file."""
        return cls.__name__.removesuffix("Config").lower()

    @classmethod
    def load(cls: type[Config], file: Path | None = None, overrides: Sequence[str] = (), **values: Any) -> Config:
        """Defaults, then the file's section, then ``key=value`` overrides, then keyword values.

        Raises:
            ConfigError: For an unreadable file, an unknown section or key (the nearest known one is named), or a
                value outside what its key allows.
        """
        known = {spec.name for spec in dataclasses.fields(cls)}
        merged: dict[str, Any] = dict(_section(file, cls.section())) if file else {}
        hints = get_type_hints(cls)
        for override in overrides:
            key, sign, text = override.partition("=")
            if not sign:
                raise ConfigError(f"--set {override}: write key=value, for example --set max_steps=20")
            merged[key.strip()] = _value(override, text, hints.get(key.strip()))
        merged.update({key: value for key, value in values.items() if value is not None})
        where = f"{file}: {cls.section()}" if file else cls.section()
        if unknown := [key for key in merged if key not in known]:
            raise ConfigError(f"{where}: unknown key {unknown[0]!r}{closest(str(unknown[0]), sorted(known))}")
        return cls(**{key: _coerce(cls.section(), key, value, hints[key]) for key, value in merged.items()})

    def as_dict(self) -> dict[str, Any]:
        """The values as plain YAML types."""
        plain = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    def save(self, path: Path) -> None:
        """Write the resolved configuration as YAML, under its section's name."""
        write(path, yaml.safe_dump({self.section(): self.as_dict()}, sort_keys=False, allow_unicode=True))


@dataclass(frozen=True)
class TrainConfig(StageConfig):
    """Settings of all supervised stages; not used by itself."""

    learning_rate: float = within(3e-4, 0)
    weight_decay: float = within(0.0, 0)
    warmup_steps: int = within(500, 0)
    epochs: float = within(3.0, 0)
    max_steps: int = within(-1, 1, or_=-1)
    batch_size: int = within(16, 1)
    gradient_accumulation: int = within(1, 1)
    gradient_checkpointing: bool = False
    shard_backbone: bool = False  # several processes: each keeps a part of every frozen layer
    eval_steps: int = within(500, 1)
    eval_batch_size: int = within(64, 1)
    patience: int = within(12, 0)
    bf16: bool = False
    loss: str = within("cross_entropy", among=("cross_entropy",))
    log_steps: int = within(10, 1)
    trackers: tuple[str, ...] = ("tensorboard",)


@dataclass(frozen=True)
class PolarityConfig(TrainConfig):
    """Settings of the stages whose classes are the three polarities, and of their loss; not used by itself."""

    loss: str = within("adaptive_balanced", among=("adaptive_balanced", "cross_entropy"))
    beta: float = within(0.99, 0, 1)
    smoothing: float = within(0.1, 0, 1)
    gamma: float = within(2.0, 0)


@dataclass(frozen=True)
class ExpertConfig(PolarityConfig):
    """Stage 1: one LoRA expert on the frozen backbone."""

    prompt: str = "auto"
    max_length: int = within(512, 16)
    quantisation: str = within("none", among=("none", "nf4"))
    dtype: str = within("float32", among=("float32", "bfloat16"))
    route_at: float = within(0.0, 0, 1)
    rank: int = within(16, 1)
    alpha: int = within(16, 1)
    dropout: float = within(0.05, 0, 0.9)
    head_dropout: float = within(0.1, 0, 0.9)
    ngrams: int = within(0, 0)  # most n-grams of the table beside the network; 0: none


@dataclass(frozen=True)
class DomainConfig(PolarityConfig):
    """One more expert for a finished mixture, from few rows, and the wider router."""

    learning_rate: float = within(3e-4, 0)
    warmup_steps: int = within(10, 0)
    epochs: float = within(8.0, 0)
    eval_steps: int = within(50, 1)
    patience: int = within(0, 0)
    loss: str = within("cross_entropy", among=("adaptive_balanced", "cross_entropy"))
    max_length: int = within(256, 16)
    start: str = "best"  # of the mixture's experts; a name; or "fresh"
    dropout: float = within(0.05, 0, 0.9)
    head_dropout: float = within(0.1, 0, 0.9)
    ngrams: int = within(0, 0)  # as of an expert
    fewest_valid: int = within(50, 1)  # rows from which a checkpoint is chosen; with fewer the last is kept
    router_steps: int = within(400, 1)
    router_learning_rate: float = within(3e-3, 0)
    taken: float = within(0.001, 0, 0.5)  # share of the states drawn of any old domain that the new expert may win


@dataclass(frozen=True)
class MergeConfig(StageConfig):
    """Stage 2: the shape of the mixture."""

    route_at: float = within(0.0, 0, 1)
    shared_head: bool = False
    router_hidden: int = within(64, 1)
    router_dropout: float = within(0.1, 0, 0.9)
    head_dropout: float = within(0.1, 0, 0.9)
    expert_dropout: float = within(0.05, 0, 0.9)


@dataclass(frozen=True)
class JointConfig(PolarityConfig):
    """Stage 3: router warm-up, then router, heads and all experts together."""

    routing_weight: float = within(1.5, 0)
    balance_weight: float = within(0.05, 0)
    router_steps: int = within(500, 0)
    router_learning_rate: float = within(1e-3, 0)
    router_warmup_steps: int = within(50, 0)
    warm_heads: bool = True  # the paper's; False warms up the router alone, and spares heads that are good already
    harden_at: float = within(0.5, 0, 1)
    unlabelled_rows: int = within(4000, 1)  # of each domain, where such texts are given
    gate: str = within("hard", among=("hard", "soft"))
    router_ngrams: int = within(0, 0)  # most n-grams of the table beside the router; 0: none


@dataclass(frozen=True)
class PretrainConfig(StageConfig):
    """Pre-training of the compact backbone from scratch."""

    vocab_size: int = within(12_000, 300)
    tokenizer_lines: int = within(300_000, 100)
    hidden_size: int = within(256, 16)
    layers: int = within(6, 1)
    heads: int = within(4, 1)
    intermediate_size: int = within(640, 16)
    longest: int = within(256, 8)
    max_length: int = within(512, 16)
    objective: str = within("masked", among=("masked", "replaced"))
    generator_layers: int = within(2, 1)  # of replaced-token detection
    detection_weight: float = within(50.0, 0)  # Clark et al. 2020, table 6
    mask_rate: float = within(0.2, 0.01, 0.9)
    batch_tokens: int = within(8192, 64)
    optimizer: str = within("adamw", among=("adamw", "muon"))
    learning_rate: float = within(1e-3, 0)
    weight_decay: float = within(0.01, 0)
    warmup_steps: int = within(300, 0)
    decay: float = within(0.2, 0, 1)
    epochs: float = within(1.0, 0)
    max_steps: int = within(-1, 1, or_=-1)
    max_minutes: float = within(0.0, 0)
    save_minutes: float = within(5.0, 0)
    log_steps: int = within(20, 1)
    bf16: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size % (2 * self.heads):  # a head's positions are turned in pairs
            raise ConfigError(
                f"pretrain: heads: {self.heads} do not go with hidden_size {self.hidden_size}; "
                f"it must be a multiple of {2 * self.heads}, an even number for each"
            )


@dataclass(frozen=True)
class AdaptConfig(TrainConfig):
    """Supervised training of the whole backbone on several tasks, before any expert is trained on it."""

    learning_rate: float = within(3e-4, 0)
    weight_decay: float = within(0.01, 0)
    warmup_steps: int = within(100, 0)
    epochs: float = within(2.0, 0)
    batch_size: int = within(64, 1)
    bf16: bool = True
    stored: str = within("float32", among=("float32", "bfloat16"))  # bfloat16 rounds the weights: half the size
    max_length: int = within(256, 16)
    head_dropout: float = within(0.1, 0, 0.9)
    dropout: float = within(0.0, 0, 0.9)  # in the backbone; 0 leaves it as its configuration says
    token_dropout: float = within(0.0, 0, 0.9)  # share of tokens hidden behind the mask token, anew in every step


_STAGES = (PretrainConfig, AdaptConfig, ExpertConfig, MergeConfig, JointConfig, DomainConfig)
STAGES: dict[str, type[StageConfig]] = {stage.section(): stage for stage in _STAGES}


def shipped_names() -> list[str]:
    """What ``--config`` finds without a path."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _section(file: Path, name: str) -> Mapping[str, Any]:
    if not file.is_file() and (shipped := SHIPPED / f"{file}.yaml").is_file():  # --config laptop
        file = shipped
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        known = ", ".join(shipped_names())
        raise ConfigError(
            f"{file}: no such file; give --config a YAML file, or the name of a shipped one: {known}"
        ) from None
    except (OSError, yaml.YAMLError, ValueError) as error:  # a ValueError is no UTF-8, or an impossible date
        raise ConfigError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, Mapping):
        raise ConfigError(f"{file}: expected sections {', '.join(STAGES)}, found {type(loaded).__name__}")
    if unknown := [key for key in loaded if key not in STAGES]:
        known = f"known are {', '.join(STAGES)}{closest(str(unknown[0]), list(STAGES))}"
        raise ConfigError(f"{file}: unknown section {unknown[0]!r}; {known}")
    section = loaded.get(name) or {}
    if not isinstance(section, Mapping):
        raise ConfigError(f"{file}: {name}: expected keys and values, found {type(section).__name__} {section!r}")
    return section


def _value(override: str, text: str, hint: Any) -> Any:
    """What stands after ``key=``, read as YAML; a text stays a text even where it would be YAML for something else."""
    try:
        value = yaml.safe_load(text) if text.strip() else ""
    except (yaml.YAMLError, ValueError) as error:
        if hint is not str:
            raise ConfigError(f"--set {override!r}: not readable as YAML: {' '.join(str(error).split())}") from None
        value = text
    return text if hint is str and not isinstance(value, str) else value


def _coerce(section: str, key: str, value: Any, hint: Any) -> Any:
    """Bring a YAML value to the field's type, or say what was expected."""
    if get_origin(hint) is tuple:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, Sequence) and all(isinstance(item, get_args(hint)[0]) for item in items):
            return tuple(item for item in items if item and item != "none")
    elif hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:  # YAML reads 3e-4 as a string
            return float(value)
        except ValueError:
            pass
    elif type(value) is hint:
        return value
    expected = "a list of names" if get_origin(hint) is tuple else hint.__name__
    raise ConfigError(f"{section}: {key}: expected {expected}, found {value!r}")


def _check(section: str, spec: dataclasses.Field[Any], value: Any) -> None:
    low, high, among, other = (spec.metadata.get(name) for name in ("low", "high", "among", "or"))
    if among and value not in among:
        raise ConfigError(f"{section}: {spec.name}: {value!r} is none of {', '.join(map(str, among))}")
    if (low is None and high is None) or (other is not None and value == other):
        return
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        span = f"between {low} and {high}" if high is not None else f"at least {low}, and finite"
        raise ConfigError(f"{section}: {spec.name}: {value} must be {span}{'' if other is None else f', or {other}'}")
