"""Files of answers as one table of what counts: tickers, when, source, sentiment, score, confidence.

Paths go in; a lazy table comes out, with the files it reads and those that were left out. Every format, every schema
and every way to write a ticker is brought to one here. It adds nothing up.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path

import polars as pl

from finsa_moe.data.reading.columns import find_text
from finsa_moe.errors import DataError, closest
from finsa_moe.runtime.prediction import answer_columns
from finsa_moe.scale.manifest import NAME, header_of
from finsa_moe.scale.moments import day_of, late, local
from finsa_moe.scale.tickers import listed, spelt

SHARDS = "scores"  # the folder of `scale.job.Job.scores`
ANSWERS = ("sentiment", "bearish", "bullish", "confidence")
_BLOCK = tuple(answer_columns(()))[:6]  # up to the expert, they stand side by side
_TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class Scored:
    """Scored texts, unread.

    Attributes:
        rows: ``tickers`` (a string or a list of them), ``when`` (the day, as `data.reading.days` reads it), ``late``
            (whether the text is of the close or after; null without a time; only where a close is given), ``source``,
            ``sentiment``, ``score`` and ``confidence``, and, where it is asked for, ``text`` (a number that equal
            texts share, null where all cells are empty), the last four null in a row without an answer.
        files: The files read, each once.
        skipped: Files met in folders and left out, with the reason.
    """

    rows: pl.LazyFrame
    files: list[Path]
    skipped: dict[str, str]


@dataclass(frozen=True)
class _Group:
    """Files that one scan reads."""

    files: list[Path]
    frame: pl.LazyFrame
    schema: pl.Schema


def open_scored(
    sources: Sequence[Path], by: str, date: str, *, source: str | None, split: str | None, close: time | None,
    zone: str, text: str | None, need_text: bool,
) -> Scored:  # fmt: skip
    """Open scored files; arguments and errors as `daily.daily_sums`, which needs the text to count each once.

    The text is, unless it is named, what `finsa score` has answered, as its manifest tells.
    """
    found = _files(sources)
    groups: list[_Group] = []
    skipped: dict[str, str] = {}

    def unreadable(file: Path, error: Exception) -> None:
        said = f"cannot be read ({str(error).partition(chr(10))[0]})"
        if found[file] or manifest_of(file) is not None:
            raise DataError(f"{file}: {said}; score it again") from error
        skipped[str(file)] = said

    texts = _named_text(list(found), text) if need_text else {}
    for files in _alike(list(found), texts, unreadable):
        try:
            group = _open(files)
        except (pl.exceptions.PolarsError, OSError) as error:
            for file in files:
                unreadable(file, error)
            continue
        lacking = [name for name in (*ANSWERS, *(["expert"] if source is None else [])) if name not in group.schema]
        if not lacking:
            groups.append(group)
            continue
        told = f"no column {lacking[0]!r}, so it is not scored"
        if named := [file for file in files if found[file]]:
            raise DataError(f"{named[0]}: {told}; run `finsa score` or `finsa predict` on it")
        skipped |= {str(file): told for file in files}
    if not groups:
        raise DataError(f"{sources[0]}: no scored file in it; name a folder of `finsa score` or a file of answers")
    if not any(by in group.schema for group in groups):
        _need(by, groups[0], "by")
    lists = split is not None or any(isinstance(group.schema.get(by), pl.List) for group in groups)
    rows = pl.concat(
        [_rows(group, by, date, source, split, lists, close, zone, _text(group, texts)) for group in groups]
    )
    return Scored(rows, [file for group in groups for file in group.files], skipped)


def _files(sources: Sequence[Path]) -> dict[Path, bool]:
    """Every file once, whatever it is named by; and whether it was named itself, not met in a folder."""
    found: dict[Path, tuple[Path, bool]] = {}
    for source in sources:
        if not source.exists():
            raise DataError(f"{source}: no such file or folder")
        if source.is_file():
            if source.suffix.lower() not in _TABLES:
                raise DataError(f"{source}: unknown ending {source.suffix!r}; known: {', '.join(_TABLES)}")
            found[source.resolve()] = source, True
            continue
        try:
            inside = list(_inside(source, set()))
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot be read ({error.strerror}); make it readable, or move it"
            ) from error
        if not inside:
            raise DataError(f"{source}: no scored file in it; name a folder of `finsa score` or a file of answers")
        for path in inside:
            found.setdefault(path.resolve(), (path, False))
    return dict(found.values())


def manifest_of(file: Path) -> Path | None:
    """The manifest of the folder of `finsa score` that a file is a shard of; None for any other file."""
    place = file.resolve().parent
    manifest = place.with_name(NAME)
    return manifest if place.name == SHARDS and manifest.is_file() else None


def _inside(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Tables of a folder and those in it, hidden ones left out; of a folder of `finsa score` its shards alone."""
    if (folder / NAME).is_file() and (folder / SHARDS).is_dir():  # other tools call files so too
        folder = folder / SHARDS
    if (place := folder.resolve()) in seen:
        return
    seen.add(place)
    for path in sorted(folder.iterdir()):
        if path.name[0] == ".":
            continue
        if path.is_dir():
            yield from _inside(path, seen)
        elif path.suffix.lower() in _TABLES:
            yield path


def _named_text(files: Sequence[Path], given: str | None) -> dict[Path, str | None]:
    """What names the text of each file: the user, else what `finsa score` was told when it answered it."""
    if given is not None:
        return dict.fromkeys(files, given)
    folders = {file: manifest_of(file) for file in files}
    headers = {manifest: header_of(manifest) for manifest in {*folders.values()} if manifest is not None}
    return {file: None if manifest is None else headers[manifest].get("text") for file, manifest in folders.items()}


def _alike(
    files: Sequence[Path], texts: Mapping[Path, str | None], unreadable: Callable[[Path, Exception], None]
) -> list[list[Path]]:
    """Files with the same columns, types and text together, since one scan has one schema."""
    groups: dict[object, list[Path]] = {}
    for file in files:
        key: object = file
        if file.suffix.lower() == ".parquet":
            try:
                with file.open("rb") as stream:  # a name would be read as a pattern
                    key = (*pl.read_parquet_schema(stream).items(), texts.get(file))
            except (pl.exceptions.PolarsError, OSError) as error:
                unreadable(file, error)
                continue
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _open(files: list[Path]) -> _Group:
    ending = files[0].suffix.lower()
    if ending == ".parquet":
        frame = pl.scan_parquet(files, glob=False)
    elif ending in (".csv", ".tsv"):  # as text: a ticker 000001 is no number
        separator = "\t" if ending == ".tsv" else ","
        frame = pl.scan_csv(files, infer_schema=False, separator=separator, glob=False)
    else:  # every row may bring a key, or a type that the first ones had not
        frame = pl.scan_ndjson([glob.escape(str(file)) for file in files], infer_schema_length=None)
    return _Group(files, frame, frame.collect_schema())


def _rows(
    group: _Group, by: str, date: str, source: str | None, split: str | None, lists: bool, close: time | None,
    zone: str, text: list[str] | None,
) -> pl.LazyFrame:  # fmt: skip
    """The columns that count, under names of their own."""
    schema = group.schema
    named = _answers(list(schema))
    answer = {name: pl.col(named[name]) for name in ANSWERS}
    origin = pl.col(named["expert"] if source is None else _need(source, group, "source"))
    kind = schema[_need(date, group, "date")]
    number = {name: answer[name].cast(pl.Float64, strict=False) for name in ANSWERS[1:]}
    score = number["bullish"] - number["bearish"]
    word = answer["sentiment"].cast(pl.String)
    answered = (word != "") & score.is_finite() & number["confidence"].is_finite()
    rows = group.frame.select(
        tickers=_tickers(by, schema, split, lists), when=local(pl.col(date), kind, zone),
        source=origin.cast(pl.String), sentiment=pl.when(answered).then(word), score=pl.when(answered).then(score),
        confidence=pl.when(answered).then(number["confidence"]), **_hashed(text, answered),
    )  # fmt: skip
    after = {} if close is None else {"late": late(pl.col("when"), kind, close)}
    return rows.with_columns(when=day_of(pl.col("when"), kind), **after)


def _text(group: _Group, texts: Mapping[Path, str | None]) -> list[str] | None:
    """The columns of the text, found as `finsa score` finds them; None where they are not asked for."""
    if not texts:
        return None
    names, file = list(group.schema), group.files[0]
    return [names[place] for place in find_text(names, texts[file], file)]


def _hashed(text: list[str] | None, answered: pl.Expr) -> dict[str, pl.Expr]:
    """The number that equal texts share."""
    if text is None:
        return {}
    whole = pl.concat_str(text, separator=" ", ignore_nulls=True).str.strip_chars()
    return {"text": pl.when(answered, whole != "").then(whole.hash())}


def _tickers(by: str, schema: pl.Schema, split: str | None, lists: bool) -> pl.Expr:
    """A row's ticker, or a list of its tickers where any file has `lists`."""
    if by not in schema:
        return pl.lit(None, pl.List(pl.String) if lists else pl.String)
    column = pl.col(by)
    return listed(column, schema[by], split) if lists else spelt(column, schema[by])


def _answers(names: list[str]) -> dict[str, str]:
    """The columns of the answers, by what they hold.

    Where the rows had a column of that name, ours is called ``predicted_…``, and so may one of theirs be: ours are the
    last that stand side by side in the order of answers. In a table of another order it is the longest name.
    """
    pattern = [re.compile(rf"(?:predicted_)*{name}") for name in _BLOCK]
    for start in range(len(names) - len(_BLOCK), -1, -1):
        found = names[start : start + len(_BLOCK)]
        if all(each.fullmatch(name) for each, name in zip(pattern, found, strict=True)):
            return dict(zip(_BLOCK, found, strict=True))
    return {
        kind: max((name for name in names if each.fullmatch(name)), key=len, default=kind)
        for kind, each in zip(_BLOCK, pattern, strict=True)
    }


def _need(name: str, group: _Group, option: str) -> str:
    if name not in group.schema:
        known = list(group.schema)
        raise DataError(
            f"{group.files[0]}: no column {name!r}{closest(name, known)}; columns found: {', '.join(known[:12])}; "
            f"name it by --{option} COL"
        )
    return name
