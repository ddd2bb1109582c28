"""The splits round a training file: which must not be learnt from, and a folder in which the training split has grown.

Paths and rows go in; a folder that can be trained on comes out. It makes no row.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from finsa_moe.data.preparing.folder import made_by, refuse_mount, written_whole
from finsa_moe.data.reading.read import read_texts
from finsa_moe.data.reading.sets import held_out_in, is_held_out, split_called
from finsa_moe.errors import DataError

MADE_BY = "finsa augment"
TRAIN, VALID, REPORT = "train.csv", "valid.csv", "report.json"


def judging(source: Path) -> list[Path]:
    """The splits beside a training file that models are judged by, of any name and format; empty files are none.

    Args:
        source: A file, or a folder of files of training rows.

    Raises:
        DataError: If the source is such a split, or a folder that holds one; if one beside it is a link to nothing.
    """
    places = {source.absolute(), source.resolve()}  # a link may give a split another name
    if any(map(is_held_out, places)):
        raise DataError(
            f"{source}: called as a split that models are judged by; {_rather(source.parent)}, or rename it"
        )
    if inside := held_out_in(source):
        raise DataError(f"{source}: a folder of splits, {inside[0].name} among them; {_rather(source)}")
    beside = {path for folder in {place.parent for place in places} for path in held_out_in(folder)}
    if lost := sorted(path for path in beside if not path.exists()):
        raise DataError(
            f"{lost[0]}: called as a split that models are judged by, and links to nothing; mend or drop it"
        )
    return sorted(path for path in beside if path.stat().st_size)


def judging_texts(splits: Sequence[Path], text: str | None) -> list[str]:
    """The texts of splits that `judging` found.

    Args:
        splits: Their files.
        text: As for `read_texts`.

    Raises:
        DataError: As `read_texts` does, with why a file was read that nobody named.
    """
    try:
        return read_texts(splits, text)
    except DataError as error:
        why = "it was read because its name says that models are judged by it: move or rename it if they are not"
        raise DataError(f"{error}; {why}") from error


def check_folder(out: Path, sources: Iterable[Path]) -> None:
    """Refuse a folder that must not be made or replaced.

    Raises:
        DataError: If it is a mount point, or not empty and not made by `grow`, or something that is read lies in it.
    """
    refuse_mount(out)
    for source in sources:
        if source.resolve().is_relative_to(out.resolve()):
            raise DataError(f"--out {out}: {source} lies in it, which is read here; name another folder")
    if out.is_dir() and any(out.iterdir()) and made_by(out) != MADE_BY:
        raise DataError(f"--out {out}: not empty and not made by {MADE_BY}; name another folder")


def check_trainable(out: Path, source: Path, splits: Iterable[Path], *, named: bool) -> None:
    """Refuse a folder that could not be trained on, as the other splits go there as they are.

    Args:
        out: The folder to make.
        source: What grows.
        splits: The splits that go with it.
        named: Whether columns were named by hand; those of the grown split are called ``text`` and ``label``.

    Raises:
        DataError: If there is no ``valid.csv``, or its columns may be called otherwise than those of ``train.csv``.
    """
    remedy = f"augment the {TRAIN} that finsa prepare makes, or name a file, as in --out F.csv"
    if all(path.name != VALID for path in splits):
        raise DataError(f"--out {out}: training needs a {VALID}, and none stands beside {source}; {remedy}")
    if named:
        raise DataError(
            f"--out {out}: {VALID} goes there with the columns that it has, {TRAIN} with text and label, and training "
            f"reads both by the same names; {remedy}"
        )


def grow(out: Path, rows: pl.DataFrame, splits: Iterable[Path], source: Path) -> None:
    """Write a folder of ``train.csv`` with some rows, the other splits as they are, and a ``report.json``.

    Of an older `out` every split goes, as another set's would judge this one's rows; files of other names stay.

    Raises:
        DataError: If it cannot be written.
    """
    splits = list(splits)
    with written_whole(out, lambda name: name == REPORT or split_called(Path(name)) is not None) as folder:
        rows.write_csv(folder / TRAIN)
        for path in splits:
            shutil.copyfile(path, folder / path.name)
        report = {
            "made_by": MADE_BY,
            "source": str(source),
            "rows": rows.height,
            "as they were": list(map(str, splits)),
        }
        (folder / REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _rather(folder: Path) -> str:
    """What to augment instead of a split of this folder."""
    return f"augment {folder / TRAIN}" if (folder / TRAIN).is_file() else "augment a training split"
