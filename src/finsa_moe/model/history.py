"""What a mixture's folder says of its making, kept for every domain added later, so that taking one out brings it back.

``metrics.json`` and ``config.yaml`` are those of the last making. ``history/<domain>/`` holds both as they were before
that domain was added. Folders in, files in a folder out; it knows no tensors.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from finsa_moe.files import read_json

HISTORY, METRICS, SETTINGS = "history", "metrics.json", "config.yaml"
_BY_DOMAIN = ("data", "reading", "unlabelled", "domains", "sent_to_own")
"""Entries of ``metrics.json`` that have one value a domain."""


def keep(source: Path, working: Path, domain: str) -> None:
    """Put into `working`, a mixture that has `domain` more than `source`, what `source` says of its making."""
    if (source / HISTORY).is_dir():
        shutil.copytree(source / HISTORY, working / HISTORY)
    _copy(source, working / HISTORY / domain)


def bring_back(source: Path, working: Path, domain: str, added: Sequence[str]) -> None:
    """Put into `working`, a mixture that is `source` without `domain`, what it says of its making.

    Of the domain added last it is what stood before that, byte for byte. Of an earlier one, what was measured later
    stands without the domain's own entries.

    Args:
        source: The mixture.
        working: The folder to write into.
        domain: Which domain was taken out.
        added: Domains of `source` that were added after training, in that order.
    """
    records, left = [*(source / HISTORY / name for name in added), source], list(added)
    if domain in added:  # what its adding wrote goes, and what stood before takes that place
        del records[left.index(domain) + 1]
        left.remove(domain)
    for name, record in zip(left, records, strict=False):
        _copy(record, working / HISTORY / name, without=domain)
    _copy(records[-1], working, without=domain)


def _copy(record: Path, target: Path, without: str | None = None) -> None:
    """Copy both files as far as they are there; `metrics.json` is written anew only where it speaks of a domain."""
    for file in (METRICS, SETTINGS):
        if not (record / file).is_file():
            continue
        target.mkdir(parents=True, exist_ok=True)
        facts = read_json(record / file) if file == METRICS else {}
        spoken = [key for key in _BY_DOMAIN if isinstance(facts.get(key), dict) and without in facts[key]]
        if not spoken:
            shutil.copy2(record / file, target)
            continue
        for key in spoken:
            del facts[key][without]
        (target / file).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
