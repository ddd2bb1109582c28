"""A trained mixture cut at the route into modules with nothing conditional in them: one trunk, one expert a domain.

Each keeps the backbone's own forward pass and only taps it at the entry of the routed layer, so any family that the
mixture runs on is cut alike; what lies on the other side of the cut is dead code, which tracing drops. Nothing here
writes a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import first_expert_layer, layer_stack
from finsa_moe.model.backbone import route_layer as backbone_route_layer
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.router import masked_mean

LARGEST = 400_000_000
"""Most parameters of a backbone that is exported: every expert takes a merged copy, and one graph holds under 2 GiB."""
MOST_BYTES = 2**31
"""Of one graph: protobuf's limit."""


class Trunk(nn.Module):
    """All that comes before the experts: the layers under the route, and the router.

    With ``route_at`` 1.0 the router reads the plain backbone's last hidden state, and the experts begin at layer 0.
    """

    def __init__(self, model: FinSAMoE) -> None:
        super().__init__()
        self.backbone = _plain(model)
        self.router = model.router
        self.last = model.config.route_at >= 1.0
        self._hidden: Tensor | None = None
        _routed_layer(self.backbone, model.config.route_at).register_forward_pre_hook(self._tap, with_kwargs=True)

    def _tap(self, _layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._hidden = args[0] if args else kwargs["hidden_states"]

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states (b, t, d) at the route and router logits (b, E).

        Args:
            ids: Token ids, int64 (b, t), padded on the right.
            mask: 1 for a token, 0 for padding, int64 (b, t).
        """
        last = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden, self._hidden = self._hidden, None
        assert hidden is not None
        return hidden, self.router(masked_mean(last if self.last else hidden, mask))


class Expert(nn.Module):
    """One expert alone: the layers from the route up with its low-rank update merged into the weights, and its head."""

    def __init__(self, model: FinSAMoE, expert: int) -> None:
        super().__init__()
        self.backbone = _plain(model)
        with torch.no_grad():
            for target in model.bank.targets:
                linear = self.backbone.get_submodule(target)
                assert isinstance(linear, nn.Linear)
                linear.weight += model.bank.update(target, expert).to(linear.weight.dtype)
        at = 0 if model.heads.shared else expert
        self.weight, self.bias = nn.Parameter(model.heads.weight[at]), nn.Parameter(model.heads.bias[at])
        self._hidden: Tensor | None = None
        _routed_layer(self.backbone, model.config.route_at).register_forward_pre_hook(self._put, with_kwargs=True)

    def _put(self, _layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self._hidden is not None
        if args:
            return (self._hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._hidden}

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (b, 3) and the pooled state (b, d) of the trunk's hidden states (b, t, d) and mask (b, t)."""
        self._hidden = hidden
        last = self.backbone(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
        self._hidden = None
        pooled = masked_mean(last, mask)
        return nn.functional.linear(pooled, self.weight, self.bias), pooled


class Whole(nn.Module):
    """Trunk and all experts as one: every expert is run and the router's choice taken."""

    def __init__(self, trunk: Trunk, experts: Sequence[Expert], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.trunk = trunk
        self.experts = nn.ModuleList(experts)
        self.temperatures = nn.Parameter(torch.tensor(temperatures).view(1, -1, 1), requires_grad=False)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated class probabilities (b, 3) of the routed expert, and the router's weights (b, E)."""
        hidden, router_logits = self.trunk(ids, mask)
        logits = torch.stack([expert(hidden, mask)[0] for expert in self.experts], 1) / self.temperatures
        gate = nn.functional.one_hot(router_logits.argmax(-1), len(self.experts)).to(logits.dtype)
        return (gate.unsqueeze(-1) * logits).sum(1).softmax(-1), router_logits.softmax(-1)


def check_exportable(config: FinSAMoEConfig, backbone: PreTrainedModel, *, single: int = 0) -> None:
    """Refuse what an export would not serve.

    Args:
        config: The mixture's.
        backbone: Its backbone, with weights or without.
        single: Bytes that a number takes in one graph of all; 0 where there shall be none.

    Raises:
        ModelError: For a backbone that is quantised, very large, or whose embeddings are not as wide as its layers, for
            a mixture with a soft gate, and where one graph of all would be too large to be written.
    """
    remedy = "run it with torch instead: `finsa predict --model` takes the folder as it is"
    if config.backbone["quantisation"] != "none":
        raise ModelError(
            f"the backbone is held in {config.backbone['quantisation']}, which graphs cannot keep; {remedy}"
        )
    if config.gate != "hard":
        raise ModelError(
            f"the mixture's gate is {config.gate!r}: it mixes all experts for each text, and the graphs run one; "
            f"train with --set gate=hard, or {remedy}"
        )
    size, kind = numbers(backbone), backbone.config.model_type
    if size > LARGEST:
        raise ModelError(
            f"the backbone has {size / 1e6:,.0f} M parameters, and {len(config.domains)} merged copies of it would be "
            f"made; up to {LARGEST / 1e6:.0f} M are exported; {remedy}"
        )
    width = backbone.config.get_text_config().hidden_size
    embeddings = backbone.get_input_embeddings().weight
    assert isinstance(embeddings, Tensor)
    wide = embeddings.shape[-1]
    if wide != width:  # an expert's graph takes hidden states where the backbone's own pass takes embeddings
        raise ModelError(
            f"the backbone ({kind}) has embeddings of {wide} numbers and hidden states of {width}, which graphs cannot "
            f"take for one another; {remedy}"
        )
    layers = layer_stack(backbone)[1]
    upper = numbers(layers[first_expert_layer(backbone, config.route_at) :])
    trunk = size if config.route_at >= 1.0 else size - upper
    whole = single * (trunk + len(config.domains) * upper)
    if whole > MOST_BYTES:
        raise ModelError(
            f"--single: one graph of all would have {whole / 2**30:.1f} GiB, and a file of its format holds under "
            f"{MOST_BYTES / 2**30:.0f}; leave --single out"
        )


def numbers(module: nn.Module) -> int:
    """How many numbers a network's parameters are."""
    return sum(p.numel() for p in module.parameters())


def _plain(model: FinSAMoE) -> PreTrainedModel:
    """A copy of the frozen backbone in float32, without the mixture's hooks."""
    backbone = model.backbone
    copy: PreTrainedModel = AutoModel.from_config(backbone.config)
    copy.float()
    copy.load_state_dict({name: value.float().cpu() for name, value in backbone.state_dict().items()})
    copy.requires_grad_(False)
    if hasattr(copy.config.get_text_config(), "use_cache"):
        copy.config.get_text_config().use_cache = False
    copy.eval()
    return copy


def route_layer(backbone: PreTrainedModel, route_at: float) -> int:
    """Layers that stand in the trunk; all of them when the router reads the last one (``route_at`` 1.0)."""
    return len(layer_stack(backbone)[1]) if route_at >= 1.0 else backbone_route_layer(backbone, route_at)


def _routed_layer(backbone: PreTrainedModel, route_at: float) -> nn.Module:
    _, layers = layer_stack(backbone)
    return layers[first_expert_layer(backbone, route_at)]
