"""The folder of an exported mixture: its manifest, and its files handed out only when they are what was exported.

``config.json`` names the graphs of each precision with size and SHA-256; ``tokenizer.json`` and ``novelty.onnx`` lie
beside. Bytes come out; what runs them is the engine's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.files import write

MODEL_TYPE = "finsa_runtime"
FORMAT = 2
"""Folders with tables of n-grams, which an earlier version would leave out; any other is of format 1."""
CONFIG, TOKENIZER, NOVELTY = "config.json", "tokenizer.json", "novelty.onnx"
FORMATS = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}
"""Number formats as users of torch call them, and as an exported model does."""
_AGAIN = "copy the whole folder again, or make it anew with `finsa export`"


def precision_of(dtype: str | None) -> str | None:
    """What an exported model calls a number format; None where none is named.

    Raises:
        ConfigError: If it is none of `FORMATS`.
    """
    if dtype is not None and dtype not in FORMATS:
        raise ConfigError(f"dtype {dtype!r}: an exported model knows {', '.join(FORMATS)}")
    return FORMATS[dtype] if dtype else None


@dataclass(frozen=True)
class File:
    """One file of the folder, as it was when it was written; `size` in bytes."""

    file: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        """The record of a file that was just written."""
        content = path.read_bytes()
        return cls(path.name, len(content), hashlib.sha256(content).hexdigest())

    def read(self, folder: Path) -> bytes:
        """The content, checked.

        Raises:
            ModelError: If the file is missing, truncated or another than the manifest names.
        """
        path = folder / self.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror or 'cannot be read'}; {_AGAIN}") from None
        if len(content) != self.size:
            raise ModelError(
                f"{path}: {len(content):,} bytes, {self.size:,} expected: it is cut short or changed; {_AGAIN}"
            )
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ModelError(f"{path}: not the file this folder was exported with (its SHA-256 differs); {_AGAIN}")
        return content


@dataclass(frozen=True)
class GraphSet:
    """The graphs of one precision: the trunk's and, in the order of the domains, the experts'."""

    trunk: File
    experts: tuple[File, ...]


@dataclass(frozen=True)
class Manifest:
    """What ``config.json`` of an exported folder says.

    Attributes:
        domains: Names of the experts, in the order of the gate.
        prompt: Prompt name or template, as in training.
        max_tokens: Most tokens of a text with its prompt.
        pad_id: Id that fills batches up.
        temperatures: By expert, what its logits are divided by before softmax; 1 where nothing was fitted.
        graphs: By precision.
        tokenizer: The tokenizer's file.
        novelty: Reference of the novelty score; None when no texts were at hand.
        ngrams: By expert its table of n-grams, None where it has none; empty where no expert has one.
        router_ngrams: The router's table; None where it has none.
        single: One graph of all, which nothing here reads; None where none was asked for.
        source: What was exported: fingerprint of the backbone and parameters.
    """

    domains: tuple[str, ...]
    prompt: str
    max_tokens: int
    pad_id: int
    temperatures: tuple[float, ...]
    graphs: Mapping[str, GraphSet]
    tokenizer: File
    novelty: File | None = None
    ngrams: tuple[File | None, ...] = ()
    router_ngrams: File | None = None
    single: File | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``config.json``."""
        facts = {"model_type": MODEL_TYPE, "format": FORMAT if self.ngrams or self.router_ngrams else 1, **asdict(self)}
        write(folder / CONFIG, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def parse(cls, raw: Mapping[str, Any], folder: Path) -> Manifest:
        """Read the manifest of `folder` from what its ``config.json`` holds.

        Raises:
            ModelError: If it lacks a part or is of a newer format.
        """
        where = folder / CONFIG
        if raw.get("format") not in (1, FORMAT):
            raise ModelError(
                f"{where}: format {raw.get('format')!r}, this version reads 1 and {FORMAT}; update finsa-moe, or "
                "export again"
            )
        try:
            graphs = {
                name: GraphSet(File(**part["trunk"]), tuple(File(**expert) for expert in part["experts"]))
                for name, part in raw["graphs"].items()
            }
            found = cls(
                domains=tuple(raw["domains"]), prompt=raw["prompt"], max_tokens=int(raw["max_tokens"]),
                pad_id=int(raw["pad_id"]), temperatures=tuple(map(float, raw["temperatures"])), graphs=graphs,
                tokenizer=File(**raw["tokenizer"]), novelty=_file(raw, "novelty"),
                router_ngrams=_file(raw, "router_ngrams"), single=_file(raw, "single"),
                ngrams=tuple(File(**one) if one else None for one in raw.get("ngrams", ())),
                source=raw.get("source", {}),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{where}: damaged ({type(error).__name__}: {error}); {_AGAIN}") from None
        counts = {len(found.temperatures), *(len(part.experts) for part in graphs.values())}
        if found.ngrams:
            counts.add(len(found.ngrams))
        if not graphs or counts != {len(found.domains)}:
            raise ModelError(
                f"{where}: damaged (its {len(found.domains)} domains, graphs and temperatures do not match); {_AGAIN}"
            )
        return found

    def precision_for(self, engine: str, wanted: str | None) -> str:
        """The precision to run: the one wanted, else the best an engine makes of what is there.

        Raises:
            ConfigError: If the folder holds no such precision.
        """
        if wanted is not None:
            if wanted not in self.graphs:
                raise ConfigError(
                    f"precision {wanted!r}: this folder holds {', '.join(self.graphs)}; leave --dtype out, or export "
                    f"the mixture with --precision {wanted}"
                )
            return wanted
        order = ("int8", "bf16", "fp32") if engine == "onnxruntime" else ("bf16", "int8", "fp32")
        return next(name for name in order if name in self.graphs)


def _file(raw: Mapping[str, Any], part: str) -> File | None:
    """The record of a part that not every folder has."""
    return File(**raw[part]) if raw.get(part) else None
