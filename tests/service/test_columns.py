"""Files of too many columns: refused with what was found and what is allowed, before cells are made of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.runtime.rows import read
from tests.service.served import Service, Settings, serving

CSV, LINES, PARQUET = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_columns=40)) as found:
        yield found


def wide(kind: str, columns: int) -> bytes:
    """A file of so many columns and a row; in JSON lines each but the first brings one of them."""
    names = ["text", *(f"c{at}" for at in range(columns - 1))]
    if kind == CSV:
        return (",".join(names) + "\n涨" + "," * (columns - 1) + "\n").encode()
    if kind == LINES:
        return b"".join(json.dumps({"text": "涨", name: name}).encode() + b"\n" for name in names)
    found = io.BytesIO()
    pl.DataFrame({name: ["涨"] for name in names}).write_parquet(found)
    return found.getvalue()


@pytest.mark.parametrize("kind", [CSV, LINES, PARQUET])
def test_a_column_too_many(service: Service, kind: str) -> None:
    assert service.ask("POST", "/v1/predict/file", wide(kind, 40), {"Content-Type": kind}).status == 200
    reply = service.ask("POST", "/v1/predict/file", wide(kind, 41), {"Content-Type": kind})
    assert reply.status == 422
    assert reply.json()["type"] == "urn:finsa:file"
    assert "41 columns; up to 40 are taken" in reply.json()["detail"]
    assert "/tmp" not in reply.body.decode()


def test_the_limit_is_told(service: Service) -> None:
    assert service.ask("GET", "/v1/model").json()["limits"]["max_columns"] == 40
    assert Settings().max_columns == 1_000
    with pytest.raises(ConfigError, match="max_columns is 0"):
        Settings(max_columns=0)


def test_keys_without_end_are_read_no_further_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"k{at}":1}}\n' for at in range(2_000)) + "not json\n")
    with pytest.raises(DataError, match=r"a\.jsonl: by line 1001: 1,001 columns; up to 1,000 are taken"):
        list(read(path, 1_000))
    assert len(next(read(path)).names) == 2_000  # on its owner's own machine there is no limit


def test_a_header_is_counted_before_names_are_made_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.data.reading.delimited.unique_names", lambda names: pytest.fail("names were made"))
    path = tmp_path / "a.csv"
    path.write_text("\n" + "a," * 20_000 + "\n")
    with pytest.raises(DataError, match="20,001 columns; up to 1,000"):
        list(read(path, 1_000))
