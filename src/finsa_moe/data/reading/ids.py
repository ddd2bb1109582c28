"""Rows in, the same rows out with an id each that no other row bears, the same whatever the order of the files.

An id that is missing is made from domain, file and row; ids that several rows share (as when every stock's file counts
from 1) get domain and file put before them. Rows made from another name it by its new id. It knows nothing of texts and
labels.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl


def name_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Give every row a unique id; a ``source_id`` follows the row that it names.

    Args:
        frame: Rows with ``id`` (null or blank where missing), ``domain`` (may be null), ``file`` and ``row``; and
            ``source_id``, where any has one.

    Returns:
        The rows with unique ids, and how many were ``made`` and how many ``changed``.
    """
    stems = {file: Path(file).stem for file in frame["file"].unique().to_list()}
    stem = pl.col("file").replace_strict(stems, default=None, return_dtype=pl.String)
    place = pl.concat_str("domain", stem, separator="-", ignore_nulls=True)
    given = pl.col("id").str.strip_chars()
    missing = given.is_null() | (given == "")
    made = pl.concat_str(place, "row", separator="-")
    frame = frame.with_columns(id=pl.when(missing).then(made).otherwise(given), _made=missing)
    before = frame["id"]
    for longer in (pl.concat_str(place, "id", separator="-"), pl.concat_str("id", "row", separator="-")):
        frame = frame.with_columns(id=pl.when(pl.col("id").is_duplicated()).then(longer).otherwise("id"))
    frame = _numbered(frame)
    counts = {
        "made": int(frame["_made"].sum()),
        "changed": int((~frame["_made"] & (frame["id"] != before)).sum()),
    }
    if counts["changed"] and "source_id" in frame.columns and frame["source_id"].null_count() < frame.height:
        frame = _followed(frame, before)
    return frame.drop("_made", "row"), counts


def _followed(frame: pl.DataFrame, before: pl.Series) -> pl.DataFrame:
    """Name sources by their new ids: of a row's own file the first of that id, else the first of all files.

    `groups` keeps all rows that may be meant together.
    """
    rows = frame.with_columns(_named=pl.col("source_id").str.strip_chars())
    given = frame.select("file", "row", _named=before, _own="id").filter(~frame["_made"]).sort("file", "row")
    own = given.unique(["file", "_named"], keep="first", maintain_order=True).drop("row")
    far = given.unique("_named", keep="first", maintain_order=True).select("_named", _far="_own")
    rows = rows.join(own, on=["file", "_named"], how="left", maintain_order="left")
    rows = rows.join(far, on="_named", how="left", maintain_order="left")
    return rows.with_columns(source_id=pl.coalesce("_own", "_far", "source_id")).drop("_named", "_own", "_far")


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Number the ids that are still shared (files of one name in several folders), by folder and row."""
    shared = frame["id"].is_duplicated()
    if not shared.any():
        return frame
    rows = frame.select("id", "file", "row").with_row_index().filter(shared).sort("file", "row", "id")
    ids = frame["id"].to_list()
    taken = set(ids)
    met: dict[str, int] = {}
    for index, name in zip(rows["index"].to_list(), rows["id"].to_list(), strict=True):
        met[name] = count = met.get(name, 0) + 1
        fresh = name if count == 1 else f"{name}-{count}"
        while count > 1 and fresh in taken:
            met[name] = count = count + 1
            fresh = f"{name}-{count}"
        taken.add(fresh)
        ids[index] = fresh
    return frame.with_columns(id=pl.Series(ids, dtype=pl.String))
