"""Raw sources in, a folder with train, valid and test out, beside it every refused row and a report that adds up.

Reading, resolving of conflicts and splitting live elsewhere; here they are put in order, counted and written, whole or
not at all. It knows nothing of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from finsa_moe.data.folder import written_whole
from finsa_moe.data.near import HeldOut
from finsa_moe.data.read import Columns, Progress, Table, read_rows
from finsa_moe.data.report import MADE_BY, Report, describe
from finsa_moe.data.split import Resolved, checked_ratios, resolve_conflicts, split
from finsa_moe.data.stats import plot_polarity, polarity_table
from finsa_moe.errors import ConfigError, DataError
from finsa_moe.polarity import LabelMap

# Train, valid and test in percent: news and forum as published, 80/10/10 our choice for any other domain.
PRESETS: dict[str, tuple[float, float, float]] = {"news": (98, 1, 1), "forum": (60, 20, 20)}
OTHERS: tuple[float, float, float] = (80, 10, 10)
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
    by: str = "exact",
    force: bool = False,
    held_out: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Read, check and split the rows of one domain into a folder.

    Args:
        sources: Files and folders.
        domain: The domain's name, written into every row.
        out: The folder to make: ``train.csv``, ``valid.csv``, ``test.csv`` (``id,text,label,domain`` and ``date`` where
            there is one), ``rejects.csv``, ``report.json`` and ``polarity.png``.
        ratios: Shares of train, valid and test; None takes the domain's preset.
        columns: The user's names of the columns.
        labels: The user's spelling of the classes.
        seed: Another seed, another split.
        by: What keeps rows together; ``"exact"``: equal texts.
        force: Write into a folder that is not empty and was not made here; only the files named above are replaced.
        held_out: Texts that a model is going to be judged by; rows equal or near to one are refused.
        progress: Called with the files done and the files in all.

    Raises:
        DataError: If a source cannot be read, no row can be used, or `out` must not be written.
        ConfigError: If the domain, the ratios or `by` is not allowed.
    """
    if not re.fullmatch(r"\w[\w-]*", domain):
        raise ConfigError(f"domain {domain!r}: allowed are letters, digits, '-' and '_', as in news or forum")
    if by != "exact":
        raise ConfigError(f"by {by!r}: allowed is 'exact'")
    shares = checked_ratios(ratios or PRESETS.get(domain, OTHERS))
    _check_target(sources, out, force=force)
    table = _without(read_rows(sources, columns, labels, domain, progress=progress), held_out)
    resolved = resolve_conflicts(table.frame)
    if not resolved.frame.height:
        raise DataError(_nothing_left(sources, table, resolved))
    parts = split(resolved.frame, shares, seed)
    rejects = _rejects(table, resolved)
    report = describe(table, resolved, rejects, parts, domain=domain, ratios=shares, seed=seed, by=by)
    with written_whole(out, FILES) as folder:
        written = [name for name in ("id", "text", "label", "domain", "date") if name in table.frame.columns]
        for name, part in parts.items():
            part.select(written).write_csv(folder / f"{name}.csv")
        rejects.write_csv(folder / "rejects.csv")
        plot_polarity(
            polarity_table({f"{domain}/{name}": part for name, part in parts.items()}), folder / "polarity.png"
        )
        (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


def made_here(folder: Path) -> bool:
    """Whether `prepare` made this folder."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("made_by") == MADE_BY


def _check_target(sources: Sequence[Path], out: Path, *, force: bool) -> None:
    target = out.resolve()
    for source in sources:
        if target.is_relative_to(source.resolve()) or source.resolve().is_relative_to(target):
            raise DataError(f"--out {out}: it holds source {source} or lies within it; choose another folder")
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not made_here(out) and not force:
        raise DataError(
            f"--out {out}: not empty and not made by {MADE_BY}; choose another, or --force to replace only "
            f"{', '.join(FILES)} in it"
        )


def _without(table: Table, held_out: Sequence[str]) -> Table:
    """The table with rows near to held-out texts among the refused."""
    if not held_out:
        return table
    index = HeldOut(held_out)
    found = [index.match(text) for text in table.frame["text"]]
    near = pl.Series([match is not None for match in found], dtype=pl.Boolean)
    reasons = [f"near to a held-out text (Jaccard {match.similarity:.2f})" for match in found if match]
    refused = table.frame.filter(near).with_columns(reason=pl.Series(reasons, dtype=pl.String))
    rejects = pl.concat([table.rejects, refused.select(table.rejects.columns)])
    return replace(table, frame=table.frame.filter(~near), rejects=rejects)


def _rejects(table: Table, resolved: Resolved) -> pl.DataFrame:
    refused = pl.concat([table.rejects, resolved.refused.select(table.rejects.columns)])
    return refused.sort("file", "line", maintain_order=True)


def _nothing_left(sources: Sequence[Path], table: Table, resolved: Resolved) -> str:
    where = ", ".join(str(source) for source in sources)
    rejects = _rejects(table, resolved)
    if not rejects.height:
        return f"{where}: no rows"
    reason, count = rejects["reason"].value_counts(sort=True).row(0)
    return f"{where}: none of {table.rows_in} rows can be used; {count} of them: {reason}"
