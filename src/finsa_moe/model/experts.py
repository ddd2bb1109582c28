"""The expert bank: E low-rank experts beside each frozen linear of a backbone, opened by a gate per text.

Adapters in peft's layout go in and out by name. The backbone's own modules stay as they are: each expert adds to its
linear's output through a forward hook. The bank does not know how the gate is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from finsa_moe.errors import ModelError
from finsa_moe.model.adapter import PREFIX


class Gate:
    """The opening of every expert for the texts of the current pass, shared by all modules of a bank.

    Attributes:
        weights: (batch, E); None while it is closed.
        length: Tokens of each text, padding counted in.
    """

    def __init__(self) -> None:
        self.weights: Tensor | None = None
        self.length = 1

    def close(self) -> None:
        """No expert adds anything: the plain backbone."""
        self.weights = None


class LowRankExperts(nn.Module):
    """Experts of one linear: y += Σ_e g_e · s_e · B_e A_e x, all of them in two matrix products.

    The form is LoRA (Hu et al. 2021, eq. 3) summed over experts. A is kept as (experts, rank, in) and B as
    (experts, rank, out), so that both products read them without a copy.
    """

    def __init__(self, linear: nn.Linear, scaling: Sequence[float], rank: int, dropout: float, gate: Gate) -> None:
        super().__init__()
        experts = len(scaling)
        self.gate = gate
        self.dropout = nn.Dropout(dropout)
        device = linear.weight.device
        self.lora_a = nn.Parameter(torch.zeros(experts, rank, linear.in_features, device=device))
        self.lora_b = nn.Parameter(torch.zeros(experts, rank, linear.out_features, device=device))
        self.register_buffer("scaling", torch.tensor(scaling, device=device), persistent=False)

    def add(self, _linear: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Forward hook of the frozen linear: add what the open experts say.

        Raises:
            ModelError: If the linear is shown tokens of which nobody can tell whose they are.
        """
        gate = self.gate.weights
        if gate is None:
            return output
        experts, rank, _ = self.lora_a.shape
        scale: Tensor = self.scaling  # type: ignore[assignment]
        low = self.dropout(args[0].to(self.lora_a.dtype)) @ self.lora_a.flatten(0, 1).T
        weights = (gate.to(low.dtype) * scale.to(low.dtype)).repeat_interleave(rank, dim=1)
        if len(low) != len(weights):  # not (batch, …, in); OPT has (batch · length, in)
            if low.dim() > 2 or len(low) != len(weights) * self.gate.length:
                raise ModelError(
                    f"a layer with experts is given {len(low)} rows for {len(weights)} texts of {self.gate.length} "
                    "tokens, of which nobody can tell whose they are; this family is not supported, take another"
                )
            weights = weights.repeat_interleave(self.gate.length, dim=0)
        # (batch, E) stands for every token of its text, however many axes lie between
        low = low * weights.view(len(weights), *[1] * (low.dim() - 2), experts * rank)
        added: Tensor = output + (low @ self.lora_b.flatten(0, 1)).to(output.dtype)
        return added


class ExpertBank(nn.Module):
    """All experts of a mixture over one backbone.

    Args:
        backbone: The frozen network; hooks are put on its linears.
        targets: Full names of the linears that carry experts.
        scaling: alpha / rank of each expert.
        rank: Inner size, the same for all.
        dropout: On the experts' input while training.
    """

    def __init__(
        self, backbone: nn.Module, targets: Sequence[str], scaling: Sequence[float], rank: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.gate = Gate()
        self.targets = list(targets)
        self.rank = rank
        self.linears = nn.ModuleDict()
        self._hooks: list[RemovableHandle] = []
        for target in targets:
            try:
                linear = backbone.get_submodule(target)
            except AttributeError:
                raise ModelError(f"{target}: an expert stands there, but the backbone has no such layer") from None
            if not isinstance(linear, nn.Linear):
                raise ModelError(f"{target}: an expert needs a linear layer, found {type(linear).__name__}")
            experts = LowRankExperts(linear, scaling, rank, dropout, self.gate)
            self.linears[target.replace(".", "/")] = experts
            self._hooks.append(linear.register_forward_hook(experts.add))

    def _at(self, target: str) -> LowRankExperts:
        module = self.linears[target.replace(".", "/")]
        assert isinstance(module, LowRankExperts)
        return module

    def update(self, target: str, expert: int) -> Tensor:
        """What one expert adds to the weight of one linear, s · B A, float32 (out, in)."""
        module = self._at(target)
        scale: Tensor = module.scaling  # type: ignore[assignment]
        return (scale[expert] * (module.lora_b[expert].T @ module.lora_a[expert])).detach().float().cpu()

    def adapter(self, expert: int) -> dict[str, Tensor]:
        """One expert in peft's layout: ``<linear>.lora_A.weight`` (rank, in) and ``lora_B.weight`` (out, rank)."""
        state = {}
        for target in self.targets:
            module = self._at(target)
            state[f"{PREFIX}{target}.lora_A.weight"] = module.lora_a[expert].detach().cpu().clone().contiguous()
            state[f"{PREFIX}{target}.lora_B.weight"] = module.lora_b[expert].detach().cpu().T.clone().contiguous()
        return state

    def load_adapter(self, expert: int, state: Mapping[str, Tensor]) -> None:
        """Fill one expert from tensors in peft's layout, which must be just those of `adapter`.

        Raises:
            ModelError: If a tensor is missing, unknown, or of another shape.
        """
        known = {f"{PREFIX}{t}.lora_{m}.weight" for t in self.targets for m in "AB"}
        if odd := sorted(known ^ set(state)):
            word = "lacks" if odd[0] in known else "has an unknown tensor"
            raise ModelError(f"adapter {word} {odd[0]} ({len(odd)} such); was it trained with other target modules?")
        with torch.no_grad():
            for target in self.targets:
                module = self._at(target)
                a = state[f"{PREFIX}{target}.lora_A.weight"]
                b = state[f"{PREFIX}{target}.lora_B.weight"].T
                for ours, theirs in ((module.lora_a, a), (module.lora_b, b)):
                    if ours[expert].shape != theirs.shape:
                        found, expected = tuple(theirs.shape), tuple(ours[expert].shape)
                        raise ModelError(f"adapter tensor of {target}: shape {found}, expected {expected}")
                    ours[expert].copy_(theirs)
