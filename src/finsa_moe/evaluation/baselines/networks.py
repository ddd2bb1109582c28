"""The small networks of the baselines: a bag of n-grams, a convolution, a recurrent one with attention.

Ids (b, t), 0 where padded, go in; logits (b, 3) come out, which padding never
moves. They know neither texts nor training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finsa_moe.evaluation.baselines.ids import Characters, NGrams
from finsa_moe.evaluation.baselines.network import PAD, NetworkBaseline, Plan
from finsa_moe.polarity import ENGLISH


class Bag(nn.Module):
    """Mean of n-gram embeddings, then one linear layer (Joulin et al. 2017).

    Args:
        size: How many embeddings there are.
        width: Size of an embedding.
        dropout: Dropout on the mean.
    """

    def __init__(self, size: int, width: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(size, width, mode="mean", padding_idx=PAD, sparse=True)
        nn.init.uniform_(self.embed.weight, -1 / width, 1 / width)  # so that n-grams never trained on say little
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, len(ENGLISH))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (b, 3)."""
        logits: Tensor = self.head(self.dropout(self.embed(ids)))
        return logits


class TextCNN(nn.Module):
    """Convolutions of several widths over characters, their maxima, one linear layer (Kim 2014).

    Args:
        size: How many embeddings there are.
        width: Size of an embedding.
        filters: How many filters each convolution has.
        spans: Characters that each convolution sees.
        dropout: Dropout on the maxima.
    """

    def __init__(
        self, size: int, width: int = 128, filters: int = 100, spans: tuple[int, ...] = (2, 3, 4, 5),
        dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed = nn.Embedding(size, width, padding_idx=PAD)
        self.spans = spans
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, span) for span in spans)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(spans), len(ENGLISH))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (b, 3)."""
        embedded = self.embed(ids).transpose(1, 2)
        padded = (ids == PAD)[:, None]
        tops = []
        for span, convolution in zip(self.spans, self.convolutions, strict=True):
            # one window a character, starting there: those that start in the padding are no windows of the text
            seen = convolution(nn.functional.pad(embedded, (0, span - 1))).masked_fill(padded, float("-inf"))
            tops.append(seen.amax(dim=2).relu())
        logits: Tensor = self.head(self.dropout(torch.cat(tops, dim=1)))
        return logits


class BiLSTM(nn.Module):
    """An LSTM over the characters in both directions, pooled by attention (Zhou et al. 2016).

    Args:
        size: How many embeddings there are.
        width: Size of an embedding.
        hidden: Size of the state of each direction.
        dropout: Dropout on embeddings and on the pooled state.
    """

    def __init__(self, size: int, width: int = 128, hidden: int = 96, dropout: float = 0.4) -> None:
        super().__init__()
        self.embed = nn.Embedding(size, width, padding_idx=PAD)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, len(ENGLISH))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (b, 3)."""
        lengths = (ids != PAD).sum(dim=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.embed(ids)), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=ids.shape[1])
        scores = self.attend(states).squeeze(2).masked_fill(ids == PAD, float("-inf"))
        pooled = (scores.softmax(dim=1)[:, None] @ states).squeeze(1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def fasttext() -> NetworkBaseline:
    """N-gram embeddings in the manner of fastText."""
    return NetworkBaseline("fasttext", NGrams(), Bag, Plan(learning_rate=5e-3, batch_size=64))


def textcnn() -> NetworkBaseline:
    """TextCNN over characters."""
    return NetworkBaseline("textcnn", Characters(), TextCNN, Plan())


def bilstm() -> NetworkBaseline:
    """BiLSTM with attention over characters."""
    return NetworkBaseline("bilstm", Characters(), BiLSTM, Plan(learning_rate=2e-3))
