"""One graph of a whole mixture, for who has ONNX Runtime and nothing of ours; written, proved and noted as others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finsa_moe.data.encode import Encoded
from finsa_moe.errors import ModelError
from finsa_moe.export.parity import Parity, Reference
from finsa_moe.export.traced import Traced, forms
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.engine import Engine, Integers, Reals, Scores, softmax
from finsa_moe.runtime.folder import File, Manifest
from finsa_moe.runtime.sessions import open_session

SINGLE = "single.onnx"


class SingleEngine(Engine):
    """That graph behind the `Engine` interface, its temperatures undone; its own router chooses the expert.

    Args:
        path: The graph.
        precision: How it is stored.
        mixture: What it was made of, whose tokenizer it shares.
        temperatures: By expert, as the graph has them.
    """

    def __init__(self, path: Path, precision: str, mixture: TorchEngine, temperatures: tuple[float, ...]) -> None:
        self.name = f"{SINGLE} {precision}"
        self.domains, self.max_length, self.pad_id = mixture.domains, mixture.max_length, mixture.pad_id
        self._mixture = mixture
        self._temperatures = np.array(temperatures, dtype=np.float32)
        self._session = open_session(path.read_bytes(), "onnxruntime", precision, 1, str(path))

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As `Engine.encode`."""
        return self._mixture.encode(texts)

    def run(self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None) -> Scores:
        """Score one batch padded on the right; every choice must be left to its own router."""
        assert experts is None or (experts < 0).all()
        assert prior is None
        probs, gate = self._session(ids, mask)
        heat = self._temperatures[gate.argmax(axis=1), None]
        return Scores(softmax(np.log(np.maximum(probs, 1e-30)) * heat), gate)


def write_single(traced: Traced, reference: Reference, manifest: Manifest, working: Path) -> tuple[File, Parity]:
    """Write the graph in a precision whose graphs were kept, bfloat16 where it is, and compare it with the mixture.

    Raises:
        ModelError: If it does not answer as the mixture does.
    """
    precision = next(name for name in ("bf16", "fp32", "int8") if name in manifest.graphs)
    path = working / SINGLE
    for spare in forms(precision):
        traced.write_whole(path, precision, manifest.temperatures, spare=spare)
        parity = reference.routed(SingleEngine(path, precision, traced.engine, manifest.temperatures))
        if parity.holds:
            return File.of(path), parity
    raise ModelError(f"--single: the graph does not answer as the mixture does; {parity.complaint()}; leave it out")
