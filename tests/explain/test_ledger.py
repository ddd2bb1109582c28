"""The ledger of a file's explanations: a portion that is written is on disk, and a full disk takes none of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from finsa_moe.errors import DataError
from finsa_moe.explain.ledger import Ledger

ROWS = [{"id": "a", "text": "涨"}, {"id": "b", "text": "跌"}]


def test_a_portion_that_is_written_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda place: synced.append(os.fstat(place).st_size))
    ledger = Ledger(tmp_path / "out.jsonl", {"model": "m"}, 2)
    for _ in range(2):
        ledger.write(ROWS)
        assert ledger.path.stat().st_size in synced
    ledger.close()


def test_a_full_disk_is_told_in_a_line_and_keeps_the_portions_before(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limit on a file's size")
    ledger = Ledger(tmp_path / "out.jsonl", {"model": "m"}, 2)
    ledger.write(ROWS)
    content, before = ledger.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 20, before[1]))
    try:
        with pytest.raises(DataError, match=r"out\.jsonl cannot be written: File too large; name another --output"):
            ledger.write(ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        ledger.close()
    assert ledger.path.read_bytes() == content
    again = Ledger(tmp_path / "out.jsonl", {"model": "m"}, 2)
    assert again.done == 2
    again.close()
