"""Parquet is looked into in a process of its own, also where processes have no limits."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from finsa_moe.service import inspect
from finsa_moe.service.problems import Problem


def test_a_system_without_limits_of_processes_reads_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows, where Python has no module `resource`; what it unpacks to is counted there as well."""
    monkeypatch.setattr(inspect, "_OPEN", "import sys; sys.modules['resource'] = None\n" + inspect._OPEN)
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["涨停", "跌停"]}).write_parquet(path)
    assert inspect.inspect(path, "a.parquet", ("news",), 10, 10, text=None, id=None).rows == 2
    monkeypatch.setattr(inspect, "MEMORY", 8)
    with pytest.raises(Problem, match="unpacks to more than is taken"):
        inspect.inspect(path, "a.parquet", ("news",), 10, 10, text=None, id=None)


def test_what_reads_a_clients_parquet_is_not_given_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINSA_TOKEN", "0123456789abcdef0123")
    monkeypatch.setattr(
        inspect, "_OPEN", "import os, sys; 'FINSA_TOKEN' in os.environ and sys.exit(3)\n" + inspect._OPEN
    )
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["涨停"]}).write_parquet(path)
    assert inspect.inspect(path, "a.parquet", ("news",), 10, 10, text=None, id=None).rows == 1
