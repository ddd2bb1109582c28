"""A joint training step: routing inside the pass against the published three passes, on one backbone.

The published form (docs/method.md, stage 3) is written here with peft's own adapters: one pass for the
router, one for each of two experts, hidden states summed with the router's weights. Ours is `FinSAMoE`. Time is taken
alternating in one process; memory, the peak over what was resident before the step, in a process for each form.

Run: ``python -m benchmarks.train_step``
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import Tensor, nn
from transformers import ModernBertConfig, ModernBertModel, PreTrainedModel

from benchmarks.measure import alternate, keep, ratio, resident
from finsa_moe.model.backbone import expert_targets, fingerprint, freeze
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.losses import AdaptiveBalancedLoss, balance_loss, routing_loss
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.router import Router, masked_mean
from finsa_moe.training.device import peak_memory

COUNTS = [1000, 1000, 1000]
FORMS = ("published", "published, router pass without gradient", "route_at 0.0", "route_at 0.25", "route_at 1.0")


class PublishedMoE(nn.Module):
    """Three whole passes a batch: router, expert 0, expert 1."""

    def __init__(self, backbone: PreTrainedModel, *, router_gradient: bool) -> None:
        super().__init__()
        self.router_gradient = router_gradient
        lora = LoraConfig(r=16, lora_alpha=16, lora_dropout=0.05, target_modules=expert_targets(backbone),
                          task_type=TaskType.FEATURE_EXTRACTION)  # fmt: skip
        self.peft = get_peft_model(backbone, lora, adapter_name="news")
        self.peft.add_adapter("forum", lora)
        size = backbone.config.hidden_size
        self.router, self.dropout, self.head = Router(size, 2), nn.Dropout(0.1), nn.Linear(size, 3)

    def _hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.peft(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, router logits and gate of a batch."""
        with torch.set_grad_enabled(self.router_gradient):
            read = self._hidden(ids, mask)[:, 0]  # fault (a): position 0
        router_logits = self.router(read)
        gate = router_logits.softmax(-1)
        states = []
        for name in ("news", "forum"):
            self.peft.set_adapter(name)
            states.append(self._hidden(ids, mask))
        for parameter_name, parameter in self.peft.named_parameters():  # set_adapter froze the other one
            parameter.requires_grad_("lora_" in parameter_name)
        hidden = (torch.stack(states, 1) * gate[:, :, None, None]).sum(1)
        return self.head(self.dropout(masked_mean(hidden, mask))), router_logits, gate


def new_backbone(size: int, layers: int) -> PreTrainedModel:
    """A random encoder of the compact backbone's kind."""
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=12000, hidden_size=size, num_hidden_layers=layers, num_attention_heads=size // 64,
        intermediate_size=size * 5 // 2, layer_types=["full_attention"] * layers, pad_token_id=0,
        bos_token_id=2, eos_token_id=3,
        cls_token_id=2, sep_token_id=3, attn_implementation="sdpa",
    )  # fmt: skip
    backbone = ModernBertModel(config)
    freeze(backbone)
    return backbone


def new_step(form: str, backbone: PreTrainedModel, batch: int, length: int) -> Callable[[], None]:
    """One optimisation step of a form, ready to call."""
    backbone = copy.deepcopy(backbone)
    model: Any
    if form.startswith("published"):
        model = PublishedMoE(backbone, router_gradient="without" not in form)
    else:
        route_at = float(form.split()[1])
        model = FinSAMoE(
            FinSAMoEConfig(
                domains=["news", "forum"], targets=expert_targets(backbone, route_at), rank=16, scaling=[1.0, 1.0],
                route_at=route_at, shared_head=True, expert_dropout=0.05,
                backbone={"name": "", "fingerprint": fingerprint(backbone), "quantisation": "none", "dtype": "float32"},
            ),
            backbone,
        )  # fmt: skip
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-4)
    classify = AdaptiveBalancedLoss(COUNTS)
    torch.manual_seed(1)
    ids, mask = torch.randint(5, 12000, (batch, length)), torch.ones(batch, length, dtype=torch.long)
    labels, domains = torch.randint(0, 3, (batch,)), torch.randint(0, 2, (batch,))

    def step() -> None:
        if isinstance(model, FinSAMoE):
            output = model(ids, mask)
            logits, routed, gate = output.logits, output.router_logits, output.soft_gate
        else:
            logits, routed, gate = model(ids, mask)
        loss = classify(logits, labels) + 1.5 * routing_loss(routed, domains) + 0.05 * balance_loss(gate)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def memory(form: str, args: argparse.Namespace) -> float:
    """MiB that three steps of a form add to what was resident before them, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.train_step", "--memory-of", form, "--size", str(args.size),
               "--layers", str(args.layers), "--batch", str(args.batch), "--length", str(args.length)]  # fmt: skip
    return float(
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    backbone = new_backbone(args.size, args.layers)
    if args.memory_of:
        step = new_step(args.memory_of, backbone, args.batch, args.length)
        before = resident()
        for _ in range(3):
            step()
        print(json.dumps(peak_memory() - before))
        return
    steps = {form: new_step(form, backbone, args.batch, args.length) for form in FORMS}
    seconds = alternate(steps, runs=args.runs)
    peaks = {form: memory(form, args) for form in FORMS}
    result: dict[str, Any] = {"setting": {k: v for k, v in vars(args).items() if k != "memory_of"}, "forms": {}}
    print(f"{'form':44s} {'texts/s':>8s} {'x published':>22s} {'peak MiB':>9s} {'of published':>13s}")
    for form in FORMS:
        rate = args.batch / statistics.median(seconds[form])
        faster = ratio(seconds["published"], seconds[form])
        share = peaks[form] / peaks["published"]
        result["forms"][form] = {"texts_per_second": rate, "times_published": faster, "peak_mib": peaks[form],
                                 "memory_of_published": share}  # fmt: skip
        spread = f"{faster['median']:.2f} ({faster['low']:.2f}-{faster['high']:.2f})"
        print(f"{form:44s} {rate:8.1f} {spread:>22s} {peaks[form]:9.0f} {share:13.2f}")
    print(keep("train_step", result))


if __name__ == "__main__":
    main()
