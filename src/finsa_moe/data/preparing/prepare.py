"""Raw sources in, a folder with train, valid and test out, beside it every refused row and a report that adds up.

Reading, resolving of conflicts and splitting live elsewhere; here they are put in order, counted and written, whole or
not at all. It knows nothing of models.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from finsa_moe.data.domains import check_domain
from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD, N, checked
from finsa_moe.data.duplicates.grams import banding
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.preparing.folder import made_by, refuse_mount, written_whole
from finsa_moe.data.preparing.groups import group
from finsa_moe.data.preparing.placed import write_splits
from finsa_moe.data.preparing.report import MADE_BY, Read, Report, describe
from finsa_moe.data.preparing.split import RULES, Settled, checked_ratios, settle_conflicts, split
from finsa_moe.data.preparing.staging import Plan, Staged, stage
from finsa_moe.data.preparing.stats import plot_polarity, polarity_table
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.days import days, later
from finsa_moe.data.reading.excel import other_sheets
from finsa_moe.data.reading.formats import find_files
from finsa_moe.data.reading.ids import name_rows
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import locked
from finsa_moe.polarity import LabelMap

# Train, valid and test in percent: news and forum as published, 80/10/10 our choice for any other domain.
PRESETS: dict[str, tuple[float, float, float]] = {"news": (98, 1, 1), "forum": (60, 20, 20)}
OTHERS: tuple[float, float, float] = (80, 10, 10)
Progress = Callable[[str, int, int], None]
FILES = ("train.csv", "valid.csv", "test.csv", "rejects.csv", "report.json", "polarity.png")


def prepare(
    sources: Sequence[Path],
    *,
    domain: str,
    out: Path,
    ratios: tuple[float, float, float] | None = None,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    labels: LabelMap = LabelMap(),  # noqa: B008 - frozen
    seed: int = 13,
    by: str = "near",
    test_after: date | None = None,
    conflicts: str = "majority",
    threshold: float = CLUSTER_THRESHOLD,
    n: int = N,
    force: bool = False,
    held_out: Sequence[str] = (),
    bom: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Read, check and split the rows of one domain into a folder.

    Rows of equal text never part, whatever `by` says; rows made from another (``source_id``) stay with it.

    Args:
        sources: Files and folders.
        domain: The domain's name, written into every row.
        out: The folder to make: ``train.csv``, ``valid.csv``, ``test.csv`` (``id,text,label,domain``, and ``date``,
            ``source_id`` and the column of `by` where there are such), ``rejects.csv``, ``report.json`` and
            ``polarity.png``.
        ratios: Shares of train, valid and test; None takes the domain's preset.
        columns: The user's names of the columns.
        labels: The user's spelling of the classes.
        seed: Another seed, another split.
        by: What keeps rows together: ``"near"``, texts equal or near; ``"exact"``, equal texts alone; or the name of a
            column, whose equal values stay together beside near texts.
        test_after: The test is the rows after this day; train and valid are drawn from the rest by their ratios. Rows
            after it that repeat a text from before, equal or near, or that `by` keeps with one, are refused.
            Conflicts are settled on each side of it by itself.
        conflicts: What stands where equal texts bear several labels: ``"majority"``, ``"drop"`` or ``"keep"``.
        threshold: Least Jaccard similarity of n-grams that makes two texts near.
        n: Length of an n-gram, characters.
        force: Write into a folder that is not empty and was not made here; only the files named above are replaced.
        held_out: Texts that a model is going to be judged by; rows equal or near to one are refused.
        bom: Whether ``rejects.csv`` starts with a byte order mark, which Excel needs to see UTF-8.
        processes: How many read at once, for more than a few megabytes. A script that asks for several must be
            importable: its own work stands under ``if __name__ == "__main__"``.
        progress: Called with the step's name, what is done and what there is in all.

    Raises:
        DataError: If a source cannot be read, no row can be used, or `out` must not be written or is by another run.
        ConfigError: If the domain, the ratios or another setting is not allowed.
        MissingExtra: If rensa is not installed and near texts are asked for.
    """
    check_domain(domain)
    if conflicts not in RULES:
        raise ConfigError(f"conflicts {conflicts!r}: allowed are {', '.join(RULES)}")
    checked(threshold, n)
    shares = checked_ratios(ratios or PRESETS.get(domain, OTHERS))
    found = find_files(sources)
    _check_target([*sources, *found.files], out, force=force)
    near = by != "exact"
    columns = replace(columns, by=by if by not in ("near", "exact") else None)
    plan = Plan(
        columns, labels, domain, HeldOut(held_out) if held_out else None, banding(threshold) if near else None, n
    )
    with _scratch(out) as scratch:
        staged = stage(found, scratch / "rows", plan, processes=processes, progress=_step(progress, "reading"))
        rows, ids = name_rows(staged.rows)
        groups = group(staged, rows["id"], threshold=threshold, n=n, near=near, progress=_step(progress, "comparing"))
        rows = rows.with_row_index().with_columns(cluster="key", group=pl.Series(groups.cluster))
        if test_after is None:
            settled = settle_conflicts(rows, conflicts)
            parts, refused = split(settled.frame.with_columns(cluster="group"), shares, seed), [settled.refused]
        else:
            rows = rows.with_columns(like=pl.Series(groups.like))
            before, after, unusable = _cut(sources, rows, test_after, columns.by)
            # each side by itself: what was said later must not choose what is learnt
            early, late = settle_conflicts(before, conflicts), settle_conflicts(after, conflicts)
            undisputed = (_undisputed(sources, side, test_after) for side in (early, late))
            kept, test = (side.with_columns(cluster="group") for side in undisputed)
            parts = {**split(kept, (shares[0], shares[1], 0.0), seed), "test": split(test, (1, 0, 0), seed)["train"]}
            settled = early.and_of(late)
            refused = [settled.refused, unusable]
        rejects = _rejects(staged, refused)
        if not sum(part.height for part in parts.values()):
            raise DataError(_nothing_left(sources, staged.rows_in, rejects))
        report = describe(
            Read(staged.rows_in, staged.sources, staged.skipped, ids), settled, rejects, parts, groups, domain=domain,
            ratios=shares, seed=seed, by=by, conflicts=conflicts, test_after=test_after,
        )  # fmt: skip
        with written_whole(out, FILES.__contains__) as folder:
            (scratch / "buckets").mkdir()
            write_splits(staged, parts, _written(staged.rows, by), folder, scratch / "buckets")
            rejects.write_csv(folder / "rejects.csv", include_bom=bom)
            plot_polarity(
                polarity_table({f"{domain}/{name}": part for name, part in parts.items()}), folder / "polarity.png"
            )
            (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A hidden sibling for rows on their way, held by this run alone; what a killed run left in it is removed first."""
    folder = out.resolve().with_name(f".{out.resolve().name}.rows")
    lock = folder / "held"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = locked(
            lock, DataError(f"--out {out}: another run is preparing it; wait for its end or choose another folder")
        )
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    with held:
        try:
            for name in ("rows", "buckets"):
                shutil.rmtree(folder / name, ignore_errors=True)
            (folder / "rows").mkdir()
            yield folder
        except OSError as error:  # a full disk, most likely: the texts wait here
            raise DataError(
                f"{folder}: cannot be written: {error.strerror or error}; make room or choose another --out"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _step(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _written(rows: pl.DataFrame, by: str) -> dict[str, str]:
    """The staged columns that are written, and what each is called."""
    some = [name for name in ("date", "source_id") if rows[name].null_count() < rows.height]
    columns = {name: name for name in ("text", "label", "domain", *some)}
    own = by in ("near", "exact") or by.casefold() in (*columns, "id")
    return columns if own else {**columns, "by": by}


def _cut(
    sources: Sequence[Path], rows: pl.DataFrame, cut: date, by: str | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows up to a day, rows after it that are not near to these, and those that are neither, with ``reason``."""
    if rows.height and rows["date"].null_count() == rows.height:
        where = ", ".join(str(source) for source in sources)
        raise DataError(f"{where}: no row has a date, which --test-after needs; name the column by --date COL")
    grouped = rows.with_columns(cluster="group")
    kept, test, unusable = (side.with_columns(cluster="key") for side in later(grouped, cut, by))
    if bool(kept.height) != bool(test.height):
        first, last = rows.select(first=days().min(), last=days().max()).row(0)
        kin = "near to an earlier one" if by is None else f"near to an earlier one or kept with one by {by!r}"
        side = f"no row is later that is not {kin}" if kept.height else "every row is later"
        raise DataError(f"--test-after {cut}: {side}; the dates run from {first} to {last}")
    return kept, test, unusable


def _undisputed(sources: Sequence[Path], side: Settled, cut: date) -> pl.DataFrame:
    if side.refused.height and not side.frame.height:
        where, when = ", ".join(str(source) for source in sources), sorted(side.refused["date"])
        raise DataError(
            f"{where}: --test-after {cut}: all {side.refused.height} rows from {when[0]} to {when[-1]} are refused, as "
            "equal texts bear different labels; see --conflicts"
        )
    return side.frame


def made_here(folder: Path) -> bool:
    """Whether `prepare` made this folder."""
    return made_by(folder) == MADE_BY


def _check_target(sources: Sequence[Path], out: Path, *, force: bool) -> None:
    target = out.resolve()
    for source in sources:
        if target.is_relative_to(source.resolve()) or source.resolve().is_relative_to(target):
            raise DataError(f"--out {out}: it holds source {source} or lies within it; choose another folder")
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: is a file; name a folder")
    refuse_mount(out)
    if out.is_dir() and any(out.iterdir()) and not made_here(out) and not force:
        raise DataError(
            f"--out {out}: not empty and not made by {MADE_BY}; choose another, or --force to replace only "
            f"{', '.join(FILES)} in it"
        )


def _rejects(staged: Staged, refused: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All refused rows by file and line, their texts fetched."""
    rows = pl.concat([some.select("index", "file", "line", "reason", "id", "label") for some in refused]).sort("index")
    texts = staged.values("text", rows["index"].to_numpy().astype(np.int64))
    named = rows.with_columns(text=pl.Series(texts, dtype=pl.String)).select(staged.rejects.columns)
    return pl.concat([staged.rejects, named]).sort("file", "line", maintain_order=True)


def _nothing_left(sources: Sequence[Path], rows_in: int, rejects: pl.DataFrame) -> str:
    where = ", ".join(str(source) for source in sources)
    if not rejects.height:
        return f"{where}: no rows{other_sheets(sources[0]) if len(sources) == 1 else ''}"
    reason, count = rejects["reason"].value_counts(sort=True).row(0)
    return f"{where}: none of {rows_in} rows can be used; {count} of them: {reason}"
