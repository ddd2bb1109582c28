"""Which staged rows must not part: the same text, nearly the same, the same value of a column, one made from the other.

`Staged` rows go in, a cluster for each comes out, the same whatever the order of the files. It knows nothing of labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from finsa_moe.data.duplicates.buckets import I64
from finsa_moe.data.duplicates.clusters import joined, near_pairs
from finsa_moe.data.duplicates.grams import banding
from finsa_moe.data.hashing import U64
from finsa_moe.data.preparing.staging import Staged

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Groups:
    """The clusters of staged rows.

    Attributes:
        cluster: uint64 (rows,), equal for rows that must not part.
        like: uint64 (rows,), likewise, were there no ``by``.
        near: Clusters of several texts that differ (0 where none were looked for).
        near_rows: Rows in them.
        largest: Rows of the largest cluster.
        orphans: Rows whose ``source_id`` names no row.
    """

    cluster: U64
    like: U64
    near: int
    near_rows: int
    largest: int
    orphans: int


def group(
    staged: Staged, ids: pl.Series, *, threshold: float, n: int, near: bool, progress: Progress | None = None
) -> Groups:
    """Cluster staged rows: by text; by near text when asked; by ``by`` and ``source_id`` where rows have them.

    Args:
        staged: Rows, with their MinHash bands when `near`.
        ids: The ids that they get (`reading.ids.name_rows`), by which a ``source_id`` may name them as well.
        threshold: Least Jaccard similarity of texts that must not part.
        n: Length of an n-gram.
        near: Whether near texts are looked for.
        progress: Called with the bands done and the bands in all.
    """
    # Texts are ranked by their number, which no order of files changes; rank and representative follow from it alone.
    numbers, first, rank = np.unique(staged.rows["key"].to_numpy(), return_index=True, return_inverse=True)
    left, right = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if near and len(numbers) > 1:

        def take(ranks: I64) -> list[str]:
            ascending = np.argsort(first[ranks])
            keys = np.empty(len(ranks), dtype=object)
            keys[ascending] = staged.values("key_text", first[ranks][ascending])
            return keys.tolist()

        left, right, _ = near_pairs(staged.sketches(first, banding(threshold)), take, threshold, n, progress)
    of_near = joined(len(numbers), left, right)
    rows = staged.rows.select("file", "id", "source_id", "by", given=ids, rank=pl.Series(rank))
    sources, orphans = _sources(rows)
    made, same = _tied(sources), _tied(_by(rows))
    left, right = np.concatenate([left, made[0]]), np.concatenate([right, made[1]])
    like = together = joined(len(numbers), left, right)
    if len(same[0]):
        together = joined(len(numbers), np.concatenate([left, same[0]]), np.concatenate([right, same[1]]))
    texts = np.bincount(of_near, minlength=len(numbers))
    held = np.bincount(of_near[rank], minlength=len(numbers))
    cluster = numbers[together[rank]]
    sizes = np.bincount(together[rank]) if len(rank) else np.zeros(1)
    alike = cluster if like is together else numbers[like[rank]]
    return Groups(cluster, alike, int((texts > 1).sum()), int(held[texts > 1].sum()), int(sizes.max()), orphans)


def _tied(table: pl.DataFrame) -> tuple[I64, I64]:
    """Pairs of ranks that a column of values holds together: each row's with the first that has the same value."""
    if not table.height:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    table = table.with_columns(head=pl.col("rank").min().over("value"))
    return table["head"].to_numpy(), table["rank"].to_numpy()


def _by(rows: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("by").str.strip_chars()
    return rows.select(value=pl.when(value != "").then(value), rank="rank").drop_nulls()  # a blank holds nothing


def _sources(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Rows made from another and the rows they name, and how many name none.

    A row is named by the id that it came with or the one that it gets: in the file of what was made of it where that
    has such an id, else in any file.
    """
    named = rows.select("file", "rank", id=pl.col("source_id").str.strip_chars()).filter(pl.col("id") != "")
    if not named.height:
        return pl.DataFrame(schema={"value": pl.String, "rank": pl.Int64}), 0
    every = (rows.select("file", "rank", id=pl.col(name).str.strip_chars()) for name in ("id", "given"))
    ids = pl.concat(every).join(named, on="id", how="semi")
    near, far = (named.join(ids, on=["file", "id"], how=how) for how in ("semi", "anti"))
    here = pl.concat([near, ids.join(near, on=["file", "id"], how="semi")])
    there = pl.concat([far, ids.join(far, on="id", how="semi")])
    tied = [
        here.select(value=pl.concat_str("file", "id", separator="\n"), rank="rank"),
        there.select(value=pl.concat_str(pl.lit("\n"), "id"), rank="rank"),
    ]
    return pl.concat(tied), named.join(ids, on="id", how="anti").height
