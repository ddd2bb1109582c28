"""How many rows of each polarity a prepared set holds: splits in, one table and one figure out.

It counts what is there and judges nothing; the figure needs no Chinese font, for with none it is labelled in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from finsa_moe.data.fonts import chinese_font, drawable
from finsa_moe.data.preparing.split import SPLITS
from finsa_moe.data.reading.columns import listed
from finsa_moe.data.reading.read import read_frame
from finsa_moe.errors import DataError, require
from finsa_moe.files import whole_file
from finsa_moe.polarity import NAMES, Polarity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As in the published table: bullish first. On Chinese boards red rises; blue for the fall keeps the two apart for
# readers who do not tell red from green.
ORDER = (Polarity.BULLISH, Polarity.NEUTRAL, Polarity.BEARISH)
_COLOURS = {Polarity.BULLISH: "#c8452f", Polarity.NEUTRAL: "#b8b8b0", Polarity.BEARISH: "#2b6f8f"}


def polarity_table(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Count the polarities of some sets.

    Args:
        frames: Rows with ``label`` (利空, 中性 or 利好), by a name such as ``"news/train"``.

    Returns:
        One row a set, in the order given: ``set``, ``bullish``, ``neutral``, ``bearish``, ``total`` (counts).
    """
    counts = [
        {"set": name, **{p.english: int((frame["label"] == p.chinese).sum()) for p in ORDER}}
        for name, frame in frames.items()
    ]
    schema = {"set": pl.String} | {polarity.english: pl.Int64 for polarity in ORDER}
    classes = [polarity.english for polarity in ORDER]
    return pl.DataFrame(counts, schema=schema).with_columns(total=pl.sum_horizontal(classes))


def read_prepared(folders: list[Path]) -> dict[str, pl.DataFrame]:
    """The splits of prepared folders, named ``<domain>/<split>``.

    Raises:
        DataError: If a folder holds no ``train.csv``, ``valid.csv`` or ``test.csv``, or one of them has no ``text`` or
            ``label``, or a label that `finsa prepare` does not write.
    """
    frames: dict[str, pl.DataFrame] = {}
    for folder in folders:
        files = [folder / f"{split}.csv" for split in SPLITS if (folder / f"{split}.csv").is_file()]
        if not files:
            raise DataError(f"{folder}: holds none of train.csv, valid.csv, test.csv; make them by finsa prepare")
        for path in files:
            frame = read_frame(path)
            _check(frame, path)
            domain = frame["domain"][0] if "domain" in frame.columns and frame.height else folder.resolve().name
            name = f"{domain}/{path.stem}"
            frames[name if name not in frames else f"{folder}/{path.stem}"] = frame
    return frames


def _check(frame: pl.DataFrame, path: Path) -> None:
    for name in ("text", "label"):
        if name not in frame.columns:
            found = listed(frame.columns)
            raise DataError(f"{path}: no column {name!r}; columns found: {found}; make the folder by finsa prepare")
    wrong = frame.with_row_index(offset=1).filter(~pl.col("label").is_in(NAMES))
    if wrong.height:
        raise DataError(
            f"{path}, row {wrong['index'][0]}: label {wrong['label'][0]!r} ({wrong.height:,} of {frame.height:,} rows "
            f"have such); allowed {'/'.join(NAMES)}; make the folder by finsa prepare"
        )


def save_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV, whole or not at all.

    Raises:
        DataError: If it cannot be written.
    """
    with whole_file(path) as file:
        table.write_csv(file)


def plot_polarity(table: pl.DataFrame, path: Path) -> None:
    """Draw a polarity table as one bar a set, each polarity its share and its count.

    Args:
        table: What `polarity_table` gives.
        path: The picture to write; its ending says the format (``.png``, ``.svg``, ``.pdf``).

    Raises:
        DataError: If the ending is no picture format, or the file cannot be written.
        MissingExtra: If matplotlib is not installed.
    """
    require("matplotlib", "data", "drawing the polarity figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # a canvas of our own: no display, no global state
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 1.3 + 0.46 * table.height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_bars(axes, table)
    known = figure.canvas.get_supported_filetypes()
    ending = path.suffix.lower().removeprefix(".")
    if ending not in known:
        allowed = ", ".join(f".{name}" for name in sorted(known))
        raise DataError(f"{path}: cannot be written: unknown ending {path.suffix!r}; name a file ending in {allowed}")
    with whole_file(path) as file:
        figure.savefig(file, format=ending)


def _draw_bars(axes: Axes, table: pl.DataFrame) -> None:
    font: dict[str, Any] = {"family": [chinese_font() or "DejaVu Sans", "DejaVu Sans"]}
    left = [0.0] * table.height
    totals = table["total"].to_list()
    for polarity in ORDER:
        counts = table[polarity.english].to_list()
        shares = [count / total if total else 0.0 for count, total in zip(counts, totals, strict=True)]
        name = f"{polarity.chinese} {polarity.english}" if chinese_font() else polarity.english
        axes.barh(range(table.height), shares, left=left, height=0.62, color=_COLOURS[polarity], label=name)
        for row, (count, share) in enumerate(zip(counts, shares, strict=True)):
            if share > 0.09:  # a narrower piece has no room for its number
                ink = "#222222" if polarity is Polarity.NEUTRAL else "white"
                where = left[row] + share / 2
                axes.text(where, row, f"{count:,}\n{share:.1%}", ha="center", va="center", fontsize=7, color=ink)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    names = [f"{name}  ({total:,})" for name, total in zip(drawable(table["set"].to_list()), totals, strict=True)]
    axes.set_yticks(range(table.height), names, fontsize=9, **font)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.tick_params(axis="both", length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, prop={**font, "size": 9})
