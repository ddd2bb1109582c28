"""Tiny backbones of the six families, with random weights from a config and a tokenizer trained on texts made here.

A family's name goes in, a folder that `AutoModel` and `AutoTokenizer` load comes out; and rows with a learnable label.
Random weights are drawn wide, so that every layer, position and expert moves the output far above rounding.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, processors
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from finsa_moe.model.backbone import expert_targets, fingerprint, load_backbone, load_tokenizer
from finsa_moe.model.checkpoint import save_mixture
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.polarity import NAMES
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.training.corpus import SPECIAL, train_tokenizer

ENCODERS = ("bert", "roberta", "modernbert")
DECODERS = ("glm4", "qwen3", "llama", "internlm3", "gemma3_text")
FAMILIES = ("glm4", "qwen3", "llama", *ENCODERS)
WIDER = (*FAMILIES, "internlm3", "gemma3_text")

_WHO = {
    "news": ("锂电龙头", "某券商", "地产央企", "半导体厂", "白酒公司", "航运集团", "光伏企业", "城商行"),
    "forum": ("老铁们", "这票", "主力", "我的仓位", "庄家", "这破股", "散户", "隔壁老王"),
}
_WHAT = (
    ("业绩大跌", "被立案调查", "又要跌停", "亏损扩大", "减持套现", "订单流失"),
    ("召开股东会", "发布公告", "横盘整理", "更换办公地址", "维持不变", "等消息"),
    ("净利翻倍", "中标大单", "拉升封板", "回购增持", "突破新高", "产能释放"),
)
_WHEN = ("今天", "上午", "周三", "三季度", "昨晚", "2024年", "盘后", "下周")


def made_rows(domain: str, count: int, seed: int = 0) -> list[tuple[str, int]]:
    """(text, class id) rows; the label follows from the middle phrase, all classes as often as can be."""
    rng = np.random.default_rng([seed, *domain.encode()])
    who = _WHO.get(domain, _WHO["news"])
    rows = []
    for index in range(count):
        label = index % 3
        tail = f"，{rng.choice(_WHEN)}成交{rng.integers(1, 99)}亿" * int(rng.integers(0, 3))
        rows.append((f"{rng.choice(_WHEN)}{rng.choice(who)}{rng.choice(_WHAT[label])}{tail}", label))
    return rows


def write_rows(path: Path, rows: Sequence[tuple[str, int]], domain: str) -> None:
    """A split as `finsa prepare` writes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "domain"])
        writer.writerows([f"{domain}-{i}", text, NAMES[label], domain] for i, (text, label) in enumerate(rows))


@cache
def _trained() -> str:
    lines = [text for domain in _WHO for text, _ in made_rows(domain, 400, seed=9)]
    lines += [
        "判断这段文本是利空、中性还是利好。市场情绪：新闻评论倾向标的财经中文，请对下面一是相关发帖人的反映它条股吧"
    ] * 5
    return str(train_tokenizer(lines, vocab_size=320).to_str())


def tokenizer_for(family: str) -> PreTrainedTokenizerFast:
    """The tokenizer in the family's habit: decoders close no text, RoBERTa pads with token 1."""
    raw = json.loads(_trained())
    pad, unk = (1, 0) if family == "roberta" else (0, 1)
    if family == "roberta":
        vocab = raw["model"]["vocab"]
        vocab[0], vocab[1] = vocab[1], vocab[0]
        raw["model"]["unk_id"] = 0
        for added in raw["added_tokens"]:
            added["id"] = {0: 1, 1: 0}.get(added["id"], added["id"])
        raw["added_tokens"].sort(key=lambda token: token["id"])
    inner = Tokenizer.from_str(json.dumps(raw))
    assert (inner.token_to_id("[PAD]"), inner.token_to_id("[UNK]")) == (pad, unk)
    if family in DECODERS:
        inner.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=512, model_input_names=["input_ids", "attention_mask"],
        **{f"{name.strip('[]').lower()}_token": name for name in SPECIAL},
    )  # fmt: skip


def make_backbone(
    family: str, folder: Path, *, hidden: int = 32, layers: int = 2, seed: int = 0, **options: Any
) -> Path:
    """Write a tiny backbone and its tokenizer into `folder` and give the folder back."""
    tokenizer = tokenizer_for(family)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 2,
        "intermediate_size": 2 * hidden, "max_position_embeddings": 130 if family == "roberta" else 128,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": 2, "eos_token_id": 3, "initializer_range": 0.15,
    }  # fmt: skip
    if family in (*DECODERS, "gemma2", "qwen2_moe"):
        settings |= {"num_key_value_heads": 1, "head_dim": hidden // 2}
    if family == "qwen2_moe":
        settings |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": hidden // 2,
                     "shared_expert_intermediate_size": hidden}  # fmt: skip
    if family == "opt":
        settings |= {"ffn_dim": 2 * hidden, "word_embed_proj_dim": hidden}
    if family == "deberta-v2":
        settings |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    if family in ("t5", "bart"):
        settings |= {"d_model": hidden, "num_layers": layers, "encoder_layers": layers, "decoder_layers": layers}
    if family == "gemma3_text":  # one layer of each kind of attention here too
        settings |= {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    if family == "modernbert":  # one layer of each kind of attention, its window narrower than the longest test text
        settings |= {"global_attn_every_n_layers": 2, "local_attention": 16, "cls_token_id": 2, "sep_token_id": 3}
    config = AutoConfig.for_model(family, **(settings | options))
    torch.manual_seed(seed)
    backbone = AutoModel.from_config(config)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.ndim == 1:  # norms and biases are born as ones and zeros, which would hide what drops them
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "embed" in name:
                nn.init.normal_(parameter, std=0.5)
    backbone.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shake(module: nn.Module, seed: int = 0, scale: float = 0.1) -> None:
    """Random values for what is trained, so that no expert is the zero it was born as."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters(), key=lambda item: item[0]):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)


def make_mixture(
    folder: Path, domains: Sequence[str] = ("news", "forum"), *, rank: int = 4, seed: int = 0, **options: Any
) -> FinSAMoE:
    """An untrained mixture over the backbone in `folder`, in evaluation mode, its experts filled with random values."""
    backbone = load_backbone(str(folder), device="cpu")
    model = mixture_over(backbone, folder, domains, rank=rank, seed=seed, **options)
    for index, part in enumerate((model.bank, model.router, model.heads)):
        shake(part, seed + index)
    return model.eval()


def mixture_over(
    backbone: PreTrainedModel, folder: Path, domains: Sequence[str] = ("news", "forum"), *, rank: int = 4, seed: int = 0,
    **options: Any,
) -> FinSAMoE:  # fmt: skip
    """A mixture as `merge` makes it, over a backbone that is loaded; its experts are zero."""
    route_at = options.pop("route_at", 0.0)
    reference = {"name": str(folder), "fingerprint": fingerprint(backbone), "quantisation": "none", "dtype": "float32"}
    config = FinSAMoEConfig(
        domains=list(domains), backbone=reference, targets=expert_targets(backbone, route_at), rank=rank,
        scaling=[1.0 + 0.5 * index for index in range(len(domains))], route_at=route_at,
        hidden_size=backbone.config.hidden_size, **options,
    )  # fmt: skip
    torch.manual_seed(seed)
    return FinSAMoE(config, backbone)


def save_routing_both_ways(folder: Path, backbone: Path, **options: Any) -> None:
    """Save a mixture whose untrained router sends texts both ways, with its tokenizer."""
    texts = [text for domain in _WHO for text, _ in made_rows(domain, 20, seed=4)]
    options = {"prompt": "none", "max_tokens": 96, **options}
    for seed in range(30):
        model = make_mixture(backbone, seed=seed, **options)
        save_mixture(model, folder, tokenizer=load_tokenizer(backbone))
        used = [a.expert for a in Predictor(TorchEngine(folder, device="cpu")).predict(texts)]
        if all(used.count(name) >= len(texts) // 5 for name in model.config.domains):
            return
    raise AssertionError("no seed routes both ways")


def batch_of(
    texts: Sequence[Sequence[int]], pad: int, *, width: int = 0, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, int64 (batch, length), of token lists padded to `width` or the longest, on either side."""
    width = max(width, *map(len, texts))
    ids, mask = torch.full((len(texts), width), pad), torch.zeros(len(texts), width, dtype=torch.int64)
    for row, tokens in enumerate(texts):
        where = slice(width - len(tokens), width) if left else slice(0, len(tokens))
        ids[row, where], mask[row, where] = torch.tensor(tokens), 1
    return ids, mask
