"""A trained mixture behind the runtime's `Engine` interface, in torch.

Padded id arrays go in, probabilities and the router's weights come out as numpy arrays. Batching, order and answers
are the predictor's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from finsa_moe.data.encode import Encoded
from finsa_moe.errors import ConfigError
from finsa_moe.model.backbone import DTYPES, load_tokenizer, text_encoder
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.runtime.engine import Engine, Integers, Reals, Scores


class TorchEngine(Engine):
    """Runs a mixture's folder with torch.

    Args:
        folder: What `train-joint` or `merge` wrote.
        device: Torch device name; None picks a GPU when there is one.
        dtype: ``"float32"`` or ``"bfloat16"`` for the backbone; None keeps what it was trained with.
        gate: ``"hard"`` or ``"soft"``; None keeps the mixture's own setting.

    Raises:
        ModelError: If the folder is no whole mixture.
        ConfigError: If dtype or gate is unknown.
    """

    name = "torch"

    def __init__(
        self, folder: Path, device: str | None = None, dtype: str | None = None, gate: str | None = None
    ) -> None:
        if dtype is not None and dtype not in DTYPES:
            raise ConfigError(f"dtype {dtype!r}: allowed are {', '.join(DTYPES)}")
        if gate not in (None, "hard", "soft"):
            raise ConfigError(f"gate {gate!r}: allowed are hard, soft")
        self.folder = Path(folder)
        self.model = load_mixture(self.folder, device=device, dtype=dtype)
        if gate:
            self.model.config.gate = gate
        tokenizer = load_tokenizer(folder)
        config = self.model.config
        self.pad_id = int(tokenizer.pad_token_id)
        self.max_length = int(config.max_tokens)
        self.domains = tuple(config.domains)
        self.ngrams, self.router_ngrams = tuple(self.model.ngrams), self.model.router_ngrams
        self.soft = config.gate == "soft"
        self._encode = text_encoder(tokenizer, prompt=config.prompt, max_length=self.max_length)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As `Engine.encode`."""
        return self._encode(texts)

    def run(self, ids: Integers, mask: Integers, experts: Integers | None = None, prior: Reals | None = None) -> Scores:
        """As `Engine.run`; no novelty."""
        return self._run(ids, mask, experts, prior)

    def run_held(self, ids: Integers, mask: Integers, gate: Reals) -> Scores:
        """As `Engine.run_held`; no novelty."""
        return self._run(ids, mask, gate, None)

    @torch.inference_mode()
    def _run(self, ids: Integers, mask: Integers, experts: Integers | Reals | None, prior: Reals | None) -> Scores:
        there = self.model.device
        output = self.model(
            torch.from_numpy(ids).to(there), torch.from_numpy(mask).to(there),
            experts=None if experts is None else torch.from_numpy(experts).to(there),
            prior=None if prior is None else torch.from_numpy(prior).to(there),
        )  # fmt: skip
        assert output.soft_gate is not None
        probs, gate = output.logits.float().softmax(-1), output.soft_gate.float()
        return Scores(probs.cpu().numpy(), gate.cpu().numpy())
