"""What known texts look like, in sums that can be kept, added to, and not read back as texts.

Token ids and states of domains go in; counts, means and measures come out, as a safetensors file that lets the novelty
score of a mixture that grows be fitted anew without the old domains' texts. It knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from finsa_moe.errors import ModelError
from finsa_moe.files import whole_path

KNOWN = "novelty.safetensors"
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """Sums over the training texts of E domains, and what held-out texts measured.

    Attributes:
        domains: Their names.
        counts: How often each token occurs in each domain, (E, V).
        means: Mean pooled state of each domain, (E, d).
        rows: Texts of each, (E,).
        scatter: Σ (state - its domain's mean) (…)ᵀ over all of them, float64 (d, d).
        background: Token counts of text of other kinds, (V,); None without such text.
        measures: What `novelty.Reference.measures` gave for held-out texts of these domains, (m, 3).
        whose: The place in `domains` of the domain of each measure, (m,); -1 where an earlier version did not keep it.
    """

    domains: tuple[str, ...]
    counts: Reals
    means: Reals
    rows: NDArray[np.int64]
    scatter: NDArray[np.float64]
    background: Reals | None
    measures: Reals
    whose: NDArray[np.int64]

    @classmethod
    def of(
        cls, names: Sequence[str], seen: Sequence[Sequence[int]], states: Reals, domains: NDArray[Any],
        background: Reals | None, vocabulary: int,
    ) -> Known:  # fmt: skip
        """The sums over some texts.

        Args:
            names: Names of the domains.
            seen: Token ids of the texts.
            states: Their pooled states, (n, d).
            domains: Their domain ids, (n,), all of 0..E-1.
            background: Token counts (V,) of text of other kinds, or None.
            vocabulary: Size V of the vocabulary.
        """
        own = [np.flatnonzero(domains == at) for at in range(len(names))]
        means = np.stack([states[rows].mean(axis=0) for rows in own])
        centred = states - means[domains]
        counts = np.stack([token_counts([seen[at] for at in rows.tolist()], vocabulary) for rows in own])
        rows, none = np.array([len(rows) for rows in own]), np.zeros((0, 3), dtype=np.float32)
        scatter = centred.T.astype(np.float64) @ centred
        return cls(tuple(names), counts, means, rows, scatter, background, none, np.zeros(0, dtype=np.int64))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of states about their own domain's mean, (d, d)."""
        return self.scatter / max(1, int(self.rows.sum()) - len(self.rows))

    def joined(self, other: Known) -> Known:
        """These domains and those of another; the background is the one that there is.

        Raises:
            ModelError: If a domain stands in both, or vocabulary or states are of another size.
        """
        if self.counts.shape[1] != other.counts.shape[1] or self.means.shape[1] != other.means.shape[1]:
            raise ModelError(f"{KNOWN}: of a model with another vocabulary or state; export that one anew")
        if both := set(self.domains) & set(other.domains):
            raise ModelError(f"{KNOWN}: {sorted(both)[0]} is there already")
        return Known(
            self.domains + other.domains, np.concatenate([self.counts, other.counts]),
            np.concatenate([self.means, other.means]), np.concatenate([self.rows, other.rows]),
            self.scatter + other.scatter, self.background if other.background is None else other.background,
            np.concatenate([self.measures, other.measures]),
            np.concatenate([self.whose, np.where(other.whose < 0, -1, other.whose + len(self.domains))]),
        )  # fmt: skip

    def forget(self, names: Collection[str]) -> Known:
        """Without what held-out texts of some domains measured: others will be measured in their place, or none."""
        kept = ~np.isin(self.whose, [at for at, name in enumerate(self.domains) if name in names])
        return replace(self, measures=self.measures[kept], whose=self.whose[kept])

    def only(self, names: Sequence[str]) -> Known:
        """Some of the domains. The covariance stays that of all, under which held-out texts were measured.

        No domain's own scatter is kept, so these count as having their share of the whole.
        """
        at = [self.domains.index(name) for name in names]
        freedom = max(1, int(self.rows[at].sum()) - len(at))
        left = self.forget(set(self.domains) - set(names))
        places = np.full(len(self.domains) + 1, -1)  # the last is that of -1
        places[at] = range(len(at))
        return replace(
            left, domains=tuple(names), counts=self.counts[at], means=self.means[at], rows=self.rows[at],
            scatter=self.covariance * freedom, whose=places[left.whose],
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write the file; it has its name only when it is whole."""
        arrays: dict[str, NDArray[Any]] = {
            "counts": self.counts, "means": self.means, "rows": self.rows, "scatter": self.scatter,
            "measures": self.measures, "whose": self.whose,
            **({} if self.background is None else {"background": self.background}),
        }  # fmt: skip
        with whole_path(folder / KNOWN) as part:
            save_file(arrays, part, metadata={"domains": json.dumps(self.domains)})

    @classmethod
    def load(cls, folder: Path) -> Known | None:
        """What `save` wrote; None where there is no such file.

        Raises:
            ModelError: If it is damaged.
        """
        path = folder / KNOWN
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
                domains = tuple(json.loads((file.metadata() or {})["domains"]))
            arrays.setdefault("whose", np.full(len(arrays["measures"]), -1))
            return cls(domains, background=arrays.pop("background", None), **arrays)
        except Exception as error:  # its own error class is not exported
            raise ModelError(f"{path}: damaged ({error}); export the model anew") from None


def token_counts(rows: Sequence[Sequence[int]], vocabulary: int) -> Reals:
    """How often each token occurs in rows of token ids, (V,)."""
    flat = np.fromiter((token for row in rows for token in row), dtype=np.int64)
    return np.bincount(flat, minlength=vocabulary).astype(np.float32)
