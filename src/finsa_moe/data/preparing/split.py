"""Rows in, three splits out: stratified by label, equal texts on one side, the same for a seed whatever the row order.

Rows that share a cluster (by default the `text.duplicate_key` of their texts) never part. Where equal texts bear
different labels, `settle_conflicts` lets the majority stand. Neither knows of files or folders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.hashing import mixed, numbers
from finsa_moe.data.text import duplicate_key
from finsa_moe.errors import ConfigError

SPLITS = ("train", "valid", "test")
RULES = ("majority", "drop", "keep")
# A class too small for all splits goes first to training, then to the test that judges it.
_NEEDED = ("train", "test", "valid")


# A cluster of more than this share of its label's rows is placed where most room is left, before the others are cut:
# what lies on a cut then misses no ratio by more than half of it.
_LARGE, _LARGE_ROWS = 0.005, 5


def with_clusters(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with a column ``cluster``, equal for texts that are the same; one that is there already is kept."""
    if "cluster" in frame.columns:
        return frame
    keys = numbers(duplicate_key(text) for text in frame["text"].to_list())
    return frame.with_columns(cluster=pl.Series(keys, dtype=pl.UInt64))


@dataclass(frozen=True)
class Settled:
    """Rows whose clusters bear one label each.

    Attributes:
        frame: The rows kept, with ``cluster``.
        refused: The rows given up, with ``cluster`` and ``reason``.
        duplicates: Rows kept beyond the first of their cluster.
        clusters_in_conflict: Clusters that bore more than one label.
    """

    frame: pl.DataFrame
    refused: pl.DataFrame
    duplicates: int
    clusters_in_conflict: int

    def and_of(self, other: Settled) -> Settled:
        """Both together, of rows that share no cluster."""
        return Settled(
            pl.concat([self.frame, other.frame]), pl.concat([self.refused, other.refused]),
            self.duplicates + other.duplicates, self.clusters_in_conflict + other.clusters_in_conflict,
        )  # fmt: skip


def settle_conflicts(frame: pl.DataFrame, rule: str = "majority") -> Settled:
    """Settle which rows stand where equal texts bear different labels.

    Args:
        frame: Rows with ``label`` and either ``text`` or ``cluster``, the same for equal texts.
        rule: ``"majority"`` refuses the rows against the majority's label, all of them where none has the majority;
            ``"drop"`` refuses all rows of such a cluster; ``"keep"`` keeps all.

    Raises:
        ConfigError: If the rule is none of these.
    """
    if rule not in RULES:
        raise ConfigError(f"conflicts {rule!r}: allowed are {', '.join(RULES)}")
    frame = with_clusters(frame)
    # Most texts stand alone and have nothing to settle.
    votes = frame.filter(pl.col("cluster").is_duplicated()).group_by("cluster", "label").len(name="votes")
    most = votes.group_by("cluster").agg(
        pl.col("votes").max().alias("most"),
        pl.col("label").sort_by("votes", descending=True).first().alias("winner"),
        (pl.col("votes") == pl.col("votes").max()).sum().alias("leaders"),
        pl.col("votes").sum().alias("rows"),
        pl.len().alias("labels"),
    )
    disputed = most.filter(pl.col("labels") > 1)
    joined = frame.join(disputed, on="cluster", how="left", maintain_order="left")
    tie = pl.col("leaders") > 1
    against = {
        "majority": tie | (pl.col("label") != pl.col("winner")),
        "drop": pl.lit(value=True),
        "keep": pl.lit(value=False),
    }
    lost = pl.col("labels").is_not_null() & against[rule]
    reason = (
        pl.when(pl.lit(rule == "drop"))
        .then(pl.format("{} equal texts bear different labels", "rows"))
        .when(tie)
        .then(pl.format("{} equal texts bear different labels and none has the majority", "rows"))
        .otherwise(
            pl.format("label {} against {} of {} equal texts labelled {}", "label", "most", "rows", "winner"),
        )
    )
    lost = lost.fill_null(value=False)
    kept = joined.filter(~lost).select(frame.columns)
    refused = joined.filter(lost).with_columns(reason=reason).select(*frame.columns, "reason")
    return Settled(kept, refused, kept.height - kept["cluster"].n_unique(), disputed.height)


def split(frame: pl.DataFrame, ratios: Sequence[float], seed: int) -> dict[str, pl.DataFrame]:
    """Part rows into train, valid and test.

    Each label's clusters are put in an order drawn by the seed and cut where the ratios say, so the shares of every
    label are met to within half of the cluster that lies on the cut. Every label with at least three clusters
    stands in every split with a ratio above 0. A cluster that bears several labels counts as its most frequent one.

    Args:
        frame: Rows with ``id``, ``label`` and either ``text`` or ``cluster``, which names the rows that must not part.
        ratios: Shares of train, valid and test; any scale, 98/1/1 or 0.98/0.01/0.01.
        seed: Another seed, another draw.

    Returns:
        ``train``, ``valid`` and ``test``, each in an order drawn by the seed, with the columns of `frame`.

    Raises:
        ConfigError: If the ratios are not three numbers from 0 up with a train share.
    """
    shares = checked_ratios(ratios)
    clustered = with_clusters(frame)
    sizes = (
        clustered.group_by("cluster", "label")
        .len(name="votes")
        .sort("votes", "label", descending=[True, False])
        .group_by("cluster", maintain_order=True)
        .agg(pl.col("label").first(), pl.col("votes").sum().alias("size"))
    )
    sizes = sizes.with_columns(draw=_draws(seed, sizes["cluster"])).sort("label", "draw", "cluster")
    parts = [_assigned(group, shares) for group in sizes.partition_by("label", maintain_order=True)]
    where = pl.concat(parts).select("cluster", "draw", "split") if parts else None
    if where is None:
        return dict.fromkeys(SPLITS, frame)
    # Ordered by the draw, then by what the rows hold: the order of the files leaves no trace.
    placed = clustered.join(where, on="cluster").sort("draw", *(n for n in ("text", "id") if n in frame.columns))
    return {name: placed.filter(pl.col("split") == name).select(frame.columns) for name in SPLITS}


def checked_ratios(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Ratios as shares that sum to 1.

    Raises:
        ConfigError: If they are not three numbers from 0 up with a train share.
    """
    bad = len(ratios) != 3 or any(not math.isfinite(ratio) or ratio < 0 for ratio in ratios)
    if bad or ratios[0] == 0:
        shown = "/".join(f"{ratio:g}" for ratio in ratios)
        raise ConfigError(
            f"ratios {shown!r}: allowed are three numbers from 0 up for train/valid/test, train above 0, as in 80/10/10"
        )
    total = sum(ratios)
    return ratios[0] / total, ratios[1] / total, ratios[2] / total


def _draws(seed: int, clusters: pl.Series) -> pl.Series:
    """A number of each cluster for this seed."""
    own = clusters.to_numpy() if clusters.dtype.is_integer() else numbers(map(str, clusters.to_list()))
    salt = numbers([str(seed)])
    return pl.Series(mixed(mixed(own.astype(np.uint64)) ^ salt), dtype=pl.UInt64)


def _assigned(clusters: pl.DataFrame, shares: tuple[float, float, float]) -> pl.DataFrame:
    """One label's clusters, in the order drawn, with the split of each."""
    total = int(clusters["size"].sum())
    # Validation and test are rounded down and training takes the rest, as in the published counts; 0.2 * 1480 is 296.
    valid, test = (math.floor(total * share + 1e-9) for share in shares[1:])
    sizes = clusters["size"].to_list()
    splits = _cut(clusters["size"].to_numpy(), np.array([total - valid - test, valid, test]))
    wanted = [split for split in _NEEDED if shares[SPLITS.index(split)] > 0]
    for needed in wanted:
        if needed in splits:
            continue
        donor = max(SPLITS, key=splits.count)
        if splits.count(donor) < 2:  # too few clusters for all: a split that needs its only one less gives it
            lesser = [split for split in _NEEDED[_NEEDED.index(needed) + 1 :] if split in splits]
            if not lesser:
                continue
            donor = lesser[-1]
        spare = [index for index, split in enumerate(splits) if split == donor]
        splits[min(spare, key=sizes.__getitem__)] = needed
    return clusters.with_columns(split=pl.Series(splits, dtype=pl.String))


def _cut(sizes: NDArray[np.int64], room: NDArray[np.int64]) -> list[str]:
    """The split of each cluster, in the order drawn: the large ones where most room is left, the others by the cut."""
    place = np.zeros(len(sizes), dtype=np.int64)
    large = sizes > max(_LARGE_ROWS, _LARGE * sizes.sum())
    for at in np.flatnonzero(large)[np.argsort(-sizes[large], kind="stable")].tolist():
        place[at] = room.argmax()
        room[place[at]] -= sizes[at]
    room = np.maximum(room, 0)
    small = sizes[~large]
    # A cluster belongs where its middle row falls; a cluster of one row thereby meets the targets exactly.
    middle = np.cumsum(small) - small / 2
    place[~large] = np.searchsorted(np.cumsum(room)[:2] * (small.sum() / max(1, room.sum())), middle)
    return [SPLITS[at] for at in place.tolist()]
