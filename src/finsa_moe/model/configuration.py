"""The configuration of a mixture, as transformers keeps it in ``config.json``.

It names the domains, the shape of experts and router, the prompt and the backbone. It holds no weights and knows no
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig

from finsa_moe.data.domains import check_domain
from finsa_moe.errors import ModelError
from finsa_moe.polarity import NAMES


class FinSAMoEConfig(PretrainedConfig):
    """Shape of a FinSA mixture.

    Args:
        domains: Names of the experts' domains; their order is the expert id.
        backbone: ``name`` (folder or hub name), ``fingerprint``, ``quantisation``, ``dtype`` of the frozen network.
        targets: Full names of the linears that carry experts.
        rank: LoRA rank, the same for all experts.
        scaling: alpha / rank of each expert.
        route_at: Fraction of the depth at which the router reads; 1.0 is the paper's two-pass form.
        shared_head: One head for all experts (the paper's form) instead of one each.
        router_grown: How many domains, the last ones, were added to the finished mixture.
        router_ngrams: Whether a table of n-grams belongs to the router.
        gate: ``"hard"`` runs the top expert alone at inference, ``"soft"`` the weighted sum.
        prompt: Name or template of `finsa_moe.data.encode`.
        max_tokens: Most tokens of a text with its prompt.
    """

    model_type = "finsa_moe"

    def __init__(
        self,
        domains: Sequence[str] = (),
        backbone: dict[str, Any] | None = None,
        targets: Sequence[str] = (),
        rank: int = 16,
        scaling: Sequence[float] = (),
        route_at: float = 0.0,
        shared_head: bool = False,
        router_hidden: int = 64,
        router_dropout: float = 0.1,
        router_grown: int = 0,
        router_ngrams: bool = False,
        head_dropout: float = 0.1,
        expert_dropout: float = 0.05,
        gate: str = "hard",
        prompt: str = "none",
        max_tokens: int = 512,
        hidden_size: int = 0,
        **kwargs: Any,
    ) -> None:
        self.domains = [check_domain(name) for name in domains]
        if len(set(self.domains)) != len(self.domains):
            raise ModelError(f"domains {', '.join(self.domains)}: a name stands twice; give each expert its own")
        self.backbone = backbone or {}
        self.targets = list(targets)
        self.rank = rank
        self.scaling = [float(s) for s in scaling]
        self.route_at = route_at
        self.shared_head = shared_head
        self.router_hidden = router_hidden
        self.router_dropout = router_dropout
        self.router_grown = router_grown
        self.router_ngrams = router_ngrams
        self.head_dropout = head_dropout
        self.expert_dropout = expert_dropout
        self.gate = gate
        self.prompt = prompt
        self.max_tokens = max_tokens
        self.hidden_size = hidden_size
        kwargs.setdefault("id2label", dict(enumerate(NAMES)))
        kwargs.setdefault("label2id", {name: index for index, name in enumerate(NAMES)})
        super().__init__(**kwargs)
