"""What the runtime's benchmarks measure: a mixture and its export, the texts, and the ways users run such a thing else.

Folders and texts come out, and callables that score texts: the published three passes, the `transformers` pipeline, and
a plain backbone with one head in our own engine. Nothing here takes time.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from benchmarks.measure import mark
from finsa_moe import load, shipped
from finsa_moe.data import samples
from finsa_moe.data.encode import Encoded
from finsa_moe.export import graphs
from finsa_moe.export.export import export_mixture
from finsa_moe.export.split import Expert, Trunk
from finsa_moe.model.backbone import last_hidden
from finsa_moe.model.checkpoint import load_tokenizer
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.router import masked_mean
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.engine import Engine, Scores
from finsa_moe.runtime.sessions import open_session

WORK = Path("work/bench")
_DATA = Path("../shared/data")
DEV = {"news": [_DATA / "news/dev.csv"], "forum": [_DATA / "forum/dev.csv", _DATA / "forum/dev_investors.csv"]}


def mixture() -> Path:
    """The default model as it was trained, in float32."""
    return shipped.weights(".")


def exported(precision: str) -> Path:
    """Its export in another precision than the 8 bits it ships in, made when it is not there."""
    out = WORK / f"runtime.{precision}.{mark(mixture())}"
    if not (out / "config.json").is_file():
        export_mixture(mixture(), out, precisions=(precision,), say=print)
    return out


def texts(count: int = 1000) -> list[str]:
    """So many news and as many forum texts: the dev files where they are, our samples elsewhere."""
    found = []
    for domain, dev in DEV.items():
        files = dev if source() == "dev files" else [samples.path(domain)]  # type: ignore[arg-type]
        rows = [row["text"] for file in files for row in csv.DictReader(file.open(encoding="utf-8"))]
        found += so_many(rows, count)
    return found


def source() -> str:
    """What `texts` are of, for a result to say: figures of the one are not to be set beside those of the other."""
    return "dev files" if all(file.is_file() for files in DEV.values() for file in files) else "packaged sample"


def so_many(some: Sequence[str], count: int) -> list[str]:
    """So many texts out of fewer, in turn, each time with another number behind: the same again would cost nothing."""
    numbered = (divmod(at, len(some)) for at in range(count))
    return [f"{some[place]} {turn}" if turn else some[place] for turn, place in numbered]


class Published:
    """The published inference: router pass, one pass an expert, states summed; one text at a time, padded to 512."""

    def __init__(self, folder: Path, length: int = 512) -> None:
        self.engine = TorchEngine(folder, device="cpu", dtype="float32")
        self.model: FinSAMoE = self.engine.model
        self.length = length

    @torch.inference_mode()
    def score(self, some: Sequence[str]) -> list[list[float]]:
        """Class probabilities of texts."""
        return [self._one(text) for text in some]

    def _one(self, text: str) -> list[float]:
        model, row = self.model, self.engine.encode([text])[0].ids[: self.length]
        ids = torch.full((1, self.length), self.engine.pad_id)
        mask = torch.zeros_like(ids)
        ids[0, : len(row)], mask[0, : len(row)] = torch.tensor(row), 1
        model.bank.gate.close()
        gate = model.router(masked_mean(last_hidden(model.backbone, ids, mask), mask)).softmax(-1)
        states: list[Tensor] = []
        for expert in range(gate.shape[1]):
            model.bank.gate.weights = nn.functional.one_hot(torch.tensor([expert]), gate.shape[1]).float()
            states.append(last_hidden(model.backbone, ids, mask))
        model.bank.gate.close()
        hidden = (torch.stack(states, 1) * gate[:, :, None, None]).sum(1)
        probs: list[float] = model.heads(masked_mean(hidden, mask), gate).softmax(-1)[0].tolist()
        return probs


def pipeline(folder: Path, dtype: str = "float32") -> Callable[[Sequence[str]], Any]:
    """The mixture in transformers' text-classification pipeline, 32 texts a batch, in the order they are given."""
    from transformers import pipeline as new

    engine = TorchEngine(folder, device="cpu", dtype=dtype)
    tokenizer = load_tokenizer(folder)
    run = new("text-classification", model=engine.model, tokenizer=tokenizer, device="cpu")
    return lambda some: run(list(some), batch_size=32, top_k=None, truncation=True, max_length=engine.max_length)


class _Plain(nn.Module):
    """The backbone with one expert merged in and its head, as one graph: what a single classifier would be."""

    def __init__(self, model: FinSAMoE) -> None:
        super().__init__()
        self.trunk, self.expert = Trunk(model), Expert(model, 0)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.expert(self.trunk(ids, mask)[0], mask)[0].softmax(-1)  # type: ignore[no-any-return]


class _Bert(nn.Module):
    """A bare BERT of 6 layers of 256 with a linear layer on its pooled states; random weights, for speed alone."""

    def __init__(self, vocab_size: int, max_length: int) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=vocab_size, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024,
            max_position_embeddings=max_length,
        )  # fmt: skip
        self.bert, self.head = BertModel(config, add_pooling_layer=False), nn.Linear(256, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.head(masked_mean(hidden, mask)).softmax(-1)  # type: ignore[no-any-return]


class PlainEngine(Engine):
    """A plain classifier in our engine: the same sessions and batching, no routing.

    It is the mixture's backbone with one expert merged in, or (`bert`) a bare BERT of 6 layers of 256.
    """

    concurrent = True
    domains = ("all",)

    def __init__(self, folder: Path, engine: str, precision: str, threads: int, *, bert: bool = False) -> None:
        inner = TorchEngine(folder, device="cpu", dtype="float32")
        self.name, self.workers, self.mixture = f"{'bert' if bert else 'plain'} {engine}", threads, inner
        self.max_length, self.pad_id = inner.max_length, inner.pad_id
        path = WORK / f"{'bert' if bert else 'plain'}.{precision}.{mark(folder)}.onnx"
        if not path.is_file():
            ids, mask = graphs.example_ids()
            examples = None
            if precision == "int8":
                encoded = [e.ids for e in inner.encode(texts(100))]
                examples = [{"ids": np.array([row]), "mask": np.ones((1, len(row)), dtype=np.int64)} for row in encoded]
            vocabulary = inner.model.backbone.get_input_embeddings().num_embeddings
            network = _Bert(vocabulary, inner.max_length).eval() if bert else _Plain(inner.model)
            graph = graphs.trace(network, (ids, mask), ("ids", "mask"), ("probs",))
            graphs.write(graph, path, precision, examples)
        self.session = open_session(path.read_bytes(), engine, precision, threads, path.name)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As the mixture does."""
        return self.mixture.encode(texts)

    def run(self, ids: Any, mask: Any, experts: Any = None, prior: Any = None) -> Scores:
        """Probabilities; the gate of one expert is 1."""
        return Scores(self.session(ids, mask)[0].copy(), np.ones((len(ids), 1), dtype=np.float32))


def real_tokens(some: Sequence[str]) -> list[int]:
    """Tokens of each text, prompt and special tokens counted."""
    return [len(e.ids) for e in load(engine="onnxruntime").predictor.engine.encode(some)]


def operations(lengths: Sequence[int]) -> float:
    """Multiplications and additions that texts of these lengths need: products by weights, and attention's own two."""
    shape = json.loads((mixture() / "backbone" / "config.json").read_text(encoding="utf-8"))
    size, layers, inner = shape["hidden_size"], shape["num_hidden_layers"], shape["intermediate_size"]
    weights = layers * (4 * size * size + 3 * size * inner)
    return float(sum(2 * n * weights + layers * 4 * n * n * size for n in lengths))
