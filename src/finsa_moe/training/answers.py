"""What a backbone trained on tasks answers to a text: the folder of `finsa adapt`, its heads still on it.

Texts in, the shares of a task's classes out. Such answers of several backbones, averaged, are what a smaller or newer
model is taught by (`finsa adapt --soft`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from finsa_moe.data.encode import TextEncoder
from finsa_moe.errors import ModelError
from finsa_moe.files import read_json
from finsa_moe.model.backbone import last_hidden, load_backbone, load_tokenizer, text_encoder
from finsa_moe.model.router import masked_mean
from finsa_moe.training.expert import longest
from finsa_moe.training.heads import HEAD_FACTS, read_heads


class TaskModelAnswers:
    """A folder that `finsa adapt` wrote, answering.

    Args:
        folder: The folder.
        device: Torch device name; None picks a GPU when there is one.
        max_length: Tokens a text is cut to; no more than the backbone has positions for.
        bf16: Compute in bfloat16, twice as fast where the processor knows it; shares change in the third digit.

    Raises:
        ModelError: If the folder is no finished one, or was written before heads were kept.
    """

    def __init__(self, folder: Path, *, device: str | None = None, max_length: int = 256, bf16: bool = False) -> None:
        self._heads = read_heads(folder)
        self._bf16 = bf16
        self._backbone = load_backbone(str(folder), device=device).eval()
        self.classes = {name: head.names for name, head in self._heads.items()}
        """Names of each task's classes, in the order of its head."""
        prompt = read_json(folder / HEAD_FACTS).get("prompt", "none")  # which folders of earlier versions do not tell
        tokenizer, longest_ = load_tokenizer(str(folder)), longest(self._backbone, max_length)
        self._encode = text_encoder(tokenizer, prompt=prompt, max_length=longest_)

    @torch.inference_mode()
    def states(self, texts: Sequence[str], *, batch_tokens: int = 8192) -> Tensor:
        """Pooled states, float32 (n, d), from which every task's shares follow.

        Args:
            texts: Raw texts, (n,).
            batch_tokens: Most tokens at once, padding counted.
        """
        return answer_states(self._backbone, self._encode, texts, batch_tokens=batch_tokens, bf16=self._bf16)

    def shares(self, states: Tensor, task: str) -> NDArray[np.float32]:
        """Shares (n, classes) of a task's classes, rows that sum to 1; a polarity's as bearish, neutral, bullish.

        Args:
            states: What `states` gave, (n, d).
            task: A name given to `finsa adapt`.

        Raises:
            ModelError: For a task the folder does not know.
        """
        if task not in self.classes:
            raise ModelError(f"no task {task!r}; this backbone was trained on {', '.join(self.classes)}")
        head = self._heads[task]
        weight, bias = (part.float().to(states.device) for part in head.polarity() or (head.weight, head.bias))
        found: NDArray[np.float32] = (states @ weight.T + bias).softmax(-1).cpu().numpy()
        return found


def answer_states(
    backbone: PreTrainedModel, encode: TextEncoder, texts: Sequence[str], *, batch_tokens: int = 8192,
    bf16: bool = False,
) -> Tensor:  # fmt: skip
    """Masked means of a backbone's last hidden states, float32 (n, d).

    Args:
        backbone: As loaded, or with peft's layers in it.
        encode: Its encoder.
        texts: Raw texts, (n,).
        batch_tokens: Most tokens at once, padding counted.
        bf16: Compute in bfloat16.
    """
    packed, starts = encode.packed(texts)
    lengths, device = np.diff(starts), backbone.device
    found = torch.zeros(len(lengths), backbone.config.get_text_config().hidden_size, device=device)
    left = np.argsort(lengths, kind="stable").tolist()
    while left:
        fitting = max(1, batch_tokens // int(lengths[left[-1]]))
        batch, left = left[-fitting:], left[:-fitting]
        parts = [torch.tensor(packed[starts[at] : starts[at + 1]], dtype=torch.long) for at in batch]
        ids = pad_sequence(parts, batch_first=True, padding_value=encode.pad_id).to(device)
        mask = pad_sequence([torch.ones_like(part) for part in parts], batch_first=True).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            found[batch] = masked_mean(last_hidden(backbone, ids, mask), mask).float()
    return found
