"""What the splits of a set share: texts word for word, but for marks, or nearly the same, and rows made of one another.

Rows by split go in, a `LeakReport` comes out, which answers questions about them. It counts; what a leak does to a
score is measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD, Clusters, N, near_clusters
from finsa_moe.errors import ConfigError, DataError, closest
from finsa_moe.polarity import NAMES

NOTIONS = ("raw", "normalised", "near")
"""When two texts count as the same: word for word; by `text.duplicate_key`; by a Jaccard similarity of n-grams."""
MADE = "made"
"""Beside them: one row was made of the other (``source_id``), or both of one row."""
_OTHERS = ("label", "id", "given", "source_id")
SHOWN = 6
"""Rows of a cluster that an `Example` holds at most."""


@dataclass(frozen=True)
class Shared:
    """Rows of one split whose text stands in another as well.

    Attributes:
        rows: How many.
        of: Rows of the split.
        texts: Distinct texts (clusters) among them.
    """

    rows: int
    of: int
    texts: int

    @property
    def share(self) -> float:
        """Their part of the split, 0 to 1."""
        return self.rows / self.of if self.of else 0.0


@dataclass(frozen=True)
class Example:
    """One cluster: its rows as ``split``, ``label``, ``text``, and the labels and splits among them."""

    rows: list[dict[str, str | None]]
    labels: int
    splits: int


@dataclass(frozen=True)
class LeakReport:
    """The rows of some splits and which of them say the same.

    Attributes:
        splits: Names, the training split first.
        rows: ``split``, ``text``, ``label`` (null where unknown), ``id`` and ``source_id`` (null where there are none),
            ``given`` (the id that a row came with; null where that is not known), and a cluster number for each of
            `NOTIONS`.
        clusters: What was found near.
        n: Length of an n-gram, characters.
    """

    splits: tuple[str, ...]
    rows: pl.DataFrame
    clusters: Clusters
    n: int

    @property
    def labelled(self) -> bool:
        """Whether any row bears a known label."""
        return self.rows["label"].null_count() < self.rows.height

    @property
    def notions(self) -> tuple[str, ...]:
        """`NOTIONS`, and `MADE` where a row names another as its original."""
        return (*NOTIONS, MADE) if self.rows["source_id"].null_count() < self.rows.height else NOTIONS

    @property
    def orphans(self) -> int:
        """Rows whose original is in none of the splits, so that nobody can say where it stands."""
        named = self.rows["source_id"].drop_nulls()
        return int((~named.is_in(_ids(self.rows).implode())).sum())

    def of(self, split: str) -> pl.DataFrame:
        """The rows of one split.

        Raises:
            ConfigError: If there is no such split; every question that takes one raises it.
        """
        _known(split, self.splits, "split")
        return self.rows.filter(pl.col("split") == split)

    def duplicates(self, split: str | None = None, notion: str = "normalised") -> int:
        """Rows of a split, or of all splits together, beyond the first of each text."""
        _known(notion, NOTIONS, "notion")
        own = self.rows if split is None else self.of(split)
        return own.height - own[notion].n_unique()

    def conflicts(self, split: str | None = None, notion: str = "raw") -> int:
        """Distinct texts (clusters) that bear more than one label in a split, or in all splits together."""
        _known(notion, NOTIONS, "notion")
        own = self.rows if split is None else self.of(split)
        labels = own.drop_nulls("label").group_by(notion).agg(pl.col("label").n_unique())
        return int((labels["label"] > 1).sum())

    def shared(self, source: str, target: str, notion: str = "near") -> Shared:
        """The rows of `target` whose text stands in `source` as well, or by `MADE`, that hang on a row of `source`.

        Near texts are joined in chains, through texts of other splits too: what is near to one that is near to a text
        of `source` counts. The search does not compare all texts of one form, and would miss some without.

        Raises:
            ConfigError: If there is no such split, or the notion is none of `NOTIONS` and `MADE`.
        """
        asked = self.of(target)
        found = asked.filter(self._shared(source, target, notion))
        return Shared(found.height, asked.height, found["normalised" if notion == MADE else notion].n_unique())

    def leaked(self, source: str, target: str, notion: str = "near") -> float:
        """The share of `target`'s rows that leak from `source`, by the notion or by `MADE`."""
        either = self._shared(source, target, notion) | self._shared(source, target, MADE)
        return float(self.of(target).select(either.mean()).item() or 0)

    def _shared(self, source: str, target: str, notion: str) -> pl.Expr:
        """Which rows of `target` are shared with `source`."""
        _known(notion, (*NOTIONS, MADE), "notion")
        if notion != MADE:
            return pl.col(notion).is_in(self.of(source)[notion].unique().implode())
        if MADE not in self.notions:
            return pl.lit(value=False)
        ids, own = (_ids(self.of(name)) for name in (source, target))
        named, wanted = (self.of(name)["source_id"].drop_nulls().unique() for name in (source, target))
        # A row's original is sought in its own split first: two files that both count from 1 have nothing to do with
        # each other. One that no split holds ties those that name it.
        known = pl.concat([_ids(self.rows), wanted]).implode()
        abroad = named.filter(~named.is_in(ids.implode()) & named.is_in(known)).implode()
        home = wanted.filter(~wanted.is_in(own.implode()) & wanted.is_in(ids.implode())).implode()
        tied = pl.any_horizontal(pl.col("id", "given", "source_id").is_in(abroad), pl.col("source_id").is_in(home))
        return tied.fill_null(value=False)

    def leaks(self, notion: str = "near", allowed: float = 0.0) -> bool:
        """Whether of a later split more than the allowed part of its rows leaks from an earlier one."""
        return bool(self.leaking(notion, allowed))

    def leaking(self, notion: str = "near", allowed: float = 0.0) -> list[tuple[str, str]]:
        """The pairs, earlier split first, of which the later leaks by more than the allowed part of its rows."""
        return [(a, b) for a, b in self.pairs() if self.leaked(a, b, notion) > allowed]

    def pairs(self) -> list[tuple[str, str]]:
        """Every earlier split with every later one."""
        return [(a, b) for at, a in enumerate(self.splits) for b in self.splits[at + 1 :]]

    def balance(self, split: str) -> dict[str, int]:
        """Rows of each polarity in a split, and of none under ``""``."""
        labels = self.of(split)["label"]
        return {**{name: int((labels == name).sum()) for name in NAMES}, "": int(labels.null_count())}

    def lengths(self, split: str) -> tuple[int, int, int]:
        """First quartile, median and third quartile of the texts' lengths in a split, characters."""
        lengths = self.of(split)["text"].str.len_chars()
        if not len(lengths):
            return 0, 0, 0
        first, middle, third = (int(lengths.quantile(q, "nearest") or 0) for q in (0.25, 0.5, 0.75))
        return first, middle, third

    def worst(self, count: int) -> list[Example]:
        """The clusters that do most harm: across splits first, then of several labels, then large."""
        sized = (
            self.rows.group_by("near")
            .agg(
                pl.len().alias("size"),
                pl.col("split").n_unique(),
                pl.col("label").drop_nulls().n_unique().alias("labels"),
            )
            .filter(pl.col("size") > 1)
            .sort("split", "labels", "size", "near", descending=[True, True, True, False])
            .head(count)
        )
        found = []
        for cluster in sized["near"].to_list():
            own = self.rows.filter(pl.col("near") == cluster).unique(("split", "label", "text"), maintain_order=True)
            shown = own.head(SHOWN).select("split", "label", "text").to_dicts()
            found.append(Example(shown, own["label"].drop_nulls().n_unique(), own["split"].n_unique()))
        return found

    def rethreshold(self, threshold: float) -> LeakReport:
        """The same rows with a higher bar for near texts; nothing is compared anew.

        Raises:
            ConfigError: If the threshold is below that of this report.
        """
        clusters = self.clusters.rethreshold(threshold)
        return LeakReport(self.splits, self.rows.with_columns(near=pl.Series(clusters.ids)), clusters, self.n)

    def as_dict(self) -> dict[str, Any]:
        """Every count, by split and by pair of splits; no text."""
        by_split = {
            name: {
                "rows": self.of(name).height,
                "polarity": self.balance(name),
                "length_quartiles": list(self.lengths(name)),
                "duplicates": {notion: self.duplicates(name, notion) for notion in NOTIONS},
                "label_conflicts": {notion: self.conflicts(name, notion) for notion in NOTIONS},
            }
            for name in self.splits
        }
        shared = [
            {"from": a, "to": b, "notion": notion, "rows": s.rows, "of": s.of, "share": s.share, "texts": s.texts}
            for a, b in self.pairs()
            for notion in self.notions
            for s in [self.shared(a, b, notion)]
        ]
        return {
            "threshold": self.clusters.threshold,
            "n": self.n,
            "splits": by_split,
            "label_conflicts": {notion: self.conflicts(notion=notion) for notion in NOTIONS},
            "shared": shared,
        }


def audit(
    splits: Mapping[str, pl.DataFrame],
    *,
    threshold: float = CLUSTER_THRESHOLD,
    n: int = N,
    progress: Callable[[int, int], None] | None = None,
) -> LeakReport:
    """Find what the splits of a set share.

    Args:
        splits: Rows with ``text`` and, where known, ``label`` (利空, 中性 or 利好), ``id`` and ``source_id``, by name,
            the training split first.
        threshold: Least Jaccard similarity of n-grams that makes two texts near, above 0 to 1.
        n: Length of an n-gram, characters.
        progress: Called with the bands compared and the bands in all.

    Raises:
        DataError: If there is no row, no column ``text``, a row without a text, or a label that is none of the three.
        ConfigError: If the threshold or n is not allowed.
        MissingExtra: If rensa is not installed.
    """
    parts = [_checked(name, frame) for name, frame in splits.items()]
    rows = pl.concat(parts) if parts else pl.DataFrame()
    if not rows.height:
        raise DataError("no row to audit: the files are empty, or every row of them was refused")
    clusters = near_clusters(rows["text"].to_list(), threshold=threshold, n=n, progress=progress)
    raw = rows["text"].rank("dense").cast(pl.Int64)
    rows = rows.with_columns(raw=raw, normalised=pl.Series(clusters.exact), near=pl.Series(clusters.ids))
    return LeakReport(tuple(splits), rows, clusters, n)


def _ids(rows: pl.DataFrame) -> pl.Series:
    """The ids by which rows may be named: those that they have and those that they came with."""
    return pl.concat([rows["id"], rows["given"]]).drop_nulls().unique()


def _checked(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns ``split``, ``text``, and `_OTHERS` of a split's rows."""
    if "text" not in frame.columns:
        raise DataError(f"split {name!r}: no column 'text'; columns found: {', '.join(frame.columns) or 'none'}")
    if frame["text"].null_count():
        raise DataError(f"split {name!r}: {frame['text'].null_count():,} rows have no text; drop them first")
    others = (pl.col(own) if own in frame.columns else pl.lit(None).alias(own) for own in _OTHERS)
    rows = frame.select(pl.lit(name).alias("split"), pl.col("text"), *others).cast(pl.String)
    named = pl.col("source_id").str.strip_chars()
    rows = rows.with_columns(source_id=pl.when(named != "").then(named))
    strange = rows.filter(~pl.col("label").is_in(NAMES))["label"]
    if len(strange):
        raise DataError(
            f"split {name!r}: label {strange[0]!r} is none of {', '.join(NAMES)} ({len(strange):,} rows); "
            "name labels so, or leave them null"
        )
    return rows


def _known(name: str, allowed: Sequence[str], what: str) -> None:
    if name not in allowed:
        raise ConfigError(f"{what} {name!r}: there are {', '.join(allowed)}{closest(name, list(allowed))}")
