"""The report on one preparation: rows in, kept and refused by reason, splits by label, where it all came from.

Tables in, plain numbers and words out; it writes nothing and changes no row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from finsa_moe._version import __version__
from finsa_moe.data.preparing.groups import Groups
from finsa_moe.data.preparing.split import SPLITS, Settled
from finsa_moe.data.reading.names import named
from finsa_moe.data.reading.usable import Source
from finsa_moe.files import sha256
from finsa_moe.polarity import NAMES

MADE_BY = "finsa prepare"
_REASONS_LISTED = 50
_FEW = 50  # rows that a score can be told from, roughly: ± 14 points
_LARGE = 0.05  # a cluster of this share of the rows bends the ratios


@dataclass(frozen=True)
class Report:
    """What one preparation did; ``report.json`` holds the same.

    Attributes:
        domain: The domain of all rows.
        rows: Rows ``in``, ``kept`` and ``refused``; kept and refused sum to in.
        refused: Rows refused by reason, the most frequent first.
        splits: Rows of each label by split.
        duplicates: Rows kept that equal another kept row; all of them on its side.
        near: ``clusters`` of texts that are near but not equal, the ``rows`` in them, and the rows of the ``largest``
            cluster of any kind.
        conflicts: The ``rule``, ``clusters`` of equal texts that bore several labels, and the ``rows`` refused for it.
        ids: Ids ``made`` for rows without one, ``changed`` where several rows shared one.
        ratios: Shares of train, valid and test that were asked for.
        seed: The seed of the draw.
        by: What keeps rows together: ``"near"``, ``"exact"`` or a column.
        test_after: The last day of training, where the test is what came later.
        sources: Each file read, with ``sha256``, ``rows`` and the ``columns`` taken.
        skipped: Files met in a folder and left out, with the reason.
        warnings: What a user should know before training on this.
    """

    domain: str
    rows: dict[str, int]
    refused: dict[str, int]
    splits: dict[str, dict[str, int]]
    duplicates: int
    near: dict[str, int]
    conflicts: dict[str, int | str]
    ids: dict[str, int]
    ratios: tuple[float, float, float]
    seed: int
    by: str
    test_after: str | None
    sources: list[dict[str, Any]]
    skipped: dict[str, str]
    warnings: list[str]

    def to_json(self) -> str:
        """The report as JSON, with the version of the package that made it."""
        content = {"made_by": MADE_BY, "version": __version__, **vars(self)}
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True)
class Read:
    """What was read: rows in all, files, files left out, and how many ids were ``made`` and ``changed``."""

    rows: int
    sources: list[Source]
    skipped: dict[str, str]
    ids: dict[str, int]


def describe(
    read: Read,
    settled: Settled,
    rejects: pl.DataFrame,
    parts: dict[str, pl.DataFrame],
    groups: Groups,
    *,
    domain: str,
    ratios: tuple[float, float, float],
    seed: int,
    by: str,
    conflicts: str,
    test_after: date | None,
) -> Report:
    """The report on rows read, conflicts settled and parts drawn; every file read is hashed."""
    kept = sum(part.height for part in parts.values())
    assert kept + rejects.height == read.rows  # promise: no row is lost
    splits = {
        name: {"rows": part.height, **{label: int((part["label"] == label).sum()) for label in NAMES}}
        for name, part in parts.items()
    }
    reasons = dict(rejects["reason"].value_counts(sort=True).sort("count", "reason", descending=[True, False]).rows())
    listed = dict(list(reasons.items())[:_REASONS_LISTED])
    if len(reasons) > len(listed):
        listed["other reasons, see rejects.csv"] = sum(reasons.values()) - sum(listed.values())
    sources = [
        {
            "file": str(source.path),
            "sha256": sha256(named(source.path).file),
            "rows": source.rows,
            "columns": source.columns,
        }
        for source in read.sources
    ]
    return Report(
        domain=domain,
        rows={"in": read.rows, "kept": kept, "refused": rejects.height},
        refused=listed,
        splits=splits,
        duplicates=settled.duplicates,
        near={"clusters": groups.near, "rows": groups.near_rows, "largest": groups.largest},
        conflicts={
            "rule": conflicts,
            "clusters": settled.clusters_in_conflict,
            "rows": settled.refused.height,
        },
        ids=read.ids,
        ratios=ratios,
        seed=seed,
        by=by,
        test_after=None if test_after is None else test_after.isoformat(),
        sources=sources,
        skipped=read.skipped,
        warnings=_warnings(splits, dict(zip(SPLITS, ratios, strict=True)), read) + _group_warnings(kept, groups),
    )


def _warnings(splits: dict[str, dict[str, int]], ratios: dict[str, float], read: Read) -> list[str]:
    warnings = []
    for label in NAMES:
        empty = [name for name in SPLITS if ratios[name] > 0 and not splits[name][label]]
        if not any(counts[label] for counts in splits.values()):
            warnings.append(f"no row is labelled {label}: nothing can learn that class from this set")
        elif empty:
            warnings.append(f"too few rows labelled {label}: none in {' and '.join(empty)}")
    rows, share = splits["test"]["rows"], ratios["test"] / sum(ratios.values())
    if 0 < share < 0.1 and rows < _FEW <= sum(split["rows"] for split in splits.values()):
        given = "/".join(f"{100 * ratios[name] / sum(ratios.values()):g}" for name in SPLITS)
        warnings.append(
            f"test has {rows} rows (shares {given}): a score on so few says little; --ratios 80/10/10 gives it more"
        )
    if read.ids["changed"]:
        warnings.append(f"{read.ids['changed']} rows shared an id with another row and got a new one")
    if read.skipped:
        warnings.append(f"{len(read.skipped)} files of the folder were left out; report.json names them")
    return warnings


def _group_warnings(kept: int, groups: Groups) -> list[str]:
    warnings = []
    if kept >= 200 and groups.largest > _LARGE * kept:
        warnings.append(
            f"{groups.largest:,} rows hang together and stand on one side: the shares may be missed; "
            "raise --threshold, or look at them with finsa audit"
        )
    if groups.orphans:
        warnings.append(
            f"{groups.orphans:,} rows name by source_id an original that is not there, so they may stand in another "
            "split than it; prepare them together, the originals with their ids"
        )
    return warnings
