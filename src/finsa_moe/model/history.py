"""What a mixture's folder says of its making, kept for every domain added later, so that taking one out brings it back.

``metrics.json`` and ``config.yaml`` are those of the last making, ``README.md``, the card, is the one that was there,
with a line on every domain that came or went since. ``history/<domain>/`` holds all three as they were before that
domain was added. Folders in, files in a folder out; it knows no tensors.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from finsa_moe.files import read_json

HISTORY, METRICS, SETTINGS, CARD = "history", "metrics.json", "config.yaml", "README.md"
_BY_DOMAIN = ("data", "reading", "unlabelled", "domains", "sent_to_own")
"""Entries of ``metrics.json`` that have one value a domain."""
_CAME = "The expert `{}` came later (`finsa add-domain`): what this card says was found out without it."
_WENT = "The expert `{}` was taken out (`finsa remove-domain`): what this card says was found out with it."


def keep(source: Path, working: Path, domain: str) -> None:
    """Put into `working`, a mixture that has `domain` more than `source`, what `source` says of its making."""
    if (source / HISTORY).is_dir():
        shutil.copytree(source / HISTORY, working / HISTORY)
    _copy(source, working / HISTORY / domain)
    if (source / CARD).is_file():
        (working / CARD).write_bytes(_noted((source / CARD).read_bytes(), _CAME, domain))


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
    for record, target in zip(records, [*(working / HISTORY / name for name in left), working], strict=True):
        _copy(record, target, without=domain)
        if (target / CARD).is_file():
            card = (target / CARD).read_bytes()
            card = card.replace(_note(_CAME, domain), b"") if domain in added else _noted(card, _WENT, domain)
            (target / CARD).write_bytes(card)


def _note(words: str, domain: str) -> bytes:
    return f"\n> {words.format(domain)}\n\n".encode()


def _noted(card: bytes, words: str, domain: str) -> bytes:
    """A card with a note under its title; whatever its encoding and line ends, the rest is as it was."""
    front = re.match(rb"---[ \t]*\r?\n.*?^---[ \t]*(\r?\n|\Z)", card, re.MULTILINE | re.DOTALL)
    start = front.end() if front else 0  # what a hub reads comes first, and may hold lines like titles
    title = re.compile(rb"^# .*\n?", re.MULTILINE).search(card, start)
    at = title.end() if title else start
    return card[:at] + _note(words, domain) + card[at:]


def _copy(record: Path, target: Path, without: str | None = None) -> None:
    """Copy the files that are there; `metrics.json` is written anew only where it speaks of a domain."""
    for file in (METRICS, SETTINGS, CARD):
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
