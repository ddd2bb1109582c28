"""How the small networks among the baselines are trained: batches by length, early stopping, the best epoch kept.

An encoder of texts, a network and a plan in, a model with `fit` and `predict_proba` out. The same seed gives the same
weights to the bit: it works on one CPU thread and with random numbers of its own. It knows no network by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from finsa_moe.evaluation.baselines.rows import Dev, Ids, Labels, Reals, checked, macro_f1, unfitted, with_dev
from finsa_moe.polarity import ENGLISH

PAD, UNKNOWN = 0, 1


class Encoder(Protocol):
    """Texts as ids of what a network has an embedding of; 0 fills batches."""

    size: int
    """Ids there are, 0 counted; known once fitted."""

    def fit(self, texts: Sequence[str]) -> None:
        """Learn from training texts which ids there are."""
        ...

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text, one at least."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and how fast a network learns.

    Attributes:
        learning_rate: Constant learning rate of Adam.
        batch_size: Texts in each step.
        epochs: Most passes over the rows.
        patience: Epochs without a better macro-F1 on the rows to choose by, after which it stops.
    """

    learning_rate: float = 1e-3
    batch_size: int = 32
    epochs: int = 20
    patience: int = 4


class NetworkBaseline:
    """A small network, trained from nothing on the rows given.

    Args:
        name: Its name in errors.
        encoder: Makes ids of texts; fitted on the training rows.
        build: Makes the network for so many ids; it maps ids (b, t), 0 where padded, to logits (b, 3).
        plan: How it is trained.
    """

    def __init__(self, name: str, encoder: Encoder, build: Callable[[int], nn.Module], plan: Plan) -> None:
        self.name, self.encoder, self.build, self.plan = name, encoder, build, plan
        self.history: list[float] = []
        """Macro-F1 on the rows to choose by after each epoch."""
        self._network: nn.Module | None = None

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> NetworkBaseline:
        """Train; the epoch of the best macro-F1 on `dev` stays (without `dev`, on one row in twenty set aside).

        Args:
            texts: Raw texts, (n,).
            labels: A class word or a class id (0, 1, 2) each.
            seed: Random seed for weights, order of rows and dropout.
            dev: Texts and labels to stop by; never learnt from.

        Raises:
            DataError: For a label that is no class, or rows of fewer than two classes.
        """
        rows, truth, (others, wanted) = with_dev(*checked(texts, labels), dev, seed)
        self.encoder.fit(rows)
        own, judged = self.encoder(rows), self.encoder(others)
        with _alone(seed):
            network = self.build(self.encoder.size)
            optimizers = _optimizers(network, self.plan.learning_rate)
            self.history, best = [], {}
            for epoch in range(self.plan.epochs):
                network.train()
                for batch in _shuffled([len(ids) for ids in own], self.plan.batch_size, seed, epoch):
                    loss = nn.functional.cross_entropy(network(_padded(own, batch)), torch.from_numpy(truth[batch]))
                    network.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    for optimizer in optimizers:
                        optimizer.step()
                self.history.append(macro_f1(wanted, _answers(network, judged)))
                reached = int(np.argmax(self.history))
                if reached == epoch:
                    best = {name: value.clone() for name, value in network.state_dict().items()}
                if epoch - reached >= self.plan.patience:
                    break
            network.load_state_dict(best)
        self._network = network
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish."""
        if self._network is None:
            raise unfitted(self.name)
        with _alone(0):
            return _answers(self._network, self.encoder(texts))


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """One thread, whose sums never change their order, and random numbers that leave the caller's as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _optimizers(network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Adam for all, in its sparse form for tables of embeddings of which a batch touches few rows."""
    sparse = [part.weight for part in network.modules() if isinstance(part, nn.EmbeddingBag) and part.sparse]
    dense = [weight for weight in network.parameters() if all(weight is not other for other in sparse)]
    found: list[torch.optim.Optimizer] = [torch.optim.Adam(dense, lr=rate)]
    return [*found, torch.optim.SparseAdam(sparse, lr=rate)] if sparse else found


def _shuffled(lengths: Sequence[int], size: int, seed: int, epoch: int) -> Iterator[Ids]:
    """Batches of like length, in random order: rows are shuffled, then sorted within each fifty batches' worth."""
    rng = np.random.default_rng([seed, epoch])
    order, measured = rng.permutation(len(lengths)), np.asarray(lengths)
    batches = []
    for start in range(0, len(order), 50 * size):
        chunk = order[start : start + 50 * size]
        chunk = chunk[np.argsort(measured[chunk], kind="stable")]
        batches += [chunk[at : at + size] for at in range(0, len(chunk), size)]
    for at in rng.permutation(len(batches)):
        yield batches[at]


def _padded(rows: Sequence[NDArray[np.int64]], which: Ids) -> Tensor:
    return pad_sequence([torch.from_numpy(rows[i]) for i in which], batch_first=True, padding_value=PAD)


@torch.inference_mode()
def _answers(network: nn.Module, rows: Sequence[NDArray[np.int64]], size: int = 128) -> Reals:
    network.eval()
    probs = np.zeros((len(rows), len(ENGLISH)), dtype=np.float32)
    order = np.argsort([len(ids) for ids in rows], kind="stable")
    for at in range(0, len(order), size):
        which = order[at : at + size]
        probs[which] = network(_padded(rows, which)).softmax(dim=1).numpy()
    return probs
