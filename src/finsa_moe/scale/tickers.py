"""Columns of tickers as names: one a cell or several, whatever type a table holds them in.

Expressions of polars go in and come out; what a single cell means is the data room's to say (`data.reading.cells`).
Names that differ by their zeros alone are told, not guessed to be one.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from finsa_moe.data.reading.cells import tickers_of

_NONE = ("", "nan", "NaN", "None", "<NA>")
"""What is no name: pandas writes an empty cell so where it makes text of a column."""


def spelt(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Cells as one name each; whole floats without ``.0``, as pandas makes floats of numbers beside an empty cell.

    So are those that it has written to a file of text.
    """
    if not kind.is_float():
        return column.cast(pl.String).str.replace(r"^(\d+)\.0$", "$1")
    number = column.fill_nan(None)
    whole = number.cast(pl.Int64, strict=False)
    return pl.when(whole == number).then(whole.cast(pl.String)).otherwise(number.cast(pl.String))


def listed(column: pl.Expr, kind: pl.DataType, split: str | None = None) -> pl.Expr:
    """Cells as lists of tickers; a string may be a list written as JSON, as tables without lists hold it."""
    if isinstance(kind, pl.List):
        column = column.list.eval(spelt(pl.element(), kind.inner))  # type: ignore[arg-type]
        column = column if split is None else column.list.join(split).str.split(split)
    else:
        column = spelt(column, kind)
        written = pl.when(column.str.starts_with("[")).then(column)
        names = written.map_batches(_decoded, return_dtype=pl.List(pl.String), is_elementwise=True)
        if split is None:
            column = pl.coalesce(names, pl.concat_list(column))
        else:
            column = pl.coalesce(names.list.join(split), column).str.split(split)
    # a ticker named twice is named; an empty name is none
    trimmed = column.list.eval(pl.element().str.strip_chars()).list
    return trimmed.eval(pl.element().filter(pl.element() != "")).list.unique(maintain_order=True)


def counted(names: pl.Expr, zfill: int | None = None) -> pl.Expr:
    """Names as they count: blanks round them left out, null where there is none, digits with zeros up to `zfill`."""
    bare = names.str.strip_chars()
    named = pl.when(~bare.is_in(_NONE)).then(bare)
    if zfill is None:
        return named
    return pl.when(named.str.contains(r"^\d+$")).then(named.str.zfill(zfill)).otherwise(named)


def twins(names: Collection[str], others: Collection[str]) -> list[tuple[str, str]]:
    """Of names of digits, each that is another one but for leading zeros, with that one."""
    known = {name.lstrip("0"): name for name in sorted(others) if name.isdecimal()}
    pairs = [(name, known.get(name.lstrip("0"), name)) for name in sorted(names) if name.isdecimal()]
    return [(name, other) for name, other in pairs if name != other]


def _decoded(cells: pl.Series) -> pl.Series:
    """The tickers of cells, each distinct one read once."""
    cells = cells.rename("cell")
    known = cells.drop_nulls().unique()
    lists = pl.Series("names", [tickers_of(cell) for cell in known], pl.List(pl.String))
    return cells.to_frame().join(pl.DataFrame([known, lists]), on="cell", how="left", maintain_order="left")["names"]
