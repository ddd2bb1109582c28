"""How unlike every known domain a text is, from the states the network computes anyway.

A text's state is compared with the training states of each domain by Mahalanobis distance (shared covariance; Lee et
al. 2018, section 2.2), the nearest domain counts, and its distance becomes the share of held-out known texts that lie
nearer. It reads arrays and gives numbers in [0, 1]; it knows no texts.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
_KNOTS = 512


@dataclass(frozen=True)
class Novelty:
    """The reference a text's state is held against.

    Attributes:
        means: Mean state of each domain's training texts, (E, d).
        whitening: (d, r); a state times this has unit covariance over the training texts.
        knots: Rising quantiles of held-out known texts' distances, (k,), evenly spaced in probability.
    """

    means: Reals
    whitening: Reals
    knots: Reals

    def distances(self, states: Reals) -> Reals:
        """Mahalanobis distance of each state (n, d) to its nearest domain, (n,)."""
        white = states @ self.whitening
        centres = self.means @ self.whitening
        gaps = [np.square(white - centre).sum(axis=1) for centre in centres]
        nearest: Reals = np.sqrt(np.min(gaps, axis=0)).astype(np.float32)
        return nearest

    def __call__(self, states: Reals) -> Reals:
        """Novelty in [0, 1] of states (n, d): the share of held-out known texts that lie nearer."""
        levels = np.linspace(0.0, 1.0, len(self.knots), dtype=np.float32)
        return np.interp(self.distances(states), self.knots, levels).astype(np.float32)

    def dump(self) -> bytes:
        """As a NumPy archive of plain arrays."""
        stream = io.BytesIO()
        np.savez(stream, means=self.means, whitening=self.whitening, knots=self.knots)
        return stream.getvalue()

    @classmethod
    def load(cls, content: bytes) -> Novelty:
        """Read what `dump` gave; nothing is unpickled."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(arrays["means"], arrays["whitening"], arrays["knots"])


def fit(states: Reals, domains: NDArray[Any], held_out: Reals) -> Novelty:
    """The reference from training states (n, d) with their domain ids (n,), and held-out known states (m, d).

    The covariance is shrunk towards its mean variance (Ledoit and Wolf 2004 in its simplest form: one part in ten), so
    that directions the training texts hardly use do not decide alone.
    """
    ids = np.unique(domains)
    means = np.stack([states[domains == index].mean(axis=0) for index in ids])
    centred = states - means[np.searchsorted(ids, domains)]
    covariance = centred.T.astype(np.float64) @ centred / max(1, len(states) - len(ids))
    covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whitening = (vectors / np.sqrt(values)).astype(np.float32)
    bare = Novelty(means.astype(np.float32), whitening, np.zeros(2, np.float32))
    knots = np.quantile(bare.distances(held_out), np.linspace(0.0, 1.0, _KNOTS)).astype(np.float32)
    return Novelty(bare.means, whitening, knots)
