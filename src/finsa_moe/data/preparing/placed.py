"""Staged rows written to their splits, each in its order, without ever holding the texts of all of them.

Where each row goes comes in, CSV files come out. Rows are first thrown into buckets of neighbours, then each bucket is
put in order and written: two passes over the texts, whatever their number. It decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from finsa_moe.data.preparing.staging import Staged, read_part

BUCKET_ROWS = 250_000


def write_splits(
    staged: Staged, splits: Mapping[str, pl.DataFrame], columns: Mapping[str, str], folder: Path, scratch: Path
) -> None:
    """Write ``<split>.csv`` of each split.

    Args:
        staged: All rows.
        splits: By name, the rows in order: ``index`` (of the staged row), and ``id`` and ``source_id`` as they are
            to be written.
        columns: Staged columns to write after the id, and what each is called.
        folder: Where the files go.
        scratch: An existing folder for buckets on their way.
    """
    bucket, placed = 0, []
    named = ["id", *(name for name in ("source_id",) if name in columns)]
    for name, rows in splits.items():
        frame = rows.select("index", *named).with_row_index("place")
        placed.append(frame.with_columns(split=pl.lit(name), bucket=pl.col("place") // BUCKET_ROWS + bucket))
        bucket += rows.height // BUCKET_ROWS + 1
    staged_columns = [name for name in columns if name not in named]
    pieces = _thrown(staged, pl.concat(placed).sort("index"), staged_columns, scratch)
    for name, rows in splits.items():
        with (folder / f"{name}.csv").open("wb") as file:
            header = pl.DataFrame(schema=dict.fromkeys(["id", *columns.values()], pl.String))
            header.write_csv(file)
            for at in sorted(pieces[name]):
                some = pl.concat([read_part(path) for path in pieces[name][at]]).sort("place")
                some.select("id", *(pl.col(old).alias(new) for old, new in columns.items())).write_csv(
                    file, include_header=False
                )
        assert rows.height == 0 or pieces[name]


def _thrown(
    staged: Staged, placed: pl.DataFrame, columns: Sequence[str], scratch: Path
) -> dict[str, dict[int, list[Path]]]:
    """Every part's rows as one file a bucket: the files by split and bucket."""
    pieces: dict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    start = 0
    for number, part in enumerate(staged.parts):
        wide = read_part(part, list(columns))
        end = start + wide.height
        some = placed.filter(pl.col("index").is_between(start, end, closed="left"))
        rows = pl.concat([some, wide[some["index"] - start]], how="horizontal")
        for (split, bucket), own in rows.partition_by("split", "bucket", as_dict=True).items():
            path = scratch / f"{number}.{bucket}.arrow"
            own.write_ipc(path, compression="uncompressed")
            pieces[str(split)][int(bucket)].append(path)
        start = end
    return pieces
