"""What a mixture says of rows without being trained on them: an expert's answers, the states its router reads.

Rows and a mixture go in, class ids and tensors in the order of the rows come out. Nothing here trains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finsa_moe.data.encode import TextEncoder
from finsa_moe.model.backbone import load_tokenizer, text_encoder
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.replay import routed_states
from finsa_moe.training.batches import Collator, EncodedRows, Rows

SAMPLE = 1000
"""Rows by which experts are compared before a new one is trained."""
SEEN = 4000
"""Texts of each domain whose states are sketched."""


def encoder_of(folder: Path, model: FinSAMoE) -> TextEncoder:
    """The encoder that a mixture's folder asks for."""
    return text_encoder(load_tokenizer(folder), prompt=model.config.prompt, max_length=model.config.max_tokens)


@torch.inference_mode()
def answers(model: FinSAMoE, encode: TextEncoder, rows: Rows, expert: int) -> list[int]:
    """The class ids (n,) that one expert gives."""
    batches, order = _batches(encode, rows)
    found: list[int] = []
    for batch in batches:
        forced = torch.full((len(batch["input_ids"]),), expert, device=model.device)
        ids, mask = (batch[name].to(model.device) for name in ("input_ids", "attention_mask"))
        found += model(ids, mask, forced).logits.argmax(-1).tolist()
    return [found[at] for at in np.argsort(order).tolist()]


def states_of(model: FinSAMoE, encode: TextEncoder, rows: Rows) -> Tensor:
    """The pooled states that the router reads, float32 (n, d)."""
    batches, order = _batches(encode, rows)
    return routed_states(model, batches)[np.argsort(order).tolist()]


def drawn(rows: Rows, most: int = SAMPLE) -> Rows:
    """At most so many of some rows, evenly drawn."""
    at = np.linspace(0, len(rows.texts) - 1, min(most, len(rows.texts))).astype(int).tolist()
    return Rows(rows.file, [rows.texts[i] for i in at], [rows.labels[i] for i in at])


def _batches(encode: TextEncoder, rows: Rows, size: int = 32) -> tuple[list[dict[str, Tensor]], list[int]]:
    """Batches by length, and the row at each place in them."""
    encoded = EncodedRows([(rows, 0)], encode)
    order = np.argsort(encoded.lengths, kind="stable").tolist()
    collate = Collator(encode.pad_id)
    return [collate([encoded[at] for at in order[i : i + size]]) for i in range(0, len(order), size)], order
