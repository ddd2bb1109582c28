"""Splits of one set, as a user names them: files, ``NAME=FILE``, folders of splits; the training split first.

What was typed goes in, a path or the rows of each split come out by name, with what a user should be told of them. It
does not compare splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from finsa_moe.data.columns import Columns
from finsa_moe.data.formats import READERS, find_files
from finsa_moe.data.names import TEXT
from finsa_moe.data.read import read_rows
from finsa_moe.errors import ConfigError
from finsa_moe.polarity import LabelMap

STEMS = ("train", "valid", "validation", "val", "dev", "eval", "test")
"""Names of files that make a folder one of splits, in reading order."""
_TRAINING = re.compile(r"(?<![a-z])train(ing)?(?![a-z])")


def named_splits(given: Sequence[str]) -> dict[str, Path]:
    """Find the splits that some words of a command line stand for.

    Args:
        given: A file (its split is called by its stem), ``NAME=FILE``, or a folder: two or more files called as in
            `STEMS` are its splits, with the folder's name before theirs where more than one word is given; any other
            folder is one split.

    Returns:
        A path each. The first stays first, unless just one name says that it is the training split.

    Raises:
        ConfigError: If two splits have one name.
        DataError: If there is no such file, or it is of no known format.
    """
    found: dict[str, Path] = {}
    for words in given:
        name, sign, rest = words.partition("=")
        name, path = ("", Path(words)) if not sign or Path(words).exists() else (name, Path(rest))
        find_files([path])
        inside = _splits_of(path)
        if inside:
            before = name or (path.resolve().name if len(given) > 1 else "")
            parts = {f"{before}/{stem}" if before else stem: file for stem, file in inside.items()}
        else:
            parts = {name or path.resolve().stem: path}
        for key, part in parts.items():
            if key in found:
                raise ConfigError(f"{part}: two splits are called {key!r}; name them, as in train={found[key]}")
            found[key] = part
    training = [name for name in found if _TRAINING.search(name.lower())]
    first = training if len(training) == 1 else []
    return {name: found[name] for name in (*first, *(name for name in found if name not in first))}


def read_splits(
    given: Sequence[str],
    columns: Columns,
    labels: LabelMap,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Read the splits that some words of a command line stand for; labels may be missing or unknown.

    Args:
        given: As for `named_splits`.
        columns: The user's names of the columns.
        labels: The user's spelling of the classes.
        progress: Called with the split under way, its files done and its files in all.

    Returns:
        The rows of each split (label null where unknown), and a line for each thing left out or not understood.

    Raises:
        ConfigError: If two splits have one name.
        DataError: If a file or a column is missing, or a file cannot be read at all.
    """
    frames, told = {}, []
    for name, path in named_splits(given).items():

        def show(done: int, of: int, name: str = name) -> None:
            if progress is not None:
                progress(f"reading {name}", done, of)

        table = read_rows([path], columns, labels, None, need_label=False, progress=show)
        frames[name] = table.frame
        if table.rejects.height:
            told.append(
                f"{table.first_reject} (and the like: {table.rejects.height:,} of {table.rows_in:,} rows of {name} are "
                "left out)"
            )
        unknown = table.frame["label"].null_count()
        if unknown:
            told.append(
                f"{path}: {unknown:,} of {table.frame.height:,} rows bear no label that is known; name its "
                "column by --label, or spell it by --labels, as in 0=利空,1=中性,2=利好"
            )
    return frames, told


def _splits_of(folder: Path) -> dict[str, Path]:
    """The files of a folder that are splits, by name; none when there are fewer than two."""
    if not folder.is_dir():
        return {}
    endings = [*READERS, *(f"{ending}.gz" for ending in TEXT)]
    places = [(stem, folder / f"{stem}{ending}") for stem in STEMS for ending in endings]
    found = {stem: path for stem, path in reversed(places) if path.is_file()}
    return dict(sorted(found.items(), key=lambda item: STEMS.index(item[0]))) if len(found) > 1 else {}
