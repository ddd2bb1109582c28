"""Any Hugging Face text classifier, a folder or a hub name, answering as it stands.

Its own labels are mapped to the three polarities by their words, or by a map the user gives. It is not trained here
(``finetune`` does that, from a backbone); the rows given to `fit` change nothing. It knows no label by number.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from finsa_moe import hub
from finsa_moe.errors import ModelError
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals
from finsa_moe.polarity import ENGLISH, NAMES, LabelMap, Polarity

if not sys.stderr.isatty():
    disable_progress_bar()


class HuggingFaceClassifier:
    """A sequence classifier; probabilities of labels that mean the same polarity are added.

    Args:
        name: Folder, or hub name (the only case in which the network is used).
        labels: How its labels are to be read, as `LabelMap.parse` takes it; left out, by their words.
        max_length: Tokens that a text is cut to, or fewer where its positions end before.
        batch_size: Texts at once.
        device: Torch device name; None picks a GPU when there is one.

    Raises:
        ModelError: If it cannot be loaded, has a label of no known polarity, or lacks a polarity that no map gave up.
    """

    def __init__(
        self, name: str, *, labels: str | None = None, max_length: int = 512, batch_size: int = 32,
        device: str | None = None,
    ) -> None:  # fmt: skip
        self.name, self.batch_size = name, batch_size
        needs = "give a folder with config.json, model.safetensors and a tokenizer"
        with hub.found(name, f"hf:{name}: no classifier can be loaded", needs) as here:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name, local_files_only=here)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(
                name, local_files_only=here, adapter_kwargs={"local_files_only": here}
            )
        if set(self._tokenizer.get_vocab()) <= set(self._tokenizer.all_special_tokens):
            # transformers makes up an empty one where the files are missing: every word would be unknown
            raise ModelError(f"hf:{name}: its tokenizer has no words; put tokenizer.json beside config.json")
        self.columns = _columns(name, self._model.config.id2label, labels)
        """The polarity of each of the model's labels, in its order."""
        if self._tokenizer.pad_token_id is None:  # decoders often have none
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        if getattr(self._model.config, "pad_token_id", None) is None:
            self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(self._device).eval()
        self.max_length = min(max_length, self._tokenizer.model_max_length, _positions(self._model.config))

    def fit(
        self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None
    ) -> HuggingFaceClassifier:
        """Nothing: it answers as it stands."""
        return self

    @torch.inference_mode()
    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; raw texts go to its own tokenizer."""
        probs = np.zeros((len(texts), len(ENGLISH)), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(order), self.batch_size):
            which = order[start : start + self.batch_size]
            batch = self._tokenizer(
                [texts[at] for at in which], padding=True, truncation=True, max_length=self.max_length,
                return_tensors="pt",
            ).to(self._device)  # fmt: skip
            shares = self._model(**batch).logits.float().softmax(dim=1).cpu().numpy()
            for column, polarity in enumerate(self.columns):
                probs[which, polarity] += shares[:, column]
        return probs


def _columns(name: str, id2label: dict[int, str], labels: str | None) -> tuple[Polarity, ...]:
    spelt = [str(id2label[at]) for at in sorted(id2label)]
    known = LabelMap.parse(labels)
    found = [known(label) for label in spelt]
    if strange := [label for label, polarity in zip(spelt, found, strict=True) if polarity is None]:
        raise ModelError(
            f"hf:{name}: its label {strange[0]!r} is no polarity (it has {', '.join(spelt)}); say which is which: "
            f"hf:{name}?labels={','.join(f'{label}=利空' for label in strange[:1])},…"
        )
    missing = [NAMES[p] for p in Polarity if p not in found]
    if missing and not labels:
        asked = ",".join(f"{label}={NAMES[p]}" for label, p in zip(spelt, found, strict=True) if p is not None)
        raise ModelError(
            f"hf:{name}: of its labels {', '.join(spelt)} none is {' or '.join(missing)}, which it would never answer; "
            f"if that is meant, say so: hf:{name}?labels={asked}"
        )
    return tuple(p for p in found if p is not None)


def _positions(config: Any) -> int:
    """Tokens that its learnt positions reach; RoBERTa and its kin count from behind their padding index.

    XLNet and its like have none, and say −1 or nothing.
    """
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None or limit < 1:
        return 10**9
    return int(limit) - 2 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else int(limit)
