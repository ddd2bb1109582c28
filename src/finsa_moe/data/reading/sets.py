"""Splits of one set, as a user names them: files, ``NAME=FILE``, folders of splits; the training split first.

What was typed goes in, a path or the rows of each split come out by name, with what a user should be told of them. It
does not compare splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.formats import READERS, find_files
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.read import read_rows
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.polarity import LabelMap

STEMS = ("train", "valid", "validation", "val", "dev", "eval", "test")
"""Names of files that make a folder one of splits, in reading order; case does not matter."""
_SPLIT = re.compile(rf"({'|'.join(STEMS)})(-\d+-of-\d+(?:-[0-9a-f]+)?)?", re.IGNORECASE)
"""A file of a split without its endings, or a shard of one, as hubs store it (``train-00000-of-00002``)."""
_TRAINING = re.compile(r"(?<![a-z])train(ing)?(?![a-z])")


def named_splits(given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Find the splits that some words of a command line stand for.

    Args:
        given: A file (its split is called by its stem), ``NAME=FILE``, or a folder: two or more files called as in
            `STEMS`, or in shards, are its splits, with the folder's name before theirs where more than one word is
            given; any other folder is one split, of those of its files that no other word names.

    Returns:
        The paths of each, several where it lies in shards. The first stays first, unless just one name says that it is
        the training split.

    Raises:
        ConfigError: If two splits have one name, or of a folder that is one split other words name every file.
        DataError: If there is no such file, or it is of no known format.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for words in given:
        name, path = _taken_apart(words)
        files = find_files([path]).files
        inside = splits_of(path)
        if len(inside) > 1:
            before = name or (path.resolve().name if len(given) > 1 else "")
            parts = {f"{before}/{stem}" if before else stem: files for stem, files in inside.items()}
        else:
            own = _not_apart(files, given) if path.is_dir() else files
            if not own:
                raise ConfigError(f"{path}: each of its files is named for itself, too; leave the folder out")
            parts = {name or path.resolve().stem: (path,) if own == files else tuple(own)}
        for key, part in parts.items():
            if key in found:
                raise ConfigError(f"{part[0]}: two splits are called {key!r}; name them, as in train={found[key][0]}")
            found[key] = part
    training = [name for name in found if _TRAINING.search(name.lower())]
    first = training if len(training) == 1 else []
    return {name: found[name] for name in (*first, *(name for name in found if name not in first))}


def overlooked(given: Sequence[str]) -> list[str]:
    """A line for each folder among the words that holds files of rows which are no split of their own by their names.

    What another word names is left out; a second form of a split, of which the first counts, has a line of its own.

    Args:
        given: As for `named_splits`.
    """
    told = []
    for _, path in map(_taken_apart, given):
        inside = splits_of(path)
        used = {file for files in inside.values() for file in files}
        others = [file for file in _not_apart(find_files([path]).files, given) if file not in used] if inside else []
        second = {file: match[1].lower() for file in others if file.parent == path and (match := _split(file))}
        read = "not read" if len(inside) > 1 else f"read with {min(used).name} as one split" if inside else ""
        if strange := [file for file in others if file not in second]:
            told.append(
                f"{path}: {_shown(strange, path)}: {read}, as a folder's splits are called {', '.join(STEMS)}; "
                f"name each file that is one, as in {strange[0].stem}={strange[0]}"
            )
        if second:
            first = inside[next(iter(second.values()))][0].name
            told.append(
                f"{path}: {_shown(list(second), path)}: {read}, a second form of a split that is there, as {first} is; "
                "move one of the two out of the folder"
            )
    return told


def _not_apart(files: Sequence[Path], given: Sequence[str]) -> list[Path]:
    """The files of a folder that none of the words names for itself."""
    apart = {named(path).file.resolve() for _, path in map(_taken_apart, given)}
    return [file for file in files if file.resolve() not in apart]


def _shown(files: Sequence[Path], folder: Path) -> str:
    """The first of some files by their place in a folder."""
    return ", ".join(str(file.relative_to(folder)) for file in files[:3]) + (" …" if len(files) > 3 else "")


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
        The rows of each split (label null where unknown), and a line for each thing left out or not understood: a
        split of which a header is all there is, too.

    Raises:
        ConfigError: If two splits have one name.
        DataError: If a file or a column is missing, or a file cannot be read at all.
    """
    frames, told = {}, []
    for name, paths in named_splits(given).items():

        def show(done: int, of: int, name: str = name) -> None:
            if progress is not None:
                progress(f"reading {name}", done, of)

        table = read_rows(paths, columns, labels, None, need_label=False, progress=show)
        if not table.rows_in:
            told.append(f"{name}: a header and no row; passed over")
            continue
        frames[name] = table.frame
        if table.rejects.height:
            told.append(
                f"{table.first_reject} (and the like: {table.rejects.height:,} of {table.rows_in:,} rows of {name} are "
                "left out)"
            )
        unknown = table.frame["label"].null_count()
        if unknown:
            where = ", ".join(map(str, paths))
            told.append(
                f"{where}: {unknown:,} of {table.frame.height:,} rows bear no label that is known; "
                "name its column by --label, or spell it by --labels, as in 0=利空,1=中性,2=利好"
            )
    return frames, told


def splits_of(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of a folder that are splits by their names, in reading order, each with its shards; of a file, none.

    Of two forms of one split the first of `READERS` counts, a whole file before shards.
    """
    if not folder.is_dir():
        return {}
    forms: dict[str, dict[tuple[bool, int, bool, str], list[Path]]] = {}
    for path in sorted(folder.iterdir()):
        if (match := _split(path)) and path.is_file():
            meant = named(path)
            form = bool(match[2]), list(READERS).index(meant.ending), meant.packed, "" if match[2] else path.name
            forms.setdefault(match[1].lower(), {}).setdefault(form, []).append(path)
    return {stem: tuple(forms[stem][min(forms[stem])]) for stem in STEMS if stem in forms}


def one_split(path: Path) -> None:
    """Refuse a folder with a training split in it where rows of one split are meant.

    Raises:
        DataError: Naming the file that could be meant, never one of training rows or a part of a split.
    """
    if "train" not in (inside := splits_of(path)):
        return
    others = [(split, files) for split, files in inside.items() if split != "train"]
    whole = [files[0] for _, files in others if len(files) == 1]
    advice = "name the file of the rows that are meant"
    if whole:
        advice = f"name one split, e.g. {whole[-1]}"
    elif others:
        split, files = others[-1]
        advice = f"{split} lies in {len(files)} shards: move them to a folder of their own, and name that"
    raise DataError(f"{path} is a folder of splits, its training rows among them; {advice}")


def held_out_in(folder: Path) -> list[Path]:
    """The files of a folder that are splits other than training's by their names, in every form; of no folder, none."""
    return sorted(path for path in folder.iterdir() if is_held_out(path)) if folder.is_dir() else []


def is_held_out(path: Path) -> bool:
    """Whether a file's name says that it is a split, or a shard of one, that models are judged by; not of folders."""
    return split_called(path) not in (None, "train")


def split_called(path: Path) -> str | None:
    """Which of `STEMS` a file's name says that it is, or is a shard of; None for other names, and of folders."""
    match = _split(path)
    return match[1].lower() if match and not path.is_dir() else None


def _split(path: Path) -> re.Match[str] | None:
    """What a file's name says of the split that it is, or is a shard of: as in `_SPLIT`; None for other names."""
    meant = named(path)
    stem = meant.file.name[: -len(meant.ending) - len(".gz") * meant.packed]
    return _SPLIT.fullmatch(stem) if meant.ending in READERS else None


def _taken_apart(words: str) -> tuple[str, Path]:
    """The name that a word gives a split, empty where it gives none, and the path."""
    name, sign, rest = words.partition("=")
    return ("", Path(words)) if not sign or Path(words).exists() else (name, Path(rest))
