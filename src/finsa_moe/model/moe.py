"""FinSAMoE: a frozen backbone, an expert bank, a router that opens it within the pass, and the experts' heads.

Token ids and a mask go in; class logits, the gate and the router's logits come out. Losses and training live
elsewhere, and so do files (`checkpoint`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from finsa_moe.data.ngrams import NGrams
from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import DTYPES, freeze, last_hidden, layer_stack, route_layer
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.experts import ExpertBank
from finsa_moe.model.router import ExpertHeads, Router, masked_mean, one_hot, straight_through, with_prior
from finsa_moe.polarity import NAMES


@dataclass
class FinSAOutput(SequenceClassifierOutput):
    """Output of the mixture.

    Attributes:
        logits: (batch, 3) class logits.
        router_logits: (batch, E), before softmax; a prior counted in.
        soft_gate: (batch, E) softmax of the router's logits, whatever expert was run.
        pooled: (batch, d) masked mean of the last hidden states.
    """

    router_logits: Tensor | None = None
    soft_gate: Tensor | None = None
    pooled: Tensor | None = None


@dataclass
class _Pass:
    """What the router needs to know of the pass it stands in, and what it decided."""

    mask: Tensor
    experts: Tensor | None = None
    prior: Tensor | None = None
    router_logits: Tensor | None = None
    gate: Tensor | None = None


class FinSAMoE(PreTrainedModel):
    """A mixture of LoRA experts over one frozen backbone.

    The trunk, all layers below ``route_at``, runs without experts; at the entry of the next layer the router reads the
    masked mean of the hidden state and its gate opens the experts of the layers above. One pass, in training and at
    inference. With ``route_at`` 1.0 the plain backbone runs first, the router reads its last hidden state, and a
    second pass has experts in every layer: the paper's form.

    Args:
        config: Shape of the mixture.
        backbone: The loaded network; it is frozen here.
    """

    config_class = FinSAMoEConfig
    config: FinSAMoEConfig
    base_model_prefix = "backbone"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the Trainer takes the `**_` of `forward` for a loss that heeds accumulation

    def __init__(self, config: FinSAMoEConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        if backbone is None:
            raise ModelError("a mixture's configuration alone holds no backbone; use from_pretrained, with its folder")
        freeze(backbone)
        self.backbone = backbone
        size, experts = backbone.config.get_text_config().hidden_size, len(config.domains)
        self.bank = ExpertBank(backbone, config.targets, config.scaling, config.rank, config.expert_dropout)
        self.router = Router(size, experts, config.router_hidden, config.router_dropout, config.router_grown)
        self.heads = ExpertHeads(size, experts, len(NAMES), config.head_dropout, config.shared_head)
        # tables of n-grams are read by the predictor, not by `forward`, which sees no text
        self.ngrams: list[NGrams | None] = [None] * experts
        self.router_ngrams: NGrams | None = None
        self.harden = False
        self._recompute = False
        self._pass: _Pass | None = None
        if config.route_at < 1.0:
            _, layers = layer_stack(backbone)
            layers[route_layer(backbone, config.route_at)].register_forward_pre_hook(self._route, with_kwargs=True)
        self.router.to(backbone.device)
        self.heads.to(backbone.device)

    def train(self, mode: bool = True) -> FinSAMoE:
        """Set the mode of what is trained; the frozen backbone stays in evaluation mode."""
        super().train(mode)
        if hasattr(self, "backbone"):
            self.backbone.eval()
            if mode and self._recompute:
                self.backbone.train()  # layers checkpoint in training mode only; their dropout is 0 since `freeze`
        return self

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Recompute the backbone's layers in the backward pass instead of keeping their states."""
        self.backbone.gradient_checkpointing_enable({"use_reentrant": False})
        self._recompute = True

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        experts: Tensor | None = None,
        labels: Tensor | None = None,
        prior: Tensor | None = None,
        **_: Any,
    ) -> FinSAOutput:
        """Run the mixture.

        Args:
            input_ids: int64 (batch, length), padded on either side.
            attention_mask: 1 for real tokens; None when nothing is padded.
            experts: int64 (batch,): this expert for that text, -1 to let the router choose. None routes all. A floating
                (batch, E) is the gate itself, so that it can be held while a text changes.
            labels: int64 (batch,); adds a plain cross-entropy ``loss``. Training uses `losses` instead.
            prior: Floating (batch, E), added to the router's logits (`router.with_prior`).
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        this = self._pass = _Pass(mask, experts, prior)
        self.bank.gate.close()
        try:
            if self.config.route_at >= 1.0:
                with torch.no_grad():
                    plain = last_hidden(self.backbone, input_ids, attention_mask)
                self._open(plain)
            hidden = last_hidden(self.backbone, input_ids, attention_mask)
        finally:
            self._pass = None
        assert this.gate is not None
        assert this.router_logits is not None
        pooled = masked_mean(hidden, mask)
        logits = self.heads(pooled.to(self.heads.weight.dtype), this.gate)
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return FinSAOutput(
            loss=loss,
            logits=logits,
            router_logits=this.router_logits,
            soft_gate=this.router_logits.softmax(-1),
            pooled=pooled,
        )

    def _route(self, _layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pre-hook of the first layer with experts."""
        if self._pass is not None:  # a recomputed layer finds the gate as it was left
            self._open(args[0] if args else kwargs["hidden_states"])

    def _open(self, hidden: Tensor) -> None:
        """Ask the router and open the experts for the rest of the pass."""
        this = self._pass
        assert this is not None
        pooled = masked_mean(hidden, this.mask)
        this.router_logits = self.router(pooled.to(next(self.router.parameters()).dtype))
        if this.prior is not None:
            this.router_logits = with_prior(this.router_logits, this.prior)
        soft = this.router_logits.softmax(-1)
        if self.training:
            gate = straight_through(soft) if self.harden else soft
        else:
            gate = one_hot(soft) if self.config.gate == "hard" else soft
        if this.experts is not None and this.experts.is_floating_point():
            gate = this.experts.to(gate.dtype)
        elif this.experts is not None:
            forced = nn.functional.one_hot(this.experts.clamp(min=0), soft.shape[-1]).to(gate.dtype)
            gate = torch.where((this.experts >= 0).unsqueeze(-1), forced, gate)
        this.gate = self.bank.gate.weights = gate
        self.bank.gate.length = hidden.shape[1]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Write the mixture's folder (see `checkpoint`); the tokenizer is saved by its own `save_pretrained`."""
        from finsa_moe.model.checkpoint import save_mixture

        save_mixture(self, Path(save_directory), tokenizer=kwargs.get("tokenizer"))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *_: Any, **kwargs: Any) -> FinSAMoE:  # type: ignore[override]
        """Read a mixture's folder.

        Args:
            pretrained_model_name_or_path: The folder.
            kwargs: ``device`` and ``dtype`` (of the backbone: ``"float32"``, ``"bfloat16"``, or ``"auto"`` for the one
                it was trained with) are heeded.

        Raises:
            ModelError: If a file is missing, damaged, or the backbone is another than the mixture was trained on.
        """
        from finsa_moe.model.checkpoint import load_mixture

        dtype = str(kwargs.get("dtype") or "auto").removeprefix("torch.")
        if dtype not in ("auto", *DTYPES):
            raise ModelError(f"dtype {dtype}: allowed are auto, {', '.join(DTYPES)}")
        return load_mixture(
            Path(pretrained_model_name_or_path), device=kwargs.get("device"), config=kwargs.get("config"),
            dtype=None if dtype == "auto" else dtype,
        )  # fmt: skip


AutoConfig.register("finsa_moe", FinSAMoEConfig, exist_ok=True)
AutoModel.register(FinSAMoEConfig, FinSAMoE, exist_ok=True)
AutoModelForSequenceClassification.register(FinSAMoEConfig, FinSAMoE, exist_ok=True)
